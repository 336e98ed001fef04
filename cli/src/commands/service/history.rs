//! `proffer service history`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::VersionView;

/// List the versions of a service that are remembered, and what became of them
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn history(args: HistoryArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let request = v1::GetServiceRequest {
            name: args.name.clone(),
        };
        let answer = cluster.services().get_service(request).await;
        let service = answer.map_err(|status| refused(&status))?.into_inner();
        Ok(Rows(VersionView::of(&service)))
    })
    .await
}

//! `proffer service list`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::{ServiceSummaryView, ServiceView};

/// List services
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn list(args: ListArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let answer = cluster.services().list_services(v1::ListServicesRequest {}).await;
        let services = answer.map_err(|status| refused(&status))?.into_inner().services;
        Ok(Rows(
            services
                .into_iter()
                .map(ServiceView::from)
                .map(ServiceSummaryView)
                .collect(),
        ))
    })
    .await
}

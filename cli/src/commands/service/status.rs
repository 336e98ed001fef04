//! `proffer service status`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, show};
use crate::views::ServiceView;

/// Show one service and its replicas
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn status(args: StatusArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let request = v1::GetServiceRequest {
            name: args.name.clone(),
        };
        let answer = cluster.services().get_service(request).await;
        Ok(ServiceView::from(
            answer.map_err(|status| refused(&status))?.into_inner(),
        ))
    })
    .await
}

//! `proffer maintenance list`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::MaintenanceView;

/// List the windows that are to come, or have begun
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
        let answer = cluster
            .operator()
            .list_maintenance(v1::ListMaintenanceRequest {})
            .await;
        let list = answer.map_err(|status| refused(&status))?.into_inner().windows;
        Ok(Rows(list.into_iter().map(MaintenanceView::from).collect()))
    })
    .await
}

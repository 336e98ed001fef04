//! `proffer maintenance status`.

use anyhow::{Result, ensure};
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::MaintainedView;

/// Show who has tasks on the agents of a window, and what the frameworks say to leaving them
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The window's name; absent means all windows
    name: Option<String>,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn status(args: StatusArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let answer = cluster
            .operator()
            .list_maintenance(v1::ListMaintenanceRequest {})
            .await;
        let mut windows = answer.map_err(|status| refused(&status))?.into_inner().windows;
        if let Some(name) = &args.name {
            windows.retain(|window| window.name == *name);
            ensure!(!windows.is_empty(), "no maintenance window `{name}`");
        }
        Ok(Rows(windows.into_iter().flat_map(MaintainedView::of).collect()))
    })
    .await
}

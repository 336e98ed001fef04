//! `proffer maintenance cancel`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;

/// Take a window back, or end it now: its agents are offered again
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The window's name
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn cancel(args: CancelArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::CancelMaintenanceRequest { name: args.name };
    let answer = cluster.operator().cancel_maintenance(request).await;
    answer.map_err(|status| refused(&status))?;
    Ok(0)
}

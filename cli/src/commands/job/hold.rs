//! `proffer job hold` and `release`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;

/// Start nothing more of a job until it is released; what runs goes on
#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

/// Start what waits of a held job
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn hold(args: HoldArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::HoldJobRequest { name: args.name };
    let held = cluster.jobs().hold_job(request).await;
    held.map_err(|status| refused(&status))?;
    Ok(0)
}

pub(super) async fn release(args: ReleaseArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::ReleaseJobRequest { name: args.name };
    let released = cluster.jobs().release_job(request).await;
    released.map_err(|status| refused(&status))?;
    Ok(0)
}

//! `proffer job cancel`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;

/// Kill what runs of a job and drop what waits; a recurring job is never due again, a template never dispatched
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    name: String,
    /// Let the runs of a recurring job or a template go on that are under way
    #[arg(long, env = "PROFFER_KEEP_RUNS")]
    keep_runs: bool,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn cancel(args: CancelArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::CancelJobRequest {
        name: args.name,
        keep_runs: args.keep_runs,
    };
    cluster
        .jobs()
        .cancel_job(request)
        .await
        .map_err(|status| refused(&status))?;
    Ok(0)
}

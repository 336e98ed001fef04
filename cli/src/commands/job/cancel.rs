//! `proffer job cancel`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;

/// Kill what runs of a job and drop what waits
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn cancel(args: CancelArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::CancelJobRequest { name: args.name };
    cluster
        .jobs()
        .cancel_job(request)
        .await
        .map_err(|status| refused(&status))?;
    Ok(0)
}

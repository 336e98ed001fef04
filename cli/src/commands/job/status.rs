//! `proffer job status`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, show};
use crate::views::JobView;

/// Show one job and its tasks: state, exit code, wall time, cpu time, peak memory, attempts
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
        let answer = cluster
            .jobs()
            .get_job(v1::GetJobRequest {
                name: args.name.clone(),
                ..Default::default()
            })
            .await;
        Ok(JobView::from(
            answer.map_err(|status| refused(&status))?.into_inner(),
        ))
    })
    .await
}

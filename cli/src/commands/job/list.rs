//! `proffer job list`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::JobSummaryView;

/// List jobs
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
        let answer = cluster.jobs().list_jobs(v1::ListJobsRequest {}).await;
        let jobs = answer.map_err(|status| refused(&status))?.into_inner().jobs;
        Ok(Rows(jobs.into_iter().map(JobSummaryView::from).collect()))
    })
    .await
}

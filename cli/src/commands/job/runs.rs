//! `proffer job runs`.

use anyhow::{Result, ensure};
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::WindowView;

/// List the windows of a recurring job: those that ran, and why others did not
#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn runs(args: RunsArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let name = args.name.clone();
        let answer = cluster
            .jobs()
            .get_job(v1::GetJobRequest {
                name,
                ..Default::default()
            })
            .await;
        let job = answer.map_err(|status| refused(&status))?.into_inner();
        ensure!(
            job.recurrence.is_some(),
            "job `{0}` has no schedule; `proffer job status {0}` shows its tasks",
            args.name
        );
        let windows = job.recurrence.unwrap_or_default().windows;
        Ok(Rows(windows.into_iter().map(WindowView::from).collect()))
    })
    .await
}

//! `proffer job runs`.

use anyhow::{Result, bail};
use clap::Args;
use proffer_wire::v1;
use serde::Serialize;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{Answer, OutputArgs, Rows, show};
use crate::views::{RunView, WindowView};

/// List the runs of a template, or the windows of a recurring job: those that ran, and why others did not
#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The runs of a template, or the windows of a recurring job.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Runs {
    Dispatched(Rows<RunView>),
    Windows(Rows<WindowView>),
}

impl Answer for Runs {
    fn text(&self, width: usize) -> String {
        match self {
            Self::Dispatched(runs) => runs.text(width),
            Self::Windows(windows) => windows.text(width),
        }
    }
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
        let is_template = job.spec.is_some_and(|spec| spec.template.is_some());
        match job.recurrence {
            _ if is_template => {
                let runs = job.runs.into_iter().map(RunView::from);
                Ok(Runs::Dispatched(Rows(runs.collect())))
            }
            Some(recurrence) => {
                let windows = recurrence.windows.into_iter().map(WindowView::from);
                Ok(Runs::Windows(Rows(windows.collect())))
            }
            None => bail!(
                "job `{0}` has neither a schedule nor parameters; `proffer job status {0}` shows its tasks",
                args.name
            ),
        }
    })
    .await
}

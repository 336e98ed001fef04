//! `proffer tasks`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::output::{OutputArgs, Rows, show};
use crate::views::TaskView;

/// List tasks with their exit code, wall time, cpu time and peak memory
#[derive(Debug, Args)]
pub(crate) struct TasksArgs {
    /// Also those that have ended, as far back as the master remembers
    #[arg(short, long, env = "PROFFER_ALL")]
    all: bool,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn tasks(args: TasksArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let request = v1::ListTasksRequest {
            include_completed: args.all,
            ..Default::default()
        };
        let tasks = cluster.tasks(request, None).await?.tasks;
        Ok(Rows(tasks.into_iter().map(TaskView::from).collect()))
    })
    .await
}

//! `proffer ps`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::{ActiveTask, TaskView};

/// List the tasks that run or are about to
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn ps(args: PsArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let answer = cluster
            .operator()
            .list_tasks(v1::ListTasksRequest::default())
            .await;
        let tasks = answer.map_err(|status| refused(&status))?.into_inner().tasks;
        let active = tasks
            .into_iter()
            .filter(|task| !crate::views::is_terminal(task.state));
        Ok(Rows(active.map(TaskView::from).map(ActiveTask).collect()))
    })
    .await
}

//! `proffer kill`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::spec::Span;

/// Stop a task: SIGTERM, and SIGKILL after the grace period
///
/// Its framework decides what follows: a service starts another replica, a job may try again.
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// The task's id, as `proffer ps` shows it
    task: String,
    /// From SIGTERM to SIGKILL; absent means the task's own
    #[arg(long, env = "PROFFER_GRACE", value_name = "DURATION")]
    grace: Option<Span>,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn kill(args: KillArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let task = cluster.find_task(&args.task).await?;
    anyhow::ensure!(
        !crate::views::is_terminal(task.state),
        "task `{}` has already ended",
        args.task
    );
    let request = v1::KillTaskRequest {
        framework_id: task.framework_id,
        task_id: args.task,
        kill_policy: args.grace.map(|grace| v1::KillPolicy {
            grace_period_ms: Some(grace.millis()),
        }),
    };
    cluster
        .operator()
        .kill_task(request)
        .await
        .map_err(|status| refused(&status))?;
    Ok(0)
}

//! `proffer job requeue`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::print;

/// Run again what failed or was cancelled of a job, and print how many tasks that is; it costs no retry
///
/// What waits for them waits again too, and so does what was cancelled because of them.
#[derive(Debug, Args)]
pub(crate) struct RequeueArgs {
    name: String,
    /// Only indexes of this task
    #[arg(long, env = "PROFFER_TASK")]
    task: Option<String>,
    /// Only this index of the task, whether it failed, finished or runs
    #[arg(long, env = "PROFFER_INDEX", requires = "task")]
    index: Option<u32>,
    /// Only if it failed or was cancelled; what --index names is run again in any case otherwise
    #[arg(long, env = "PROFFER_FAILED", conflicts_with = "all")]
    failed: bool,
    /// What has finished as well, and what runs: that is killed first
    #[arg(long, env = "PROFFER_ALL")]
    all: bool,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn requeue(args: RequeueArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let mut request = v1::RequeueJobRequest {
        name: args.name,
        task: args.task.unwrap_or_default(),
        index: args.index,
        all: args.all || (args.index.is_some() && !args.failed),
        after: None,
    };
    let mut n = 0;
    loop {
        let answer = cluster.jobs().requeue_job(request.clone()).await;
        let answer = answer.map_err(|status| refused(&status))?.into_inner();
        n += answer.n;
        request.after = answer.last;
        if request.after.is_none() {
            break;
        }
    }
    print(&format!("{n}\n"))?;
    Ok(0)
}

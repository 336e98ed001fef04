//! `proffer logs`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1::LogStream;
use tokio::sync::watch;

use crate::client::{Cluster, LogReader, MasterArgs, Phase};
use crate::views::is_terminal;

/// Print a task's output
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The task's id, as `proffer tasks --all` shows it
    task: String,
    #[command(flatten)]
    which: StreamArgs,
    #[command(flatten)]
    master: MasterArgs,
}

/// Which output, and how much of it.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct StreamArgs {
    /// Print what the task wrote to stderr instead
    #[arg(long, env = "PROFFER_STDERR")]
    stderr: bool,
    /// Go on until the task has ended
    #[arg(short, long, env = "PROFFER_FOLLOW")]
    pub(super) follow: bool,
    /// Print only the last N lines, and with --follow what comes after them
    #[arg(long, env = "PROFFER_TAIL", value_name = "N")]
    pub(super) tail: Option<u32>,
}

impl StreamArgs {
    pub(super) fn stream(self) -> LogStream {
        if self.stderr {
            LogStream::Stderr
        } else {
            LogStream::Stdout
        }
    }
}

pub(super) async fn logs(args: LogsArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let task = cluster.find_task(&args.task).await?;
    let reader =
        LogReader::new(&cluster, &task.framework_id, &args.task, args.which.stream()).tail(args.which.tail);
    let mut stdout = tokio::io::stdout();
    if !args.which.follow || is_terminal(task.state) {
        reader.copy_once(&mut stdout).await?;
        return Ok(0);
    }
    // The agent ends the stream with the task, so its end is the end.
    let (phase, receiver) = watch::channel(Phase::Started);
    drop(phase);
    reader.follow(receiver, &mut stdout).await?;
    Ok(0)
}

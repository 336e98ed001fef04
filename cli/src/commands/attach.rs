//! `proffer attach`.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use proffer_wire::v1::{LogStream, TaskState};
use tokio::io::AsyncWrite;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::run::{exit_of, of_signal};
use crate::client::{Cluster, LogReader, MasterArgs, Parted, Phase, Typist};
use crate::daemon::Signals;
use crate::terminal::RawMode;
use crate::views::is_terminal;

/// How long the master is waited for to hear of the task's end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const WAIT: Duration = Duration::from_millis(50);

/// Be at a running task: see what it writes from now on, and type to it; exit with its code
///
/// A task takes input when it was started with --tty or --interactive. ctrl-p ctrl-q leaves it running.
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// The task's id, as `proffer tasks` shows it
    task: String,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn attach(args: AttachArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let task = cluster.find_task(&args.task).await?;
    anyhow::ensure!(!is_terminal(task.state), "task `{}` has ended", args.task);
    let container = task.info.and_then(|info| info.container).unwrap_or_default();
    let mut signals = Signals::new()?;
    let typist = Typist::new(&cluster, &task.framework_id, &args.task, true)?;
    let _raw = if container.tty {
        Some(RawMode::enter()?)
    } else {
        None
    };
    let mut typist = tokio::spawn(typist.run());
    let reader = |stream| LogReader::new(&cluster, &task.framework_id, &args.task, stream).tail(Some(0));
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    let (stdout, stderr) = (
        follow(reader(LogStream::Stdout), &mut stdout),
        follow(reader(LogStream::Stderr), &mut stderr),
    );
    let output = async { tokio::try_join!(stdout, stderr) };
    tokio::pin!(output);
    let mut is_typing = true;
    loop {
        tokio::select! {
            ended = &mut output => {
                ended?;
                return exit(&cluster, &args.task).await;
            }
            parted = &mut typist, if is_typing => {
                is_typing = false;
                match parted?? {
                    Parted::Detached => return Ok(0),
                    Parted::Deaf => eprintln!("proffer: the task takes no input"),
                    Parted::Ended => {}
                }
            }
            signal = signals.next() => return Ok(of_signal(signal)),
        }
    }
}

/// The agent ends the stream with the task, so its end is the end.
async fn follow(reader: LogReader, output: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
    let (phase, receiver) = watch::channel(Phase::Started);
    drop(phase);
    reader.follow(receiver, output).await
}

/// The task's exit code; 1 when it has none. The master may hear of the end a moment after us.
async fn exit(cluster: &Cluster, task: &str) -> Result<u8> {
    let started = Instant::now();
    let task = loop {
        let found = cluster.find_task(task).await?;
        if is_terminal(found.state) || started.elapsed() > PATIENCE {
            break found;
        }
        sleep(WAIT).await;
    };
    let how = task
        .latest_status
        .and_then(|status| status.exit)
        .and_then(|exit| exit.how);
    match how {
        Some(how) => Ok(exit_of(Some(how))),
        None => Ok(u8::from(task.state != i32::from(TaskState::TaskFinished))),
    }
}

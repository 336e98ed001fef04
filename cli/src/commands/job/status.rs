//! `proffer job status`.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use futures::future::join_all;
use proffer_wire::v1;
use tokio::time::timeout;

use crate::client::{Cluster, JobPages, LogReader, MasterArgs, has_ended};
use crate::failure::refused;
use crate::output::{Answer as _, OutputArgs, Scene, print, show, show_scenes, terminal_width};
use crate::views::{Glance, Ink, JobView, MAX_SHOWN_WHOLE, Seen, Trouble};

/// How many instances of one state are shown at a glance.
const MAX_GLANCED: u32 = 5;
/// The lines of stderr that all of them share.
const STDERR_LINES: u32 = 20;
/// How much of one stderr is looked at: lines of a terminal are some hundred bytes.
const STDERR_BYTES: usize = 8 << 10;
/// How long is waited for all of them. An agent that is away must not keep anybody from the rest.
const STDERR_PATIENCE: Duration = Duration::from_secs(1);

/// Show how far a job is: its tasks, what failed and why, and what runs
///
/// Of a job of more than 20 instances, each task is one line; of what failed or runs a few are shown, with the last lines of
/// the stderr of those that failed. -o json has every instance.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    name: String,
    /// List every instance: state, exit code, wall time, cpu time, peak memory, attempts
    #[arg(short, long, env = "PROFFER_ALL", conflicts_with = "watch")]
    all: bool,
    /// List every instance that failed
    #[arg(long, env = "PROFFER_FAILED", conflicts_with = "watch")]
    failed: bool,
    /// List every instance in one of these states
    #[arg(
        long,
        env = "PROFFER_STATE",
        value_enum,
        value_delimiter = ',',
        conflicts_with = "watch"
    )]
    state: Vec<StateArg>,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Where an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StateArg {
    /// Waits for the tasks it comes after
    Blocked,
    /// Waits for an offer
    Waiting,
    /// Waits for its next attempt
    Delayed,
    Running,
    /// Runs, and gave up its cpus until its next turn
    Suspended,
    Finished,
    Failed,
    Cancelled,
}

impl From<StateArg> for v1::JobTaskState {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Blocked => Self::JobTaskBlocked,
            StateArg::Waiting => Self::JobTaskWaiting,
            StateArg::Delayed => Self::JobTaskDelayed,
            StateArg::Running => Self::JobTaskRunning,
            StateArg::Suspended => Self::JobTaskSuspended,
            StateArg::Finished => Self::JobTaskFinished,
            StateArg::Failed => Self::JobTaskFailed,
            StateArg::Cancelled => Self::JobTaskCancelled,
        }
    }
}

pub(super) async fn status(args: StatusArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let failed = args.failed.then_some(StateArg::Failed);
    let states: Vec<_> = args.state.iter().copied().chain(failed).map(Into::into).collect();
    if !args.output.is_table() {
        return show(args.output, async || {
            let pages = JobPages::new(&cluster, &args.name, &states);
            Ok(JobView::from(pages.all().await?))
        })
        .await;
    }
    if args.all || !states.is_empty() {
        return list(JobPages::new(&cluster, &args.name, &states)).await;
    }
    let ink = Ink::of_stdout();
    show_scenes(args.output.is_watched(), async |width| {
        let seen = look(&cluster, &args.name).await?;
        Ok(Scene {
            is_last: has_ended(&seen.job),
            text: Glance::new(seen).text(width, ink),
        })
    })
    .await
}

/// A page a table: a job may have a million instances.
async fn list(mut pages: JobPages) -> Result<u8> {
    let mut is_first = true;
    while let Some(page) = pages.next().await? {
        let (page, width) = (JobView::from(page), terminal_width());
        print(&if is_first {
            page.text(width)
        } else {
            page.table(width)
        })?;
        is_first = false;
    }
    Ok(0)
}

async fn look(cluster: &Cluster, name: &str) -> Result<Seen> {
    let some = async |state: v1::JobTaskState, limit| ask(cluster, name, &[state], limit).await;
    let mut job = some(v1::JobTaskState::JobTaskFailed, MAX_GLANCED).await?;
    let failed = troubles(cluster, &job).await;
    let counts = job.counts.clone();
    let n_delayed: u32 = counts.iter().map(|counts| counts.delayed).sum();
    let retrying = match n_delayed {
        0 => Vec::new(),
        _ => {
            troubles(
                cluster,
                &some(v1::JobTaskState::JobTaskDelayed, MAX_GLANCED).await?,
            )
            .await
        }
    };
    let n = counts.iter().map(n_instances).sum::<u64>();
    let mut running = Vec::new();
    if n <= MAX_SHOWN_WHOLE {
        job = ask(cluster, name, &[], 0).await?;
    } else if counts.iter().any(|counts| counts.running > 0) {
        running = some(v1::JobTaskState::JobTaskRunning, MAX_GLANCED).await?.tasks;
    }
    Ok(Seen {
        job,
        failed,
        retrying,
        running,
    })
}

fn n_instances(counts: &v1::JobTaskCounts) -> u64 {
    let v1::JobTaskCounts {
        blocked,
        waiting,
        running,
        finished,
        failed,
        cancelled,
        delayed,
        suspended,
    } = *counts;
    let all = [
        blocked, waiting, running, finished, failed, cancelled, delayed, suspended,
    ];
    all.map(u64::from).iter().sum()
}

async fn ask(cluster: &Cluster, name: &str, states: &[v1::JobTaskState], limit: u32) -> Result<v1::Job> {
    let request = v1::GetJobRequest {
        name: name.to_owned(),
        limit,
        states: states.iter().copied().map(i32::from).collect(),
        after: None,
        brief: true,
    };
    let answer = cluster.jobs().get_job(request).await;
    Ok(answer.map_err(|status| refused(&status))?.into_inner())
}

/// The instances of a job with the last lines of their stderr.
async fn troubles(cluster: &Cluster, job: &v1::Job) -> Vec<Trouble> {
    let n = u32::try_from(job.tasks.len()).unwrap_or(u32::MAX).max(1);
    let lines = (STDERR_LINES / n).max(1);
    let trouble = async |instance: &v1::JobTaskInstance| {
        // What was never launched has no output.
        let has_run = !instance.task_id.is_empty() && instance.status.is_some();
        let stderr = match has_run {
            true => Some(last_lines(cluster, &job.framework_id, instance, lines).await),
            false => None,
        };
        Trouble {
            instance: instance.clone(),
            stderr,
        }
    };
    join_all(job.tasks.iter().map(trouble)).await
}

async fn last_lines(
    cluster: &Cluster,
    framework_id: &str,
    instance: &v1::JobTaskInstance,
    lines: u32,
) -> Result<String, String> {
    let agent = instance.status.as_ref().map(|status| status.agent_id.clone());
    let reader = LogReader::new(cluster, framework_id, &instance.task_id, v1::LogStream::Stderr)
        .on_agent(agent)
        .tail(Some(lines));
    match timeout(STDERR_PATIENCE, reader.last_bytes(STDERR_BYTES)).await {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes?).into_owned()),
        Err(_) => Err(format!("no answer within {STDERR_PATIENCE:?}")),
    }
}

//! `proffer job logs`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;
use tokio::sync::watch;

use super::super::logs::StreamArgs;
use crate::client::{Cluster, JobWatcher, LogReader, MasterArgs, Phase, has_ended};
use crate::views::instance_name;

/// Print the output of a job's tasks, one after the other
///
/// The latest attempt of each counts. With --follow each is followed to its end before the next.
#[derive(Debug, Args)]
pub(crate) struct JobLogsArgs {
    name: String,
    /// Only this task
    #[arg(long, env = "PROFFER_TASK", value_name = "NAME")]
    task: Option<String>,
    /// Only this place of the array
    #[arg(long, env = "PROFFER_INDEX", value_name = "N")]
    index: Option<u32>,
    #[command(flatten)]
    which: StreamArgs,
    #[command(flatten)]
    master: MasterArgs,
}

/// One task of the job, by its place.
struct Place {
    at: usize,
    title: String,
}

pub(super) async fn logs(args: JobLogsArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::GetJobRequest {
        name: args.name.clone(),
        // As many as a message holds.
        limit: u32::MAX,
        ..Default::default()
    };
    let mut watcher = JobWatcher::new(&cluster, request);
    let mut job = watcher.next().await?;
    let places = wanted(&args, &job);
    anyhow::ensure!(
        !places.is_empty(),
        "job `{}` has no such task; `proffer job status {0}` shows them",
        args.name
    );
    let several = places.len() > 1;
    for place in places {
        if args.which.follow {
            while !has_started(&job, place.at) && !has_ended(&job) {
                job = watcher.next().await?;
            }
        }
        if several && has_started(&job, place.at) {
            eprintln!("==> {} <==", place.title);
        }
        print_one(&cluster, &job, place.at, args.which).await?;
    }
    Ok(0)
}

fn wanted(args: &JobLogsArgs, job: &v1::Job) -> Vec<Place> {
    let count = |name: &str| {
        let tasks = job.spec.iter().flat_map(|spec| &spec.tasks);
        tasks
            .clone()
            .find(|task| task.name == name)
            .map_or(1, |task| task.count)
    };
    let matches = |task: &v1::JobTaskInstance| {
        args.task.as_ref().is_none_or(|name| *name == task.name)
            && args.index.is_none_or(|index| index == task.index)
    };
    let place = |(at, task): (usize, &v1::JobTaskInstance)| Place {
        at,
        title: instance_name(&task.name, task.index, count(&task.name)),
    };
    job.tasks
        .iter()
        .enumerate()
        .filter(|(_, task)| matches(task))
        .map(place)
        .collect()
}

fn has_started(job: &v1::Job, at: usize) -> bool {
    job.tasks.get(at).is_some_and(|task| !task.task_id.is_empty())
}

async fn print_one(cluster: &Cluster, job: &v1::Job, at: usize, which: StreamArgs) -> Result<()> {
    let Some(task) = job.tasks.get(at).filter(|task| !task.task_id.is_empty()) else {
        return Ok(());
    };
    let reader = LogReader::new(cluster, &job.framework_id, &task.task_id, which.stream()).tail(which.tail);
    let mut stdout = tokio::io::stdout();
    let running = task.state() == v1::JobTaskState::JobTaskRunning;
    if !which.follow || !running {
        return reader.copy_once(&mut stdout).await;
    }
    // The agent ends the stream with the task, so its end is the end.
    let (phase, receiver) = watch::channel(Phase::Started);
    drop(phase);
    reader.follow(receiver, &mut stdout).await
}

//! `proffer job logs`.
//!
//! A job may have a million instances, so they are looked at a page at a time, and followed one by one.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;
use tokio::sync::watch;

use super::super::logs::StreamArgs;
use crate::client::{Cluster, JobPages, JobWatcher, LogReader, MasterArgs, Phase, has_ended};
use crate::failure::refused;
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

/// The tasks of a job whose output is wanted, and of each which indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    /// What is right before it; none before the first of the job.
    behind: Option<v1::JobTaskPlace>,
    task: String,
    count: u32,
    only: Option<u32>,
}

pub(super) async fn logs(args: JobLogsArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::GetJobRequest {
        name: args.name.clone(),
        limit: 1,
        brief: true,
        ..Default::default()
    };
    let answer = cluster.jobs().get_job(request).await;
    let job = answer.map_err(|status| refused(&status))?.into_inner();
    let wanted = wanted(&job.spec.unwrap_or_default(), args.task.as_deref(), args.index);
    anyhow::ensure!(
        !wanted.is_empty(),
        "job `{}` has no such task; `proffer job status {0}` shows them",
        args.name
    );
    let n: u64 = wanted.iter().map(Wanted::n).sum();
    for wanted in wanted {
        match args.which.follow {
            true => follow(&cluster, &args, &wanted, n > 1).await?,
            false => print_all(&cluster, &args, &wanted, n > 1).await?,
        }
    }
    Ok(0)
}

/// What is asked for of a job, in the order of its spec.
fn wanted(spec: &v1::JobSpec, task: Option<&str>, index: Option<u32>) -> Vec<Wanted> {
    let mut behind = None;
    let mut wanted = Vec::new();
    for of in &spec.tasks {
        let count = of.count.max(1);
        let place = |index| v1::JobTaskPlace {
            task: of.name.clone(),
            index,
        };
        let is_it = task.is_none_or(|name| name == of.name) && index.is_none_or(|index| index < count);
        if is_it {
            wanted.push(Wanted {
                behind: match index {
                    None | Some(0) => behind.clone(),
                    Some(index) => Some(place(index - 1)),
                },
                task: of.name.clone(),
                count,
                only: index,
            });
        }
        behind = Some(place(count - 1));
    }
    wanted
}

impl Wanted {
    fn n(&self) -> u64 {
        self.only.map_or(self.count.into(), |_| 1)
    }

    fn includes(&self, instance: &v1::JobTaskInstance) -> bool {
        instance.name == self.task && self.only.is_none_or(|index| index == instance.index)
    }

    fn title(&self, index: u32) -> String {
        instance_name(&self.task, index, self.count)
    }
}

/// Prints what there is of each now.
async fn print_all(cluster: &Cluster, args: &JobLogsArgs, wanted: &Wanted, several: bool) -> Result<()> {
    let mut pages = JobPages::new(cluster, &args.name, &[]).behind(wanted.behind.clone());
    while let Some(job) = pages.next().await? {
        for instance in &job.tasks {
            // What is wanted of a task stands together.
            if !wanted.includes(instance) {
                return Ok(());
            }
            if instance.task_id.is_empty() {
                continue;
            }
            if several {
                eprintln!("==> {} <==", wanted.title(instance.index));
            }
            let reader = reader(cluster, &job.framework_id, instance, args.which);
            reader.copy_once(&mut tokio::io::stdout()).await?;
        }
    }
    Ok(())
}

/// Prints each as it is written, one after the other.
async fn follow(cluster: &Cluster, args: &JobLogsArgs, wanted: &Wanted, several: bool) -> Result<()> {
    let mut behind = wanted.behind.clone();
    let indexes = match wanted.only {
        Some(index) => index..index + 1,
        None => 0..wanted.count,
    };
    for index in indexes {
        let request = v1::GetJobRequest {
            name: args.name.clone(),
            limit: 1,
            states: Vec::new(),
            after: behind,
            brief: true,
        };
        let mut watcher = JobWatcher::new(cluster, request);
        let (job, instance) = loop {
            let job = watcher.next().await?;
            let instance = job.tasks.first().filter(|instance| !instance.task_id.is_empty());
            match instance.cloned() {
                Some(instance) => break (job, Some(instance)),
                None if has_ended(&job) => break (job, None),
                None => {}
            }
        };
        behind = Some(v1::JobTaskPlace {
            task: wanted.task.clone(),
            index,
        });
        let Some(instance) = instance else { continue };
        if several {
            eprintln!("==> {} <==", wanted.title(index));
        }
        let reader = reader(cluster, &job.framework_id, &instance, args.which);
        let mut stdout = tokio::io::stdout();
        if instance.state() != v1::JobTaskState::JobTaskRunning {
            reader.copy_once(&mut stdout).await?;
            continue;
        }
        // The agent ends the stream with the task, so its end is the end.
        let (phase, receiver) = watch::channel(Phase::Started);
        drop(phase);
        reader.follow(receiver, &mut stdout).await?;
    }
    Ok(())
}

fn reader(
    cluster: &Cluster,
    framework_id: &str,
    instance: &v1::JobTaskInstance,
    which: StreamArgs,
) -> LogReader {
    let agent = instance.status.as_ref().map(|status| status.agent_id.clone());
    LogReader::new(cluster, framework_id, &instance.task_id, which.stream())
        .on_agent(agent)
        .tail(which.tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_is_read_from_right_behind_what_stands_before_it() {
        let task = |name: &str, count| v1::JobTask {
            name: name.to_owned(),
            count,
            ..Default::default()
        };
        let spec = v1::JobSpec {
            tasks: vec![task("a", 1), task("b", 9), task("c", 3)],
            ..Default::default()
        };
        let found = |task: Option<&str>, index: Option<u32>| {
            let wanted = wanted(&spec, task, index);
            let behind = |wanted: Wanted| {
                let place = wanted
                    .behind
                    .map_or("-".to_owned(), |place| format!("{}{}", place.task, place.index));
                format!("{} behind {place}", wanted.task)
            };
            wanted.into_iter().map(behind).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(found(None, None), "a behind -, b behind a0, c behind b8");
        assert_eq!(found(Some("b"), None), "b behind a0");
        assert_eq!(found(Some("b"), Some(0)), "b behind a0");
        assert_eq!(found(None, Some(2)), "b behind b1, c behind c1");
        assert_eq!(found(Some("c"), Some(3)), "");
        assert_eq!(found(Some("d"), None), "");
    }
}

//! `proffer stats`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use futures::future::join_all;
use proffer_wire::v1;
use tokio::sync::Mutex;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::{StatisticsView, is_terminal};

/// Between the two readings that a share of a cpu needs.
const BETWEEN: Duration = Duration::from_millis(500);

/// Show what running tasks use, as their hosts' kernels count it
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Ids of tasks; all that run where none is given
    #[arg(value_name = "TASK")]
    tasks: Vec<String>,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A framework's id and its task's.
type Key = (String, String);

/// The newest reading of each task.
type Readings = BTreeMap<Key, v1::Statistics>;

pub(super) async fn stats(args: StatsArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let before: Mutex<Option<Readings>> = Mutex::new(None);
    show(args.output, async || {
        let hosts = hosts(&cluster, &args.tasks).await?;
        let mut before = before.lock().await;
        if before.is_none() {
            *before = Some(by_key(&read(&cluster, &hosts).await));
            tokio::time::sleep(BETWEEN).await;
        }
        let read = read(&cluster, &hosts).await;
        let last = before.replace(by_key(&read)).unwrap_or_default();
        let rows = read.into_iter().map(|(hostname, task)| {
            let key = (task.framework_id.clone(), task.task_id.clone());
            let last = last.get(&key);
            StatisticsView::new(task, &hostname, last)
        });
        Ok(Rows(rows.collect()))
    })
    .await
}

/// One agent, and those of its tasks that are asked for.
struct Host {
    hostname: String,
    tasks: BTreeSet<Key>,
}

/// The agents to be asked, by address.
async fn hosts(cluster: &Cluster, wanted: &[String]) -> Result<BTreeMap<String, Host>> {
    let mut tasks = Vec::new();
    if wanted.is_empty() {
        tasks = cluster.tasks(v1::ListTasksRequest::default(), None).await?.tasks;
        tasks.retain(|task| !is_terminal(task.state));
    }
    for id in wanted {
        let task = cluster.find_task(id).await?;
        anyhow::ensure!(
            !is_terminal(task.state),
            "task `{id}` has ended; `proffer tasks --all` shows what it used"
        );
        tasks.push(task);
    }
    let mut hosts: BTreeMap<String, Host> = BTreeMap::new();
    for task in tasks {
        let host = hosts.entry(task.agent_address).or_insert_with(|| Host {
            hostname: task.agent_hostname,
            tasks: BTreeSet::new(),
        });
        let task_id = task.info.unwrap_or_default().task_id;
        host.tasks.insert((task.framework_id, task_id));
    }
    // Those the master cannot place.
    hosts.remove("");
    Ok(hosts)
}

/// What each agent counts, with its host's name. One that does not answer is told of, and left out.
async fn read(cluster: &Cluster, hosts: &BTreeMap<String, Host>) -> Vec<(String, v1::TaskStatistics)> {
    let asked = hosts.iter().map(async |(address, host)| {
        let mut client = cluster.stats(address)?;
        let request = v1::GetStatisticsRequest::default();
        let answer = client
            .get_statistics(request)
            .await
            .map_err(|status| refused(&status))?;
        let tasks = answer.into_inner().tasks.into_iter();
        let mine = tasks.filter(|task| {
            host.tasks
                .contains(&(task.framework_id.clone(), task.task_id.clone()))
        });
        anyhow::Ok(mine.map(|task| (host.hostname.clone(), task)).collect::<Vec<_>>())
    });
    let mut read = Vec::new();
    for ((address, _), answer) in hosts.iter().zip(join_all(asked).await) {
        match answer {
            Ok(answer) => read.extend(answer),
            Err(error) => eprintln!("proffer: the agent at {address} does not answer: {error:#}"),
        }
    }
    read
}

fn by_key(read: &[(String, v1::TaskStatistics)]) -> Readings {
    let readings = read.iter().filter_map(|(_, task)| {
        let key = (task.framework_id.clone(), task.task_id.clone());
        Some((key, task.statistics.clone()?))
    });
    readings.collect()
}

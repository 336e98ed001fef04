//! Two tasks take turns on one cpu: whoever runs is suspended, and the other one goes on with the cpu it gave up.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use proffer_cluster_tests::{Cluster, skipped, wait_for};
use proffer_sdk::store::Memory;
use proffer_sdk::types::{
    Filters, KillPolicy, Offer, Operation, Resources, StatusReason, TaskId, TaskInfo, TaskState, TaskStatus,
};
use proffer_sdk::{CancellationToken, Config, Context, Driver, Handle, Scheduler};

/// How long what takes milliseconds may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Long enough for whoever runs to count.
const A_WHILE: Duration = Duration::from_millis(300);

/// What each task needs; the agent has one cpu.
const NEED: &str = "cpus:1;mem:32MiB";

#[derive(Default)]
struct Turns {
    /// Who is next.
    waiting: VecDeque<TaskId>,
    /// The newest status of whoever was launched.
    seen: BTreeMap<TaskId, TaskStatus>,
    /// The suspension that each was resumed from last.
    resumed: BTreeMap<TaskId, u32>,
}

impl Turns {
    fn suspension(&self, task: &TaskId) -> u32 {
        self.seen
            .get(task)
            .map_or(0, |status| status.condition.suspension)
    }
}

impl Scheduler for Turns {
    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) {
        let need: Resources = NEED.parse().unwrap();
        for offer in offers.iter().filter(|offer| offer.resources.contains(&need)) {
            let Some(task) = self.waiting.pop_front() else {
                return;
            };
            let operation = match self.suspension(&task) {
                0 => {
                    let script = format!("while :; do printf . >> {task}; done");
                    let (id, agent) = (task, offer.agent_id.clone());
                    let info = TaskInfo::new(id, agent, need.clone(), ["sh", "-c", &script]);
                    Operation::Launch(vec![info])
                }
                suspension => {
                    self.resumed.insert(task.clone(), suspension);
                    Operation::Resume(vec![task])
                }
            };
            cx.accept(std::slice::from_ref(offer), vec![operation], Filters::DEFAULT);
        }
    }

    fn update(&mut self, _cx: &mut Context<'_>, status: &TaskStatus) {
        let (task, suspension) = (&status.task_id, status.condition.suspension);
        let is_news = suspension > self.resumed.get(task).copied().unwrap_or(0);
        let has_failed = status.reason == Some(StatusReason::TaskResumeFailed);
        if suspension != 0 && (is_news || has_failed) && !self.waiting.contains(task) {
            self.waiting.push_back(task.clone());
        }
        self.seen.insert(task.clone(), status.clone());
    }
}

/// A framework that runs on a thread of its own until it is dropped.
struct Framework {
    handle: Handle<Turns>,
    runtime: tokio::runtime::Runtime,
    end: CancellationToken,
}

impl Framework {
    fn start(cluster: &Cluster, tasks: [&TaskId; 2]) -> Result<Self> {
        let turns = Turns {
            waiting: tasks.map(Clone::clone).into(),
            ..Turns::default()
        };
        let mut config = Config::new(vec![cluster.master()?], "turns");
        config.info.failover_timeout = Duration::ZERO;
        let driver = Driver::new(config, Arc::new(Memory::new()), turns);
        let (handle, end) = (driver.handle(), CancellationToken::new());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        runtime.spawn(driver.run(end.clone()));
        Ok(Self { handle, runtime, end })
    }

    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Turns, &mut Context<'_>) -> T + Send + 'static,
    ) -> Result<T> {
        Ok(self.runtime.block_on(self.handle.call(call))?)
    }

    fn status(&self, task: &TaskId) -> Result<Option<TaskStatus>> {
        let task = task.clone();
        self.call(move |turns, _| turns.seen.get(&task).cloned())
    }

    /// Waits until a task is in a state and a suspension.
    fn wait_for(&self, task: &TaskId, state: TaskState, suspension: u32) -> Result<()> {
        let is_there = |status: &TaskStatus| {
            let runs = status.state == state && status.condition.suspension == suspension;
            runs && status.reason != Some(StatusReason::TaskResumeFailed)
        };
        let holds = || {
            self.status(task)
                .is_ok_and(|status| status.is_some_and(|status| is_there(&status)))
        };
        ensure!(
            wait_for(PATIENCE, holds),
            "`{task}` is not {} in suspension {suspension}: {:?}",
            state.as_str(),
            self.status(task)
        );
        Ok(())
    }

    fn suspend(&self, task: &TaskId) -> Result<()> {
        let task = task.clone();
        self.call(move |_, cx| cx.suspend(&task))
    }
}

impl Drop for Framework {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

fn count(cluster: &Cluster, task: &TaskId) -> u64 {
    let files = cluster.in_sandboxes(task.as_str());
    let sizes = files
        .iter()
        .map(|file| fs::metadata(file).map_or(0, |file| file.len()));
    sizes.sum()
}

/// Waits until one has counted, and the other one has not meanwhile.
fn check_turn(cluster: &Cluster, runs: &TaskId, waits: &TaskId) -> Result<()> {
    let before = (count(cluster, runs), count(cluster, waits));
    thread::sleep(A_WHILE);
    ensure!(
        wait_for(PATIENCE, || count(cluster, runs) > before.0),
        "`{runs}` does not go on"
    );
    ensure!(count(cluster, waits) == before.1, "`{waits}` goes on");
    Ok(())
}

#[test]
fn two_tasks_take_turns_on_one_cpu_over_the_death_of_their_agent_and_one_is_killed_while_it_waits()
-> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start_with_env(&[("PROFFER_RESOURCES", "cpus:1;mem:256MiB")])?;
    let (a, b) = (TaskId::new("a")?, TaskId::new("b")?);
    let framework = Framework::start(&cluster, [&a, &b])?;
    framework.wait_for(&a, TaskState::Running, 0)?;
    for turn in 1..=2 {
        framework.suspend(&a)?;
        framework.wait_for(&a, TaskState::Running, turn)?;
        framework.wait_for(&b, TaskState::Running, 0)?;
        check_turn(&cluster, &b, &a)?;
        framework.suspend(&b)?;
        framework.wait_for(&b, TaskState::Running, turn)?;
        framework.wait_for(&a, TaskState::Running, 0)?;
        check_turn(&cluster, &a, &b)?;
    }
    let listed = cluster.ok(&["ps"])?;
    ensure!(listed.contains("RUNNING, suspended"), "{listed}");

    cluster.kill_9("agent-1")?;
    check_turn(&cluster, &a, &b)?;
    framework.suspend(&a)?;
    framework.wait_for(&b, TaskState::Running, 0)?;
    check_turn(&cluster, &b, &a)?;

    let killed = a.clone();
    framework.call(move |_, cx| cx.kill(&killed, KillPolicy::default()))?;
    framework.wait_for(&a, TaskState::Killed, 0)?;
    check_turn(&cluster, &b, &a)?;
    Ok(())
}

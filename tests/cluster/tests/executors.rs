//! Executors in containers of a real agent: many tasks each, over the agent's death and their own.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{Cluster, skipped, wait_for};
use proffer_sdk::store::Memory;
use proffer_sdk::types::container::{Propagation, VolumeSource, VolumeSpec};
use proffer_sdk::types::{
    ContainerSpec, ExecutorId, ExecutorInfo, Filters, KillPolicy, Offer, Resources, StatusReason, TaskId,
    TaskInfo, TaskState, TaskStatus,
};
use proffer_sdk::{CancellationToken, Config, Context, Driver, Handle, Scheduler};

/// How long tasks of milliseconds may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the test's executor is compiled to.
const EXECUTOR: &str = env!("CARGO_BIN_EXE_executor");

/// A task to be launched: its id, what its executor is to do, and the executor's name and behaviour.
type Wanted = (String, String, Arc<ExecutorInfo>);

/// Every state of each task, in order and without repetitions.
type Seen = Arc<Mutex<BTreeMap<String, Vec<TaskStatus>>>>;

struct Script {
    need: Resources,
    waiting: Vec<Wanted>,
    launched: BTreeMap<String, Wanted>,
    seen: Seen,
}

impl Scheduler for Script {
    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) {
        for offer in offers {
            let mut rest = offer.resources.clone();
            let mut tasks = Vec::new();
            while rest.contains(&self.need)
                && let Some((id, data, executor)) = self.waiting.pop()
            {
                rest.subtract(&self.need);
                let again = (id.clone(), data.clone(), Arc::clone(&executor));
                self.launched.insert(id.clone(), again);
                let (id, agent) = (TaskId::new(id).unwrap(), offer.agent_id.clone());
                tasks.push(TaskInfo::for_executor(
                    id,
                    agent,
                    self.need.clone(),
                    executor,
                    data,
                ));
            }
            if !tasks.is_empty() {
                cx.launch(&offer, tasks, Filters::NONE);
            }
        }
    }

    /// What never reached the agent is launched again, as another task.
    fn update(&mut self, cx: &mut Context<'_>, status: &TaskStatus) {
        let task = status.task_id.as_str();
        if status.state == TaskState::Dropped
            && let Some((_, data, executor)) = self.launched.remove(task)
        {
            self.waiting.push((format!("{task}+"), data, executor));
            cx.revive();
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let of_task = seen.entry(status.task_id.to_string()).or_default();
        if of_task.last().is_none_or(|last| last.state != status.state) {
            of_task.push(status.clone());
        }
    }
}

/// A framework that runs on a thread of its own until it is dropped.
struct Framework {
    seen: Seen,
    handle: Handle<Script>,
    runtime: tokio::runtime::Runtime,
    end: CancellationToken,
}

impl Framework {
    fn start(cluster: &Cluster, tasks: Vec<Wanted>) -> Result<Self> {
        let (seen, end) = (Seen::default(), CancellationToken::new());
        let script = Script {
            need: "cpus:0.05;mem:32MiB".parse()?,
            waiting: tasks,
            launched: BTreeMap::new(),
            seen: Arc::clone(&seen),
        };
        let mut config = Config::new(vec![cluster.master()?], "script");
        config.info.failover_timeout = Duration::ZERO;
        let driver = Driver::new(config, Arc::new(Memory::new()), script);
        let handle = driver.handle();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        runtime.spawn(driver.run(end.clone()));
        Ok(Self {
            seen,
            handle,
            runtime,
            end,
        })
    }

    fn latest(&self, task: &str) -> Option<TaskStatus> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(task).and_then(|states| states.last().cloned())
    }

    /// Waits until a task is in a state, and returns what was said of it.
    fn wait_for(&self, task: &str, state: TaskState) -> Result<TaskStatus> {
        let is_there = || self.latest(task).is_some_and(|status| status.state == state);
        ensure!(
            wait_for(PATIENCE, is_there),
            "`{task}` is not {}: {:?}",
            state.as_str(),
            self.latest(task)
        );
        self.latest(task).context("it is there")
    }

    fn kill(&self, task: &str, grace: Duration) -> Result<()> {
        let task = TaskId::new(task)?;
        let policy = KillPolicy {
            grace_period: Some(grace),
        };
        let called = self.handle.call(move |_, cx| cx.kill(&task, policy));
        Ok(self.runtime.block_on(called)?)
    }

    /// Tasks that have ended, by how.
    fn ended(&self) -> BTreeMap<String, Vec<TaskState>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = |states: &[TaskStatus]| {
            let states = states.iter().map(|status| status.state);
            states.filter(|state| state.is_terminal()).collect::<Vec<_>>()
        };
        let all = seen.iter().map(|(id, states)| (id.clone(), ends(states)));
        all.filter(|(_, ends)| !ends.is_empty()).collect()
    }
}

impl Drop for Framework {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// The directory of the test's executor, which the host's root alone may get to.
fn programs() -> &'static Path {
    Path::new(EXECUTOR).parent().unwrap()
}

fn cluster() -> Result<Cluster> {
    let dir = programs().to_str().context("a path of the build")?;
    Cluster::start_with_env(&[("PROFFER_ALLOW_HOST_PATH", dir)])
}

fn executor(name: &str, how: &str) -> Arc<ExecutorInfo> {
    let volume = VolumeSpec {
        container_path: "/mnt".into(),
        source: VolumeSource::HostPath {
            path: programs().to_str().unwrap().into(),
            propagation: Propagation::Private,
        },
        read_only: true,
    };
    Arc::new(ExecutorInfo {
        id: ExecutorId::new(name).unwrap(),
        container: ContainerSpec {
            command: vec!["/mnt/executor".to_owned(), how.to_owned()],
            volumes: vec![volume],
            ..ContainerSpec::default()
        },
    })
}

fn wanted(task: &str, data: &str, executor: &Arc<ExecutorInfo>) -> Wanted {
    (task.to_owned(), data.to_owned(), Arc::clone(executor))
}

#[test]
fn tasks_share_one_executor_and_each_ends_once_although_its_agent_is_killed_in_between() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = cluster()?;
    let works = executor("works", "works");
    let task = |n: u32| wanted(&format!("t{n}"), &format!("sleep {}", n % 7 * 50), &works);
    let framework = Framework::start(&cluster, (0..200).map(task).collect())?;
    let ended = || {
        let ended = framework.ended();
        let all = ended.values().flatten();
        all.filter(|state| **state != TaskState::Dropped).count()
    };
    ensure!(wait_for(PATIENCE, || ended() >= 40), "only {} ended", ended());
    cluster.kill_9("agent-1")?;
    ensure!(wait_for(PATIENCE, || ended() >= 90), "only {} ended", ended());
    cluster.kill_9("agent-1")?;
    ensure!(wait_for(PATIENCE, || ended() == 200), "only {} ended", ended());

    let (mut pids, mut launches) = (BTreeSet::new(), BTreeSet::new());
    for (task, ends) in framework.ended() {
        let latest = framework.latest(&task).context("it ended")?;
        if ends == [TaskState::Dropped] {
            continue;
        }
        assert_eq!(ends, [TaskState::Finished], "{latest:?}");
        let message = latest.message;
        let (pid, launch) = message.split_once(' ').with_context(|| message.clone())?;
        pids.insert(pid.to_owned());
        launches.insert(launch.to_owned());
    }
    assert_eq!(pids.len(), 1, "one process for all: {pids:?}");
    assert_eq!(launches.len(), 200, "each launch was another one");
    Ok(())
}

#[test]
fn tasks_end_with_their_executor_and_are_told_how_it_ended() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = cluster()?;
    let (exits, eats) = (executor("exits", "works"), executor("eats", "works"));
    let tasks = vec![
        wanted("exit", "exit 3", &exits),
        wanted("beside", "sleep 600000", &exits),
        wanted("eat", "eat 300", &eats),
    ];
    let framework = Framework::start(&cluster, tasks)?;
    for task in ["exit", "beside"] {
        let end = framework.wait_for(task, TaskState::Failed)?;
        assert_eq!(end.reason, Some(StatusReason::ExecutorTerminated), "{end:?}");
        assert_eq!(end.message, "its executor `exits` exited with code 3");
    }
    let end = framework.wait_for("eat", TaskState::Failed)?;
    assert_eq!(
        end.reason,
        Some(StatusReason::ContainerLimitationMemory),
        "{end:?}"
    );
    Ok(())
}

#[test]
fn an_executor_that_ignores_a_kill_is_killed_and_one_that_obeys_goes_on() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = cluster()?;
    let (deaf, obeys) = (executor("deaf", "works"), executor("obeys", "works"));
    let tasks = vec![
        wanted("deaf", "sleep 600000", &deaf),
        wanted("beside", "sleep 600000", &deaf),
        wanted("obeys", "sleep 600000", &obeys),
        wanted("other", "sleep 600000", &obeys),
    ];
    let framework = Framework::start(&cluster, tasks)?;
    for task in ["deaf", "beside", "obeys", "other"] {
        framework.wait_for(task, TaskState::Running)?;
    }
    framework.kill("deaf", Duration::from_millis(100))?;
    framework.kill("obeys", Duration::from_millis(100))?;
    framework.wait_for("obeys", TaskState::Killed)?;
    framework.wait_for("deaf", TaskState::Killed)?;
    let end = framework.wait_for("beside", TaskState::Failed)?;
    assert_eq!(
        end.message,
        "its executor `deaf` was killed: it did not end task `deaf` in time"
    );
    let other = framework.latest("other").context("it runs")?;
    assert_eq!(other.state, TaskState::Running);
    Ok(())
}

#[test]
fn an_executor_that_says_what_it_must_not_is_disconnected_with_the_reason() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = cluster()?;
    let (rogue, works) = (executor("rogue", "rogue"), executor("works", "works"));
    let honest = Framework::start(&cluster, vec![wanted("honest", "sleep 600000", &works)])?;
    honest.wait_for("honest", TaskState::Running)?;
    let tasks = vec![
        wanted("rogue", "", &rogue),
        wanted("honest", "sleep 600000", &works),
    ];
    let framework = Framework::start(&cluster, tasks)?;
    let end = framework.wait_for("rogue", TaskState::Finished)?;
    let answers = end.message.lines().collect::<Vec<_>>();
    assert_eq!(
        answers,
        [
            "the first message must be `subscribe`",
            "subscribe.task_ids[0]: task id `a/b` must not contain `/`",
            "task `honest` is not one of it",
            "update.uuid: has 15 bytes, not 16",
            "update.state: LOST is not for an executor to say",
            "it has subscribed already",
            "what: is missing",
        ]
    );
    let other = honest.latest("honest").context("it runs")?;
    assert_eq!(
        other.state,
        TaskState::Running,
        "another framework's task of that id"
    );
    Ok(())
}

//! Executors: programs of a framework's own that run many of its tasks inside one container, and what they and their
//! agent say to each other.
//!
//! The socket is the authority: what comes through it is of the one container that has it, so no message names the
//! executor.

use std::sync::Arc;
use std::time::Duration;

use crate::{
    AgentId, ContainerSpec, ExecutorId, FrameworkId, Limits, ResourceName, StatusUuid, TaskId, TaskInfo,
    TaskState,
};

/// Where an executor finds its agent's socket: the value of [`ENV_SOCKET`].
pub const SOCKET: &str = "/run/proffer/executor/executor.sock";

/// The variable that tells an executor where its agent's socket is.
pub const ENV_SOCKET: &str = "PROFFER_EXECUTOR_SOCKET";
/// The variable that tells an executor its own id.
pub const ENV_EXECUTOR_ID: &str = "PROFFER_EXECUTOR_ID";
/// The variable that tells an executor whose it is.
pub const ENV_FRAMEWORK_ID: &str = "PROFFER_FRAMEWORK_ID";
/// The variable that tells an executor where it runs.
pub const ENV_AGENT_ID: &str = "PROFFER_AGENT_ID";

/// A program that runs tasks. There is one on an agent for each framework and id, started with its first task and ended
/// after its last one; its limits are the sum of what its live tasks ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorInfo {
    /// Unique among the framework's executors of an agent; all tasks that name it say the same of it.
    pub id: ExecutorId,
    /// Without what only single tasks have, see [`ExecutorInfo::problem`].
    pub container: ContainerSpec,
}

impl ExecutorInfo {
    /// An executor that is one command and takes every default, to be shared by its tasks.
    #[must_use]
    pub fn new(id: ExecutorId, command: impl IntoIterator<Item = impl Into<String>>) -> Arc<Self> {
        Arc::new(Self {
            id,
            container: ContainerSpec {
                command: command.into_iter().map(Into::into).collect(),
                ..ContainerSpec::default()
            },
        })
    }

    /// What its container asks for that an executor cannot have, if anything: its tasks are its own to watch, and its
    /// limits change while it runs.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        let spec = &self.container;
        let cannot = [
            (spec.health.is_some() || spec.readiness.is_some(), "checks"),
            (spec.restart != Default::default(), "a restart policy"),
            (spec.retention != Default::default(), "a retention"),
            (!spec.network.ports.is_empty(), "ports"),
            (spec.tty || spec.stdin, "a terminal or an input"),
            (
                spec.cgroup.memory_min.is_some() || spec.cgroup.cpu_burst_us.is_some(),
                "memory_min or cpu_burst",
            ),
        ];
        cannot.iter().find(|(has, _)| *has).map(|(_, what)| *what)
    }
}

/// The least cpus of a task with an executor, in thousandths of a core: the kernel's smallest quota.
const MIN_CPU_MILLIS: u64 = 10;

impl TaskInfo {
    /// Checks what concerns an executor; for people. Whoever runs in a container that lives already gets nothing of
    /// which the container would have to know from its start.
    pub fn check_executor(&self) -> Result<(), String> {
        if self.id.is_of_executor() {
            return Err(format!("the task's id `{}` is that of an executor", self.id));
        }
        let Some(executor) = &self.executor else {
            return match self.data.is_empty() {
                true => Ok(()),
                false => Err("the task has data, and no executor to have it".to_owned()),
            };
        };
        if self.container != ContainerSpec::default() {
            return Err("the task has an executor and a container of its own".to_owned());
        }
        if let Some(what) = executor.problem() {
            return Err(format!("executor `{}` cannot have {what}", executor.id));
        }
        let resources = &self.resources;
        if resources.cpu_millis() < MIN_CPU_MILLIS || resources.mem_bytes() == 0 {
            return Err("a task with an executor asks for at least 0.01 cpus, and for mem".to_owned());
        }
        if resources.volumes().next().is_some() || resources.without_revocable() != *resources {
            return Err("a task with an executor has neither volumes nor revocable resources".to_owned());
        }
        if self.limits != Limits::default() {
            return Err("a task with an executor has no limits beside what it asks for".to_owned());
        }
        let scalars = resources.custom_scalars().map(|(name, _)| name);
        let ranges = resources.all_ranges().map(|(name, _)| name);
        let sets = resources.all_sets().map(|(name, _)| name);
        let mut names = scalars.chain(ranges).chain(sets);
        match names.find(|name| **name != ResourceName::Ports) {
            Some(name) => Err(format!("a task with an executor cannot have `{name}`")),
            None => Ok(()),
        }
    }
}

/// What an executor tells its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecutorCall {
    /// First on every stream: the tasks it runs, and those of which updates are not acknowledged. These updates follow.
    Subscribe {
        tasks: Vec<TaskId>,
    },
    Update(ExecutorUpdate),
}

/// What became of a task, by its executor's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorUpdate {
    pub task_id: TaskId,
    /// Running, or how it ended: finished, failed or killed.
    pub state: TaskState,
    /// For people, or for the framework.
    pub message: String,
    /// Chosen by the executor; the same when the update is sent again.
    pub uuid: StatusUuid,
}

impl ExecutorUpdate {
    /// Whether an executor may say that of a task.
    #[must_use]
    pub fn is_for_executors(state: TaskState) -> bool {
        matches!(
            state,
            TaskState::Running | TaskState::Finished | TaskState::Failed | TaskState::Killed
        )
    }
}

/// What an agent tells an executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecutorEvent {
    /// The answer to a subscription.
    Subscribed {
        framework_id: FrameworkId,
        agent_id: AgentId,
        executor_id: ExecutorId,
    },
    /// Start a task. Comes once for each, but again when neither the last subscription nor an update named it.
    Launch(TaskInfo),
    /// End a task and report it. An executor that takes longer than the grace period, and a little more, is killed.
    Kill { task_id: TaskId, grace: Duration },
    /// The agent keeps the update now; the executor may forget it.
    Acknowledged { task_id: TaskId, uuid: StatusUuid },
    /// End every task and exit, within the time.
    Shutdown { grace: Duration },
}

//! Tasks and what is known of how they run or ran.

use std::collections::BTreeMap;

use proffer_types::resources::format::format_size;
use proffer_wire::v1;
use proffer_wire::v1::list_tasks_response::Task;
use proffer_wire::v1::task_exit::How;
use serde::Serialize;
use serde_json::Value;

use super::text::{State, bundle_json, scalar, span_us, state_name, without_prefix};
use crate::output::{Column, Row, left, right};

/// Whether a wire state is final.
pub(crate) fn is_terminal(state: i32) -> bool {
    use v1::TaskState as S;
    match S::try_from(state).unwrap_or(S::Unspecified) {
        S::TaskFinished
        | S::TaskFailed
        | S::TaskKilled
        | S::TaskError
        | S::TaskLost
        | S::TaskDropped
        | S::TaskGone
        | S::TaskGoneByOperator => true,
        S::Unspecified
        | S::TaskStaging
        | S::TaskStarting
        | S::TaskRunning
        | S::TaskKilling
        | S::TaskUnreachable
        | S::TaskUnknown => false,
    }
}

/// The latest status of a task.
#[derive(Debug, Default, Serialize)]
pub(crate) struct StatusView {
    pub(crate) state: State,
    pub(crate) reason: Option<String>,
    pub(crate) message: String,
    pub(crate) exit_code: Option<i32>,
    pub(crate) exit_signal: Option<i32>,
    pub(crate) wall_time_us: Option<u64>,
    pub(crate) cpu_time_us: Option<u64>,
    pub(crate) mem_peak_bytes: Option<u64>,
    pub(crate) pids_refused: Option<u64>,
    pub(crate) oom_kills: Option<u64>,
    /// From and to block devices; absent where the host did not count it.
    read_bytes: Option<u64>,
    write_bytes: Option<u64>,
    pub(crate) timestamp_ms: u64,
    /// By its checks; absent before the first result that counts, and without a check.
    healthy: Option<bool>,
    ready: Option<bool>,
    /// Its processes are frozen, and its cpus are others'.
    suspended: bool,
    /// By its agent, in place.
    restarts: u32,
    /// Where it is reached, when it has a network of its own.
    addresses: Vec<String>,
}

impl From<v1::TaskStatus> for StatusView {
    fn from(status: v1::TaskStatus) -> Self {
        let how = status.exit.as_ref().and_then(|exit| exit.how);
        let usage = status.usage.as_ref();
        let io = usage.and_then(|usage| usage.io);
        let condition = status.condition.clone().unwrap_or_default();
        let reason = status.reason();
        let reason = (reason != v1::StatusReason::Unspecified)
            .then(|| without_prefix(reason.as_str_name(), "REASON_").to_owned());
        Self {
            state: state_name(status.state().as_str_name(), "TASK_"),
            reason,
            exit_code: match how {
                Some(How::Code(code)) => Some(code),
                Some(How::Signal(_)) | None => None,
            },
            exit_signal: match how {
                Some(How::Signal(signal)) => Some(signal),
                Some(How::Code(_)) | None => None,
            },
            wall_time_us: usage.map(|usage| usage.wall_time_us),
            cpu_time_us: usage.map(|usage| usage.cpu_time_us),
            mem_peak_bytes: usage.map(|usage| usage.mem_peak_bytes),
            pids_refused: usage.map(|usage| usage.pids_refused),
            oom_kills: usage.map(|usage| usage.oom_kills),
            read_bytes: io.map(|io| io.read_bytes),
            write_bytes: io.map(|io| io.write_bytes),
            timestamp_ms: status.timestamp_ms,
            healthy: condition.healthy,
            ready: condition.ready,
            suspended: condition.suspension != 0,
            restarts: condition.restarts,
            addresses: condition.addresses,
            message: status.message,
        }
    }
}

impl StatusView {
    /// Columns of [`StatusView::usage_cells`].
    pub(super) const EXIT: Column = right("EXIT");

    /// `3`, `signal 9`, or `-` while there is none.
    pub(super) fn exit(&self) -> String {
        match (self.exit_code, self.exit_signal) {
            (Some(code), _) => code.to_string(),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "-".to_owned(),
        }
    }

    /// Columns of [`StatusView::condition`].
    pub(super) const CONDITION: [Column; 2] = [left("HEALTH").if_any(), right("RESTARTS").if_any()];

    /// What its checks found, and how often it was restarted; empty where there is nothing to tell.
    pub(super) fn condition(&self) -> [String; 2] {
        let word = |found: Option<bool>, yes, no| found.map(|found| if found { yes } else { no });
        let health = word(self.healthy, "healthy", "unhealthy");
        let readiness = word(self.ready, "ready", "not ready");
        let words: Vec<_> = health.into_iter().chain(readiness).collect();
        let restarts = match self.restarts {
            0 => String::new(),
            n => n.to_string(),
        };
        [words.join(", "), restarts]
    }

    /// Whether its readiness check, if it has one, lets it take work.
    pub(super) fn is_ready(&self, has_check: bool) -> bool {
        !has_check || self.ready == Some(true)
    }

    /// Wall time, cpu time and peak memory as the kernel counted them.
    pub(super) fn usage(&self) -> [String; 3] {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            or_dash(self.wall_time_us.map(span_us)),
            or_dash(self.cpu_time_us.map(span_us)),
            or_dash(self.mem_peak_bytes.map(format_size)),
        ]
    }

    /// `CONTAINER_LIMITATION_MEMORY: used 64MiB of 64MiB`.
    pub(crate) fn why(&self) -> String {
        match (&self.reason, self.message.as_str()) {
            (None, message) => message.to_owned(),
            (Some(reason), "") => reason.clone(),
            (Some(reason), message) => format!("{reason}: {message}"),
        }
    }
}

/// One task, with everything known of it.
#[derive(Debug, Serialize)]
pub(crate) struct TaskView {
    task_id: String,
    name: String,
    framework_id: String,
    framework_name: String,
    role: String,
    state: State,
    agent_id: String,
    agent_hostname: String,
    agent_address: String,
    command: Vec<String>,
    /// Whoever runs the task, if not its agent itself.
    executor_id: Option<String>,
    resources: BTreeMap<String, Value>,
    labels: BTreeMap<String, String>,
    latest_status: Option<StatusView>,
    #[serde(skip)]
    cpus: String,
    #[serde(skip)]
    mem: String,
}

impl TaskView {
    /// The state, as tables write it.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The same, and whether the task is suspended in it.
    fn state_cell(&self) -> String {
        let is_suspended = self.latest_status.as_ref().is_some_and(|status| status.suspended);
        let suspended = if is_suspended { ", suspended" } else { "" };
        format!("{}{suspended}", self.state)
    }
}

impl From<Task> for TaskView {
    fn from(task: Task) -> Self {
        let state = state_name(task.state().as_str_name(), "TASK_");
        let info = task.info.unwrap_or_default();
        let resources = info.resources.as_ref();
        Self {
            state,
            cpus: scalar(resources, "cpus"),
            mem: scalar(resources, "mem"),
            resources: bundle_json(resources),
            task_id: info.task_id,
            name: info.name,
            framework_id: task.framework_id,
            framework_name: task.framework_name,
            role: task.role,
            agent_id: info.agent_id,
            agent_hostname: task.agent_hostname,
            agent_address: task.agent_address,
            executor_id: info.executor.map(|executor| executor.executor_id),
            command: info.container.unwrap_or_default().command,
            labels: info.labels,
            latest_status: task.latest_status.map(StatusView::from),
        }
    }
}

impl Row for TaskView {
    const COLUMNS: &'static [Column] = &[
        left("TASK"),
        left("FRAMEWORK"),
        left("STATE"),
        StatusView::EXIT,
        right("WALL"),
        right("CPU"),
        right("PEAK MEM"),
        StatusView::CONDITION[0],
        StatusView::CONDITION[1],
        left("HOST"),
        left("REASON"),
    ];

    fn cells(&self) -> Vec<String> {
        let none = StatusView::default();
        let status = self.latest_status.as_ref().unwrap_or(&none);
        let [wall, cpu, mem] = status.usage();
        let [health, restarts] = status.condition();
        vec![
            self.task_id.clone(),
            self.framework_name.clone(),
            self.state_cell(),
            status.exit(),
            wall,
            cpu,
            mem,
            health,
            restarts,
            self.agent_hostname.clone(),
            status.why(),
        ]
    }
}

/// One task that is not over, for `ps`. The same JSON as [`TaskView`].
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct ActiveTask(pub(crate) TaskView);

impl Row for ActiveTask {
    const COLUMNS: &'static [Column] = &[
        left("TASK"),
        left("FRAMEWORK"),
        left("ROLE"),
        left("STATE"),
        right("CPUS"),
        right("MEM"),
        StatusView::CONDITION[0],
        StatusView::CONDITION[1],
        left("HOST"),
        left("ADDRESS").if_any(),
        left("COMMAND"),
    ];

    fn cells(&self) -> Vec<String> {
        let task = &self.0;
        let none = StatusView::default();
        let status = task.latest_status.as_ref().unwrap_or(&none);
        let [health, restarts] = status.condition();
        vec![
            task.task_id.clone(),
            task.framework_name.clone(),
            task.role.clone(),
            task.state_cell(),
            task.cpus.clone(),
            task.mem.clone(),
            health,
            restarts,
            task.agent_hostname.clone(),
            status.addresses.join(" "),
            match &task.executor_id {
                Some(id) => format!("executor {id}"),
                None => task.command.join(" "),
            },
        ]
    }
}

//! From how a container ended to what is reported of its task.
//!
//! Success is reported only on an exit record that says 0; whatever is not known is a failure.

use std::time::Duration;

use proffer_types::resources::format::format_size;
use proffer_types::{ExecutorId, Limit, StatusReason, TaskExit, TaskState, Usage};

use crate::config::{EXECUTOR_REGISTRATION_TIMEOUT, EXECUTOR_REREGISTRATION_TIMEOUT};
use crate::executor::EndCause;
use crate::task::{Phase, Task};
use crate::{ContainerEnd, KillCause};

const SIGKILL: i32 = 9;
/// What a shell exits with when its child died of SIGKILL.
const SHELL_SIGKILL: i32 = 128 + SIGKILL;

/// A container at its limit has used all of it but less than this part: pages that the kernel holds ready, and
/// those that were taken back just before.
const OOM_MARGIN: u64 = 8;

/// What is reported at the end of a task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) state: TaskState,
    pub(crate) reason: Option<StatusReason>,
    pub(crate) message: String,
}

fn verdict(state: TaskState, reason: Option<StatusReason>, message: impl Into<String>) -> Verdict {
    Verdict {
        state,
        reason,
        message: message.into(),
    }
}

/// What is known when a container is gone.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) phase: Phase,
    pub(crate) kill: Option<&'a KillCause>,
    pub(crate) end: &'a ContainerEnd,
    /// The host was rebooted since it was last seen.
    pub(crate) is_rebooted: bool,
    pub(crate) usage: Option<&'a Usage>,
    pub(crate) mem_limit: Limit,
    pub(crate) max_completion_time: Option<Duration>,
}

/// Decides how the end of a container is reported. A kill decides before the exit does, as in Mesos.
pub(crate) fn judge(evidence: &Evidence<'_>) -> Verdict {
    match evidence.kill {
        Some(cause) => of_kill(cause, evidence.max_completion_time),
        None => of_end(evidence),
    }
}

fn of_kill(cause: &KillCause, max_completion_time: Option<Duration>) -> Verdict {
    use TaskState::{Failed, Killed};
    match cause {
        KillCause::Requested => verdict(Killed, None, ""),
        KillCause::RequestedDuringLaunch => verdict(
            Killed,
            Some(StatusReason::TaskKilledDuringLaunch),
            "killed while its container was being launched",
        ),
        KillCause::FrameworkShutdown => verdict(
            Killed,
            Some(StatusReason::FrameworkRemoved),
            "its framework was removed",
        ),
        KillCause::AgentStopping => verdict(Killed, None, "the agent was stopped together with its tasks"),
        KillCause::GroupEnded { task_id } => {
            let message = format!("task `{task_id}` of its group did not finish");
            verdict(Killed, None, message)
        }
        KillCause::Unhealthy { message } => {
            verdict(Failed, Some(StatusReason::TaskUnhealthy), message.clone())
        }
        KillCause::LimitExceeded { reason, message } => verdict(Failed, Some(*reason), message.clone()),
        KillCause::MaxCompletionTime => verdict(
            Failed,
            Some(StatusReason::MaxCompletionTimeReached),
            match max_completion_time {
                Some(limit) => format!("ran longer than its max_completion_time of {limit:?}"),
                None => "ran longer than its max_completion_time".to_owned(),
            },
        ),
    }
}

fn of_end(evidence: &Evidence<'_>) -> Verdict {
    use TaskState::{Failed, Finished};
    if evidence.is_rebooted && is_of_reboot(evidence.end) {
        return rebooted();
    }
    match evidence.end {
        ContainerEnd::Exit(TaskExit::Code(0)) => verdict(Finished, None, ""),
        ContainerEnd::Exit(exit) => of_failure(*exit, evidence),
        ContainerEnd::NotStarted { error, .. } => {
            verdict(Failed, Some(StatusReason::ContainerLaunchFailed), error.clone())
        }
        ContainerEnd::Unknown if evidence.phase == Phase::Launching => verdict(
            TaskState::Dropped,
            Some(StatusReason::AgentRestarted),
            "the agent restarted before its container was launched",
        ),
        ContainerEnd::Unknown => verdict(
            Failed,
            Some(StatusReason::ContainerStatusUnknown),
            "its container is gone and left no exit status",
        ),
    }
}

/// What ends with the host may have left no word, or that of the signal it was ended by; only an exit code is the
/// command's own.
fn is_of_reboot(end: &ContainerEnd) -> bool {
    match end {
        ContainerEnd::Unknown | ContainerEnd::Exit(TaskExit::Signal(_)) => true,
        ContainerEnd::Exit(TaskExit::Code(_)) | ContainerEnd::NotStarted { .. } => false,
    }
}

/// The agent is there, the task is not, and that is no fault of its own.
pub(crate) fn rebooted() -> Verdict {
    verdict(
        TaskState::Gone,
        Some(StatusReason::AgentRebooted),
        "its host was rebooted",
    )
}

fn of_failure(exit: TaskExit, evidence: &Evidence<'_>) -> Verdict {
    let usage = evidence.usage.copied().unwrap_or_default();
    let by_sigkill = matches!(exit, TaskExit::Signal(SIGKILL) | TaskExit::Code(SHELL_SIGKILL));
    if usage.oom_kills > 0 && by_sigkill {
        return of_oom_kill(evidence.mem_limit, usage.mem_peak_bytes);
    }
    let mut message = match exit {
        TaskExit::Code(code) => format!("command exited with code {code}"),
        TaskExit::Signal(signal) => format!("command was ended by signal {signal}"),
    };
    if usage.pids_refused > 0 {
        let n = usage.pids_refused;
        let forks = if n == 1 { "fork" } else { "forks" };
        message += &format!("; its pids limit refused {n} {forks}");
    }
    if usage.oom_kills > 0 {
        message += &format!(
            "; the kernel killed {} of its processes at its memory limit",
            usage.oom_kills
        );
    }
    verdict(TaskState::Failed, Some(StatusReason::CommandFailed), message)
}

/// The kernel kills within a container when that is at its limit, and any process when the host has no memory left.
fn of_oom_kill(limit: Limit, peak_bytes: u64) -> Verdict {
    let peak = format_size(peak_bytes);
    match limit {
        Limit::At(bytes) if peak_bytes >= bytes - bytes / OOM_MARGIN => verdict(
            TaskState::Failed,
            Some(StatusReason::ContainerLimitationMemory),
            format!(
                "killed by the kernel at its memory limit of {} (peak {peak})",
                format_size(bytes)
            ),
        ),
        Limit::At(_) | Limit::Infinite => verdict(
            TaskState::Failed,
            Some(StatusReason::CommandFailed),
            format!("killed by the kernel when the host ran out of memory (peak {peak})"),
        ),
    }
}

/// Decides how an executor's word on the end of a task is reported. Success is never talked away; else a kill decides.
pub(crate) fn of_executor(task: &Task, state: TaskState, message: String) -> Verdict {
    use TaskState::{Failed, Finished, Killed};
    let cause = task.kill.as_ref().map(|kill| &kill.cause);
    let fails = matches!(
        cause,
        Some(KillCause::MaxCompletionTime | KillCause::Unhealthy { .. } | KillCause::LimitExceeded { .. })
    );
    let mut verdict = match (state, cause) {
        (Finished, _) => verdict(Finished, None, ""),
        (Killed, Some(cause)) => of_kill(cause, task.info.max_completion_time),
        (Killed, None) => verdict(Killed, None, ""),
        (_, Some(cause)) if fails => of_kill(cause, task.info.max_completion_time),
        _ => verdict(Failed, Some(StatusReason::CommandFailed), ""),
    };
    if verdict.message.is_empty() {
        verdict.message = message;
    }
    verdict
}

/// What is known when an executor is gone.
#[derive(Debug)]
pub(crate) struct ExecutorEvidence<'a> {
    pub(crate) id: &'a ExecutorId,
    pub(crate) cause: Option<&'a EndCause>,
    pub(crate) end: &'a ContainerEnd,
    /// As of a task.
    pub(crate) is_rebooted: bool,
    pub(crate) usage: Option<&'a Usage>,
    pub(crate) mem_limit: Limit,
    pub(crate) was_subscribed: bool,
    pub(crate) was_found_running: bool,
}

/// Decides how the end of a task is reported whose executor is gone.
pub(crate) fn judge_task(evidence: &ExecutorEvidence<'_>, task: &Task) -> Verdict {
    match &task.kill {
        Some(kill) => of_kill(&kill.cause, task.info.max_completion_time),
        None => evidence.judge(),
    }
}

impl ExecutorEvidence<'_> {
    /// How it ended, for people.
    pub(crate) fn in_words(&self) -> String {
        match self.cause {
            Some(EndCause::Idle) => "it had no task".to_owned(),
            Some(_) | None => self.judge().message,
        }
    }

    fn judge(&self) -> Verdict {
        let id = self.id;
        let failed = |reason, message: String| verdict(TaskState::Failed, Some(reason), message);
        match self.cause {
            Some(EndCause::Silent { again: false }) => failed(
                StatusReason::ExecutorRegistrationTimeout,
                format!("its executor `{id}` did not subscribe within {EXECUTOR_REGISTRATION_TIMEOUT:?}"),
            ),
            Some(EndCause::Silent { again: true }) => failed(
                StatusReason::ExecutorReregistrationTimeout,
                format!(
                    "its executor `{id}` did not subscribe again within {EXECUTOR_REREGISTRATION_TIMEOUT:?}"
                ),
            ),
            Some(EndCause::KillIgnored { task_id }) => failed(
                StatusReason::ExecutorTerminated,
                format!("its executor `{id}` was killed: it did not end task `{task_id}` in time"),
            ),
            Some(EndCause::LimitExceeded { reason, message }) => failed(*reason, message.clone()),
            Some(EndCause::Idle) | None => self.of_end(),
        }
    }

    fn of_end(&self) -> Verdict {
        let id = self.id;
        let failed = |reason, message: String| verdict(TaskState::Failed, Some(reason), message);
        if self.is_rebooted && is_of_reboot(self.end) {
            return rebooted();
        }
        match self.end {
            ContainerEnd::NotStarted { error, .. } => {
                failed(StatusReason::ContainerLaunchFailed, error.clone())
            }
            ContainerEnd::Unknown if !self.was_subscribed && !self.was_found_running => verdict(
                TaskState::Dropped,
                Some(StatusReason::AgentRestarted),
                "the agent restarted before its executor was launched",
            ),
            ContainerEnd::Unknown => failed(
                StatusReason::ContainerStatusUnknown,
                format!("its executor `{id}` is gone and left no exit status"),
            ),
            ContainerEnd::Exit(exit) => self.of_exit(*exit),
        }
    }

    fn of_exit(&self, exit: TaskExit) -> Verdict {
        let id = self.id;
        let usage = self.usage.copied().unwrap_or_default();
        let by_sigkill = matches!(exit, TaskExit::Signal(SIGKILL) | TaskExit::Code(SHELL_SIGKILL));
        if usage.oom_kills > 0 && by_sigkill {
            let mut verdict = of_oom_kill(self.mem_limit, usage.mem_peak_bytes);
            verdict.message = format!("its executor `{id}` was {}", verdict.message);
            return verdict;
        }
        let how = match exit {
            TaskExit::Code(code) => format!("exited with code {code}"),
            TaskExit::Signal(signal) => format!("was ended by signal {signal}"),
        };
        verdict(
            TaskState::Failed,
            Some(StatusReason::ExecutorTerminated),
            format!("its executor `{id}` {how}"),
        )
    }
}

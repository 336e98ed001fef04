//! From how a container ended to what is reported of its task.
//!
//! Success is reported only on an exit record that says 0; whatever is not known is a failure.

use std::time::Duration;

use proffer_types::resources::format::format_size;
use proffer_types::{Limit, StatusReason, TaskExit, TaskState, Usage};

use crate::task::Phase;
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
    pub(crate) usage: Option<&'a Usage>,
    pub(crate) mem_limit: Limit,
    pub(crate) max_completion_time: Option<Duration>,
}

/// Decides how the end of a container is reported. A kill decides before the exit does, as in Mesos.
pub(crate) fn judge(evidence: &Evidence<'_>) -> Verdict {
    match evidence.kill {
        Some(cause) => of_kill(cause, evidence),
        None => of_end(evidence),
    }
}

fn of_kill(cause: &KillCause, evidence: &Evidence<'_>) -> Verdict {
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
            match evidence.max_completion_time {
                Some(limit) => format!("ran longer than its max_completion_time of {limit:?}"),
                None => "ran longer than its max_completion_time".to_owned(),
            },
        ),
    }
}

fn of_end(evidence: &Evidence<'_>) -> Verdict {
    use TaskState::{Failed, Finished};
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

//! How a run ends: the task's own exit code, and a sentence where the code alone would not tell.

use proffer_wire::v1;
use proffer_wire::v1::task_exit::How;

use crate::spec::{Bytes, UpTo};
use crate::views::StatusView;

/// SIGKILL.
const SIGKILL: i32 = 9;

/// The exit code for the last status of the task; `signal` is what the user sent, if anything.
pub(super) fn exit_code(status: Option<&v1::TaskStatus>, signal: Option<i32>, mem: UpTo<Bytes>) -> u8 {
    let how = status.and_then(|status| status.exit.as_ref()?.how);
    if let Some(sentence) = status.and_then(|status| sentence(status, how, signal.is_some(), mem)) {
        eprintln!("proffer: {sentence}");
    }
    let reason = status.map_or(v1::StatusReason::Unspecified, v1::TaskStatus::reason);
    match how {
        Some(_) => exit_of(how),
        None if reason == v1::StatusReason::ReasonContainerLimitationMemory => of_signal(SIGKILL),
        None => signal.map_or(1, of_signal),
    }
}

/// The exit code of a process that ended like that; 1 when nobody knows.
pub(in crate::commands) fn exit_of(how: Option<How>) -> u8 {
    match how {
        Some(How::Code(code)) => u8::try_from(code & 0xff).unwrap_or(1),
        Some(How::Signal(signal)) => of_signal(signal),
        None => 1,
    }
}

/// 128 + the signal.
pub(in crate::commands) fn of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

fn sentence(status: &v1::TaskStatus, how: Option<How>, asked: bool, mem: UpTo<Bytes>) -> Option<String> {
    use v1::StatusReason as R;
    let view = StatusView::from(status.clone());
    match (status.reason(), how) {
        (R::ReasonContainerLimitationMemory, _) => Some(format!(
            "the task was killed at its memory limit of {mem} (CONTAINER_LIMITATION_MEMORY)"
        )),
        // The code says it all.
        (R::Unspecified | R::ReasonCommandFailed, Some(_)) => None,
        _ if asked || status.state() == v1::TaskState::TaskFinished => None,
        _ => Some(format!("the task ended as {}: {}", view.state, view.why())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: v1::TaskState, reason: v1::StatusReason, how: Option<How>) -> v1::TaskStatus {
        v1::TaskStatus {
            state: state.into(),
            reason: reason.into(),
            exit: how.map(|how| v1::TaskExit { how: Some(how) }),
            ..Default::default()
        }
    }

    #[test]
    fn the_exit_code_is_the_tasks_own() {
        use v1::{StatusReason as R, TaskState as S};
        let mem = UpTo::At(Bytes(64 << 20));
        let code = |status: v1::TaskStatus, signal| exit_code(Some(&status), signal, mem);
        assert_eq!(
            code(status(S::TaskFinished, R::Unspecified, Some(How::Code(0))), None),
            0
        );
        assert_eq!(
            code(
                status(S::TaskFailed, R::ReasonCommandFailed, Some(How::Code(3))),
                None
            ),
            3
        );
        assert_eq!(
            code(
                status(S::TaskFailed, R::ReasonCommandFailed, Some(How::Signal(6))),
                None
            ),
            134
        );
        assert_eq!(
            code(status(S::TaskKilled, R::Unspecified, Some(How::Code(7))), Some(2)),
            7
        );
        assert_eq!(code(status(S::TaskKilled, R::Unspecified, None), Some(15)), 143);
        assert_eq!(
            code(
                status(S::TaskFailed, R::ReasonContainerLimitationMemory, None),
                None
            ),
            137
        );
        assert_eq!(code(status(S::TaskGone, R::ReasonAgentRemoved, None), None), 1);
        assert_eq!(exit_code(None, Some(2), mem), 130);
    }

    #[test]
    fn a_command_that_could_not_be_executed_has_the_shells_code() {
        use v1::{StatusReason as R, TaskState as S};
        let failed = status(
            S::TaskFailed,
            R::ReasonContainerLaunchFailed,
            Some(How::Code(127)),
        );
        let mem = UpTo::At(Bytes(1));
        assert_eq!(exit_code(Some(&failed), None, mem), 127);
        let said = sentence(&failed, Some(How::Code(127)), false, mem);
        assert!(said.is_some_and(|said| said.contains("FAILED")));
        let failed = status(S::TaskFailed, R::ReasonContainerLaunchFailed, None);
        assert_eq!(exit_code(Some(&failed), None, mem), 1);
    }

    #[test]
    fn the_memory_limit_is_named() {
        let killed = status(
            v1::TaskState::TaskFailed,
            v1::StatusReason::ReasonContainerLimitationMemory,
            Some(How::Signal(9)),
        );
        let said = sentence(&killed, Some(How::Signal(9)), false, UpTo::At(Bytes(64 << 20))).unwrap();
        assert_eq!(
            said,
            "the task was killed at its memory limit of 64MiB (CONTAINER_LIMITATION_MEMORY)"
        );
    }
}

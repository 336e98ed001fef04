//! The end of an executor begins: it is asked to shut down, or killed.

use std::time::Duration;

use proffer_types::{ExecutorEvent, Timestamp};

use super::tell;
use crate::executor::{EndCause, Ending};
use crate::{Agent, Effect, Output, Signal, TaskKey};

/// Begins to end an executor, or hurries an end under way, whose cause stands.
pub(crate) fn begin(
    agent: &mut Agent,
    now: Timestamp,
    key: &TaskKey,
    cause: EndCause,
    grace: Duration,
    out: &mut Output,
) {
    let Some(executor) = agent.executors.get_mut(key) else {
        return;
    };
    let kill_at = now.after(grace);
    let container_id = executor.container_id;
    let ending = executor.ending.get_or_insert(Ending {
        cause,
        kill_at,
        kill_sent: false,
    });
    ending.kill_at = ending.kill_at.min(kill_at);
    if ending.kill_sent {
        return;
    }
    if !executor.is_running {
        out.effect(Effect::AbortLaunch { container_id });
    } else if grace.is_zero() {
        ending.kill_sent = true;
        let signal = Signal::Kill;
        out.effect(Effect::Signal { container_id, signal });
    } else if executor.connection.is_some() {
        tell(executor, None, ExecutorEvent::Shutdown { grace }, out);
    } else {
        let signal = Signal::Term;
        out.effect(Effect::Signal { container_id, signal });
    }
}

//! Terminal is final: a scheduler that was told a task's end is never told anything else of it.
//!
//! Source: Mesos, "High availability framework guide": terminal updates are sent once a task will not change again.
//! UNREACHABLE is not terminal: a task may come back from it. UNKNOWN is not either.

use std::collections::BTreeMap;

use proffer_types::{FrameworkId, TaskId, TaskState, Timestamp};

use super::Invariant;
use crate::facts::Fact;

#[derive(Debug, Default)]
pub(crate) struct TerminalIsFinal {
    ended: BTreeMap<(FrameworkId, TaskId), TaskState>,
}

impl Invariant for TerminalIsFinal {
    fn name(&self) -> &'static str {
        "terminal is final"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Told { framework_id, status } = fact else {
            return Ok(());
        };
        let key = ((*framework_id).clone(), status.task_id.clone());
        let ended = self.ended.get(&key).copied();
        if let Some(end) = ended.filter(|end| *end != status.state) {
            return Err(format!("{}/{} was told {end:?}, then {:?}", key.0, key.1, status));
        }
        if status.state.is_terminal() {
            self.ended.insert(key, status.state);
        }
        Ok(())
    }
}

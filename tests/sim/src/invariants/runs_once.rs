//! No task runs twice: a task id of a framework has at most one container, ever, anywhere.
//!
//! Source: Mesos, "Designing highly available frameworks": a task id must name one launch.

use std::collections::BTreeMap;

use proffer_agent_core::TaskKey;

use proffer_types::Timestamp;

use super::Invariant;
use crate::facts::Fact;

#[derive(Debug, Default)]
pub(crate) struct RunsOnce {
    /// Task and the agent it was launched on.
    launched: BTreeMap<TaskKey, usize>,
}

impl Invariant for RunsOnce {
    fn name(&self) -> &'static str {
        "no task runs twice"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::ContainerLaunched { agent, key } = fact else {
            return Ok(());
        };
        match self.launched.insert((*key).clone(), *agent) {
            None => Ok(()),
            Some(before) => Err(format!(
                "{key} was launched on agent {before}, and again on agent {agent}"
            )),
        }
    }
}

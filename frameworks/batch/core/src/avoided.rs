//! Agents that could not start a task of ours lately, and are left alone for a while.
//!
//! An agent with a full disk would otherwise drop a task, be offered, and drop it again, many times a second. The
//! pause doubles while it keeps failing, and is forgotten once a task of ours runs there.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_types::{AgentId, Timestamp};

/// After the first failure: an agent that was merely restarted is back by then.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest: an operator who mended an agent waits no longer for its first task.
const MAX_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Avoided(BTreeMap<AgentId, Pause>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pause {
    length: Duration,
    until: Timestamp,
}

impl Avoided {
    /// An agent dropped a task. What was launched with it fails with it, so only the first one counts.
    pub(crate) fn dropped(&mut self, agent: &AgentId, now: Timestamp) {
        let length = match self.0.get(agent) {
            Some(pause) if now < pause.until => return,
            Some(pause) => (pause.length * 2).min(MAX_PAUSE),
            None => FIRST_PAUSE,
        };
        let until = now.after(length);
        self.0.insert(agent.clone(), Pause { length, until });
    }

    /// A task runs on an agent.
    pub(crate) fn works(&mut self, agent: &AgentId) {
        self.0.remove(agent);
    }

    /// How many agents are left alone now.
    pub(crate) fn count(&self, now: Timestamp) -> usize {
        self.0.values().filter(|pause| now < pause.until).count()
    }

    /// How long an agent is still to be left alone.
    pub(crate) fn left(&self, agent: &AgentId, now: Timestamp) -> Option<Duration> {
        let pause = self.0.get(agent).filter(|pause| now < pause.until)?;
        Some(pause.until.since(now))
    }
}

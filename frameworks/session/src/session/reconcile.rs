//! Explicit reconciliation: on every subscription each live task and operation is asked about until the master has
//! answered.
//!
//! A master that restarted stays silent about tasks of agents that are not back yet, so the question is
//! repeated with exponential back-off. What was launched since the subscription needs no question. That a task is
//! unreachable is no answer: a master that restarted does not know whom to tell when its agent is back without it.
//! Neither is it of an operation.

use std::time::Duration;

use proffer_types::scheduler_link::Call;
use proffer_types::{AgentId, Timestamp};

use super::{Link, Session};
use crate::{Output, Scheduler};

/// The first repetition: by then an agent that is there has been heard.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest pause: the master gives agents 75 s to come back.
const MAX_DELAY: Duration = Duration::from_secs(60);
/// Tasks or operations named in one call: at most 0.5 MiB with the longest ids.
const NAMED_PER_CALL: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reconcile {
    pub(super) due: Timestamp,
    delay: Duration,
}

impl<S: Scheduler> Session<S> {
    /// Asks about every live task and operation.
    pub(super) fn reconcile_all(&mut self, out: &mut Output) {
        for live in self.tasks.values_mut() {
            live.answered = false;
        }
        for live in self.operations.values_mut() {
            live.answered = false;
        }
        self.ask(FIRST_DELAY, out);
    }

    /// Asks again about what has no answer, when it is time.
    pub(super) fn reconcile_again(&mut self, out: &mut Output) {
        if let Link::Up {
            reconcile: Some(reconcile),
            ..
        } = &self.link
            && reconcile.due <= self.now
        {
            self.ask(reconcile.delay.saturating_mul(2).min(MAX_DELAY), out);
        }
    }

    /// Goes on asking, at the slowest pace, when everything else was answered.
    pub(super) fn keep_asking(&mut self) {
        if let Link::Up { reconcile, .. } = &mut self.link {
            reconcile.get_or_insert(Reconcile {
                due: self.now.after(MAX_DELAY),
                delay: MAX_DELAY,
            });
        }
    }

    /// Asks about what has no answer and is on an agent that is lost: that may be all the answer there will be.
    pub(super) fn ask_about(&self, agent: &AgentId, out: &mut Output) {
        let tasks = self.tasks.iter();
        let tasks = tasks.filter(|(_, live)| !live.answered && live.agent_id.as_ref() == Some(agent));
        let tasks: Vec<_> = tasks
            .map(|(id, live)| (id.clone(), live.agent_id.clone()))
            .collect();
        let tasks = tasks.chunks(NAMED_PER_CALL).map(<[_]>::to_vec);
        out.calls.extend(tasks.map(|tasks| Call::Reconcile { tasks }));
    }

    fn ask(&mut self, delay: Duration, out: &mut Output) {
        let tasks = self.tasks.iter().filter(|(_, live)| !live.answered);
        let tasks: Vec<_> = tasks
            .map(|(id, live)| (id.clone(), live.agent_id.clone()))
            .collect();
        let operations = self.operations.iter().filter(|(_, live)| !live.answered);
        let operations: Vec<_> = operations
            .map(|(id, live)| (id.clone(), live.agent_id.clone()))
            .collect();
        if let Link::Up { reconcile, .. } = &mut self.link {
            let asking = !tasks.is_empty() || !operations.is_empty();
            *reconcile = asking.then(|| Reconcile {
                due: self.now.after(delay),
                delay,
            });
        }
        let tasks = tasks.chunks(NAMED_PER_CALL).map(<[_]>::to_vec);
        out.calls.extend(tasks.map(|tasks| Call::Reconcile { tasks }));
        let operations = operations.chunks(NAMED_PER_CALL).map(<[_]>::to_vec);
        out.calls
            .extend(operations.map(|operations| Call::ReconcileOperations { operations }));
    }
}

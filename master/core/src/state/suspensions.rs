//! Suspended tasks: which suspension each is in, and that its claim is without its cpus exactly then.
//!
//! A task is suspended from when its agent says so until an accept resumes it. From then on it claims its cpus, whatever
//! the agent said before it heard of that: suspensions are numbered, and those up to the one that was ended are over. In a
//! new session the agent's list is the truth: a resumption that it does not know never reached it.

use std::sync::Arc;

use proffer_allocator::Change;
use proffer_types::{FrameworkId, TaskId, Timestamp};

use super::{State, TaskKey};

impl State {
    pub(super) fn task_suspend_requested(&mut self, framework: &FrameworkId, task: &TaskId) -> Vec<Change> {
        if let Some(task) = self.task_mut(&(framework.clone(), task.clone())) {
            task.suspend = true;
        }
        Vec::new()
    }

    pub(super) fn task_resumed(
        &mut self,
        framework: &FrameworkId,
        task: &TaskId,
        at: Timestamp,
    ) -> Vec<Change> {
        let key = (framework.clone(), task.clone());
        let Some(task) = self.task_mut(&key) else {
            return Vec::new();
        };
        task.resumed = task.view.status.condition.suspension;
        let limit = task.view.info.max_completion_time;
        let change = self.set_suspension(&key, 0);
        // Some of its time may have passed before: that would be earlier.
        let ends_by = limit.map(|limit| at.after(limit));
        if let Some(claim) = self.task(framework, &key.1).and_then(|task| task.claim) {
            self.ledger_mut().set_end(claim, ends_by);
        }
        change.into_iter().collect()
    }

    /// The agent said so in its session. It ends none by itself: the cpus may be offered.
    pub(super) fn suspension_told(&mut self, key: &TaskKey, suspension: u32) -> Option<Change> {
        let is_news = suspension > self.task_mut(key)?.resumed;
        is_news.then(|| self.set_suspension(key, suspension)).flatten()
    }

    /// The agent opened its session with that; nothing of it is offered yet.
    pub(super) fn suspension_listed(&mut self, key: &TaskKey, suspension: u32) -> Option<Change> {
        self.task_mut(key)?.resumed = 0;
        self.set_suspension(key, suspension)
    }

    fn set_suspension(&mut self, key: &TaskKey, suspension: u32) -> Option<Change> {
        let task = self.task_mut(key)?;
        let before = task.view.status.condition.suspension;
        if before == suspension {
            return None;
        }
        Arc::make_mut(&mut task.view).status.condition.suspension = suspension;
        task.suspend &= suspension == 0;
        let claim = task.claim.filter(|_| (before == 0) != (suspension == 0))?;
        if suspension == 0 {
            return self.ledger_mut().resume(claim);
        }
        let cpus = task.view.info.resources.cpus();
        let ledger = self.ledger_mut();
        ledger.set_end(claim, None);
        ledger.suspend(claim, cpus)
    }
}

//! How long what a task leaves behind is kept.

use std::time::Duration;

use crate::TaskState;

/// How long an agent keeps the files of an ended task, its output among them. Absent means as long as the agent would; no
/// agent keeps them longer than that, and all keep them shorter as their disks fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Of a task that finished.
    pub finished: Option<Duration>,
    /// Of one that ended in any other way.
    pub failed: Option<Duration>,
}

impl Retention {
    /// What holds for a task that ended so.
    #[must_use]
    pub fn after(&self, end: TaskState) -> Option<Duration> {
        if end == TaskState::Finished {
            self.finished
        } else {
            self.failed
        }
    }
}

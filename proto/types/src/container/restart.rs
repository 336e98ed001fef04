//! Whether the agent itself starts a task again.

use std::time::Duration;

/// From an end to the first restart where the spec does not say; doubles with each.
pub const DEFAULT_BACKOFF: Duration = Duration::from_secs(1);
/// The longest time between an end and a restart. A task that ran longer than this starts with the first backoff again.
pub const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// Restart in place: same task, same agent, same sandbox, a new container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RestartPolicy {
    pub on: RestartOn,
    /// How often in the task's life; absent means without end.
    pub max: Option<u32>,
    /// From an end to the first restart; absent means [`DEFAULT_BACKOFF`].
    pub backoff: Option<Duration>,
}

/// After which ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum RestartOn {
    #[default]
    Never,
    /// Any but exit code 0: failed checks and memory limits among them; not disk and time limits.
    Failure,
    /// Exit code 0 as well.
    Always,
}

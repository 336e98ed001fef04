//! Maintenance: when an agent is not to be counted on, by its operator's word.

use std::time::Duration;

use crate::{AgentId, FrameworkId, OfferId, Resources, Timestamp};

/// A time in which an agent is not offered and runs no tasks. It is announced before, so that schedulers can plan for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unavailability {
    /// By the master's clock.
    pub start: Timestamp,
    /// More than zero.
    pub duration: Duration,
}

impl Unavailability {
    /// When the agent is back: the first moment that is not part of it.
    #[must_use]
    pub fn end(self) -> Timestamp {
        self.start.after(self.duration)
    }

    /// Whether some moment is part of both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

/// The wish to have an agent's resources back, as it is being drained, or before its next maintenance window: a framework that
/// has tasks there is asked to move them. Nothing follows from its answer but that operators see it; what still runs at the
/// start is killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InverseOffer {
    pub id: OfferId,
    pub framework_id: FrameworkId,
    pub agent_id: AgentId,
    pub hostname: String,
    pub unavailability: Unavailability,
    /// The agent is being drained: it is not offered any more, and is to be left now. The unavailability starts at the
    /// drain's deadline and has no end that is known.
    pub is_drained: bool,
    /// What the framework's tasks hold there as it is made.
    pub resources: Resources,
}

//! One deployment of a version: what it may do next, and when it has failed.
//!
//! ```text
//! canaries, or all of blue-green --available, and promoted--> promoted --all available--> done
//!      |                                                         |
//!      +---------- no progress until the deadline, or a crash loop +--> failed, and back to the last good version
//! ```

use proffer_types::Timestamp;

use crate::spec::{UpdatePolicy, UpdateStrategy};

/// A deployment, under way or over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The version it brings.
    pub to: u64,
    /// The last good version before it; absent for the first.
    pub from: Option<u64>,
    pub started: Timestamp,
    /// When a replica more than ever before was available.
    pub progressed: Timestamp,
    /// How many replicas of the version have been available at once.
    pub best: u32,
    /// Whether old replicas may stop.
    pub promoted: bool,
    /// Whether nothing is replaced for now, by somebody's wish; the deadline waits too.
    pub paused: bool,
    /// What it takes back, and why, where it does.
    pub rolls_back: Option<Failure>,
    pub ended: Option<Ending>,
}

/// A version that could not be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub version: u64,
    /// In words.
    pub why: String,
}

/// How a deployment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    pub at: Timestamp,
    /// Why it failed, in words, if it did.
    pub failed: Option<String>,
}

impl Deployment {
    pub(crate) fn new(to: u64, from: Option<u64>, policy: &UpdatePolicy, now: Timestamp) -> Self {
        let is_gated = policy.canary > 0 || policy.strategy == UpdateStrategy::BlueGreen;
        Self {
            to,
            from,
            started: now,
            progressed: now,
            best: 0,
            promoted: from.is_none() || !is_gated,
            paused: false,
            rolls_back: None,
            ended: None,
        }
    }

    /// Takes back what failed, without canaries.
    pub(crate) fn rollback(to: u64, rolls_back: Option<Failure>, now: Timestamp) -> Self {
        Self {
            to,
            from: Some(to),
            started: now,
            progressed: now,
            best: 0,
            promoted: true,
            paused: false,
            rolls_back,
            ended: None,
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether replicas of other versions may be replaced, or stop. One that has failed goes on where nothing better is known.
    pub(crate) fn may_replace(&self) -> bool {
        match &self.ended {
            None => self.promoted && !self.paused,
            Some(_) => !self.has_failed() || self.from.is_none_or(|from| from == self.to),
        }
    }

    /// Whether new replicas start beside the old ones, and none of these stops.
    pub(crate) fn is_trying(&self) -> bool {
        self.is_active() && !self.promoted && !self.paused
    }

    /// The version that a slot starts with that was not there before.
    pub(crate) fn for_new_slots(&self) -> u64 {
        match self.from {
            Some(from) if !self.promoted || self.has_failed() => from,
            Some(_) | None => self.to,
        }
    }

    /// Whether it is over, and failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let ended = self.ended.as_ref();
        ended.is_some_and(|ending| ending.failed.is_some())
    }

    /// How many new replicas have to be available before it is promoted.
    pub(crate) fn gate(policy: &UpdatePolicy, replicas: u32) -> u32 {
        match policy.strategy {
            UpdateStrategy::BlueGreen => replicas,
            UpdateStrategy::Rolling => policy.canary.min(replicas),
        }
    }

    /// Whether it waits for somebody to promote it: all that was to be tried was available.
    pub(crate) fn awaits_promotion(&self, policy: &UpdatePolicy, replicas: u32) -> bool {
        let is_tried = self.best >= Self::gate(policy, replicas);
        self.is_active() && !self.promoted && policy.promote_by_hand && is_tried
    }

    /// When it has failed unless there is progress; never while it waits for somebody.
    pub(crate) fn fails_at(&self, policy: &UpdatePolicy, replicas: u32) -> Option<Timestamp> {
        let is_waiting = self.paused || self.awaits_promotion(policy, replicas);
        (self.is_active() && !is_waiting).then(|| self.progressed.after(policy.deadline))
    }
}

//! How a changed task takes the place of the one before.

use std::time::Duration;

use super::SpecError;

/// The longest `min_healthy` and `deadline`.
pub const MAX_UPDATE_TIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How replicas of one version are replaced by those of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdatePolicy {
    pub strategy: UpdateStrategy,
    /// How many replicas there may be beyond the wanted number: so many start before others stop.
    pub max_surge: Amount,
    /// How many of the wanted number need not be available: so many stop before others start.
    pub max_unavailable: Amount,
    /// So many replicas of the new version run beside the old ones, and must be available, before any old one stops.
    pub canary: u32,
    /// Whether canaries, or all of a blue-green update, wait for somebody to promote them once they are available.
    pub promote_by_hand: bool,
    /// For how long a replica must be healthy and ready before it counts as available.
    pub min_healthy: Duration,
    /// For how long an update may make no progress, until it has failed.
    pub deadline: Duration,
    /// Whether an update that has failed is taken back to the last version that was good.
    pub auto_rollback: bool,
}

/// In which order the old stops and the new starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpdateStrategy {
    /// Some replicas at a time.
    #[default]
    Rolling,
    /// All new ones start beside the old, and when all are available all old ones stop.
    BlueGreen,
}

/// A number of replicas, or a part of the wanted number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    Count(u32),
    /// 0 to 100.
    Percent(u32),
}

impl Default for UpdatePolicy {
    fn default() -> Self {
        Self {
            strategy: UpdateStrategy::Rolling,
            max_surge: Amount::Count(1),
            max_unavailable: Amount::Count(0),
            canary: 0,
            promote_by_hand: false,
            min_healthy: Duration::from_secs(5),
            deadline: Duration::from_secs(5 * 60),
            auto_rollback: true,
        }
    }
}

impl Amount {
    /// Of so many replicas, rounded up.
    pub(crate) fn ceil(self, of: u32) -> u32 {
        match self {
            Self::Count(n) => n,
            Self::Percent(percent) => part(of, percent).div_ceil(100).try_into().unwrap_or(u32::MAX),
        }
    }

    /// Of so many replicas, rounded down.
    pub(crate) fn floor(self, of: u32) -> u32 {
        match self {
            Self::Count(n) => n,
            Self::Percent(percent) => (part(of, percent) / 100).try_into().unwrap_or(u32::MAX),
        }
    }

    fn is_none(self) -> bool {
        matches!(self, Self::Count(0) | Self::Percent(0))
    }
}

fn part(of: u32, percent: u32) -> u64 {
    u64::from(of) * u64::from(percent)
}

impl UpdatePolicy {
    /// How many successors there may be, and how many replicas may be unavailable; one of them is not 0. As in Kubernetes the
    /// first is rounded up and the second down.
    pub(crate) fn bounds(&self, replicas: u32) -> (u32, u32) {
        let (surge, unavailable) = (
            self.max_surge.ceil(replicas),
            self.max_unavailable.floor(replicas),
        );
        match (surge, unavailable) {
            (0, 0) => (1, 0),
            bounds => bounds,
        }
    }

    pub(super) fn check(&self, name: &str, disruption: Amount) -> Result<(), SpecError> {
        let wrong = |what: String| {
            let name = name.to_owned();
            Err(SpecError::Update { name, what })
        };
        for (field, amount) in [
            ("max_surge", self.max_surge),
            ("max_unavailable", self.max_unavailable),
            ("max_moving", disruption),
        ] {
            if let Amount::Percent(percent) = amount
                && percent > 100
            {
                return wrong(format!("{field} of {percent}%, at most 100% is possible"));
            }
        }
        if self.strategy == UpdateStrategy::Rolling
            && self.max_surge.is_none()
            && self.max_unavailable.is_none()
        {
            return wrong(
                "neither max_surge nor max_unavailable, so that nothing could be replaced".to_owned(),
            );
        }
        if self.strategy == UpdateStrategy::BlueGreen && self.canary > 0 {
            return wrong("canaries, and blue-green, which starts all new replicas at once".to_owned());
        }
        if self.promote_by_hand && self.strategy == UpdateStrategy::Rolling && self.canary == 0 {
            return wrong("promotion by hand, and no canary to promote".to_owned());
        }
        if self.deadline.is_zero() || self.deadline > MAX_UPDATE_TIME {
            return wrong(format!(
                "a deadline of {:?}, it must be more than 0 and at most {MAX_UPDATE_TIME:?}",
                self.deadline
            ));
        }
        if self.min_healthy >= self.deadline {
            return wrong(format!(
                "a min_healthy_time of {:?}, which is not less than its deadline of {:?}",
                self.min_healthy, self.deadline
            ));
        }
        Ok(())
    }
}

//! How a queue orders what waits in it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use proffer_types::Backfill;
use thiserror::Error;

/// After so long what was used counts half, where nobody says otherwise: as `PriorityDecayHalfLife` of slurm.conf(5).
pub const DEFAULT_HALF_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The shortest half-life: with less, only what runs now would count.
pub const MIN_HALF_LIFE: Duration = Duration::from_secs(60);
/// The longest: ten years.
pub const MAX_HALF_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How long one runs at a time under [`Policy::TimeSlice`], where nobody says otherwise.
pub const DEFAULT_SLICE: Duration = Duration::from_secs(60);
/// The shortest slice: freezing and thawing take milliseconds.
pub const MIN_SLICE: Duration = Duration::from_secs(1);
/// The longest slice.
pub const MAX_SLICE: Duration = Duration::from_secs(24 * 60 * 60);
/// The most users with a share of their own in one queue: the settings are one record.
pub const MAX_SHARES: usize = 1000;
/// The largest share.
const MAX_SHARE: u32 = 1_000_000;

/// Who is next in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Policy {
    /// The job that was submitted first.
    Fcfs,
    /// The task with the shortest time limit; those without one come last.
    Sjf,
    /// The job of the highest priority; among equals, the one that was submitted first.
    #[default]
    Priority,
    /// The user who was served longest ago, a task each; of one user, as by priority.
    RoundRobin,
    /// As [`Policy::RoundRobin`], and what has run for a slice is suspended where another one's turn comes with that.
    TimeSlice,
    /// The user who used least for their share, of which what is long ago counts less; of one user, as by priority.
    FairShare,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 6] = [
        Self::Fcfs,
        Self::Sjf,
        Self::Priority,
        Self::RoundRobin,
        Self::TimeSlice,
        Self::FairShare,
    ];

    /// Its name in commands and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fcfs => "fcfs",
            Self::Sjf => "sjf",
            Self::Priority => "priority",
            Self::RoundRobin => "round-robin",
            Self::TimeSlice => "time-slice",
            Self::FairShare => "fair-share",
        }
    }

    /// Whether it tells users apart.
    pub(crate) fn is_by_user(self) -> bool {
        match self {
            Self::Fcfs | Self::Sjf | Self::Priority => false,
            Self::RoundRobin | Self::TimeSlice | Self::FairShare => true,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that no policy has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no policy is named `{0}`; there are fcfs, sjf, priority, round-robin, time-slice, fair-share")]
pub struct NoSuchPolicy(String);

impl FromStr for Policy {
    type Err = NoSuchPolicy;

    fn from_str(name: &str) -> Result<Self, NoSuchPolicy> {
        let mut all = Self::ALL.into_iter();
        all.find(|policy| policy.as_str() == name)
            .ok_or_else(|| NoSuchPolicy(name.chars().take(40).collect()))
    }
}

/// What an operator set of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    pub policy: Policy,
    /// What may go before that for which there is no room yet.
    pub backfill: Backfill,
    /// Of [`Policy::FairShare`]: after so long what was used counts half.
    pub half_life: Duration,
    /// Of [`Policy::FairShare`]: what each user is entitled to, beside the others. Who is not named has 1.
    pub shares: BTreeMap<String, u32>,
    /// Of [`Policy::TimeSlice`]: how long what runs goes on, at least, before another one's turn comes.
    pub slice: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            backfill: Backfill::Easy,
            half_life: DEFAULT_HALF_LIFE,
            shares: BTreeMap::new(),
            slice: DEFAULT_SLICE,
        }
    }
}

impl QueueSettings {
    /// What a user is entitled to, at least 1.
    #[must_use]
    pub fn share(&self, user: &str) -> u32 {
        self.shares.get(user).copied().unwrap_or(1).max(1)
    }

    /// Checks what no queue may be set to. The error names the first thing that is wrong.
    pub fn check(&self) -> Result<(), SettingsError> {
        if !(MIN_HALF_LIFE..=MAX_HALF_LIFE).contains(&self.half_life) {
            return Err(SettingsError::HalfLife(self.half_life));
        }
        if !(MIN_SLICE..=MAX_SLICE).contains(&self.slice) {
            return Err(SettingsError::Slice(self.slice));
        }
        if self.shares.len() > MAX_SHARES {
            return Err(SettingsError::TooManyShares(self.shares.len()));
        }
        for (user, share) in &self.shares {
            if !is_user(user) || user.is_empty() {
                return Err(SettingsError::User(user.chars().take(80).collect()));
            }
            if !(1..=MAX_SHARE).contains(share) {
                return Err(SettingsError::Share(user.clone(), *share));
            }
        }
        Ok(())
    }
}

/// What a queue was not set to. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    #[error("a half-life of {0:?} is not between {MIN_HALF_LIFE:?} and ten years")]
    HalfLife(Duration),
    #[error("a slice of {0:?} is not between {MIN_SLICE:?} and a day")]
    Slice(Duration),
    #[error("{0} users have shares of their own, at most {MAX_SHARES} may")]
    TooManyShares(usize),
    #[error("`{0}` is no user: 1 to 63 letters, digits, `.`, `_`, `@` or `-`")]
    User(String),
    #[error("the share of {0} is {1}, and not between 1 and {MAX_SHARE}")]
    Share(String, u32),
    #[error("{0} queues are set, and no more may be")]
    TooManyQueues(usize),
}

/// Whether a user may be named so: at most 63 letters, digits, `.`, `_`, `@` or `-`. Nobody is named by the empty name.
#[must_use]
pub fn is_user(name: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    name.len() <= crate::validate::MAX_NAME_BYTES && name.chars().all(is_good)
}

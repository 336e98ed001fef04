//! Faults put in on purpose, to see that the rules find them: what a network, a disk or a shell must never do.
//!
//! Each is put into a simulated shell, so no switch is in anything that is shipped. Numbers are those of ten historic
//! bugs of cluster managers (docs/simulator.md has their sources).

/// One of them, in force for a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// (1) Agents take late frames of older sessions for new ones.
    AgentFenceOff,
    /// (2) Frames are lost without an end of their stream.
    LosesFrames,
    /// (3) A framework that starts again has forgotten its id.
    ForgetsFrameworkId,
    /// (4) The failover timeout that was configured does not reach the master, which takes it for zero.
    FailoverTimeoutZero,
    /// (5) A framework that starts again has forgotten the run of the last window, and not that it was due.
    ForgetsRuns,
    /// (6) A framework that starts again has forgotten that the last window was due.
    ForgetsWindows,
    /// (7) An offer shows as free what no task can have, and every accept of it is refused.
    OffersWhatIsRefused,
    /// (8) An offer that is taken back leaves no filter: its framework is next in line again.
    RescindsWithoutFilter,
    /// (9) A quota limit is not applied to the roles below.
    LimitOfTopRoleOnly,
    /// (10) A master lets others know before the registry is written.
    ActsBeforeWrite,
    /// A checkpoint is said to be written and is not.
    ForgetsCheckpoints,
    /// What waits for acknowledgement of an agent's operations is lost on its disk.
    ForgetsOperations,
    /// A master trusts its lease for ten times as long as it stands.
    TrustsOldLease,
    /// A master that was replaced says what it had to say all the same.
    SpeaksThoughDeposed,
    /// What is held for who waits for long is held for as long as it waits.
    HoldsForEver,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::AgentFenceOff,
        Self::LosesFrames,
        Self::ForgetsFrameworkId,
        Self::FailoverTimeoutZero,
        Self::ForgetsRuns,
        Self::ForgetsWindows,
        Self::OffersWhatIsRefused,
        Self::RescindsWithoutFilter,
        Self::LimitOfTopRoleOnly,
        Self::ActsBeforeWrite,
        Self::ForgetsCheckpoints,
        Self::ForgetsOperations,
        Self::TrustsOldLease,
        Self::SpeaksThoughDeposed,
        Self::HoldsForEver,
    ];
}

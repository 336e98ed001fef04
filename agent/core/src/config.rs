//! What an agent is told at start, and the bounds it keeps.

use std::time::Duration;

use proffer_types::AgentInfo;

/// The most tasks an agent holds at once, ended but unacknowledged ones included. Far above what a host
/// runs, and with [`MAX_REFUSED`] below the 10,000 that a master takes in one registration.
pub const MAX_TASKS: usize = 8_000;

/// The most refused tasks whose reports wait for acknowledgement. They are not checkpointed; beyond this
/// the link is closed, and the master concludes the same from the next registration.
pub const MAX_REFUSED: usize = 1_000;

/// The most operations whose statuses wait for acknowledgement. Each is in the checkpoint that every operation
/// writes anew; beyond this the link is closed, and the master concludes the rest from the next registration.
pub const MAX_OPERATIONS: usize = 1_000;

/// The first wait for the acknowledgement of an update (Mesos: `STATUS_UPDATE_RETRY_INTERVAL_MIN`).
pub(crate) const UPDATE_RETRY_MIN: Duration = Duration::from_secs(10);

/// The longest wait for the acknowledgement of an update (Mesos: `STATUS_UPDATE_RETRY_INTERVAL_MAX`).
pub(crate) const UPDATE_RETRY_MAX: Duration = Duration::from_secs(600);

/// The most updates of a task that wait for acknowledgement; a task that restarts or changes its health makes them
/// without end. Beyond this a newer one takes the place of the newest that was not sent: each says all there is to
/// know by then.
pub(crate) const MAX_UPDATES: usize = 64;

/// The shortest time between an end and a restart, whatever the task asks for: a launch costs the whole host.
pub(crate) const MIN_BACKOFF: Duration = Duration::from_millis(100);

/// The grace of a task that is over a limit of the agent: until it is dead it goes on taking what others need.
pub(crate) const LIMIT_GRACE: Duration = Duration::from_secs(1);

/// How long after a failed checkpoint it is tried again: a full disk rarely empties sooner.
pub(crate) const CHECKPOINT_RETRY: Duration = Duration::from_secs(1);

/// How long a master may take to answer a registration before the link counts as lost.
pub(crate) const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(15);

/// How many heartbeats may be missed before the link counts as lost.
pub(crate) const MISSED_HEARTBEATS: u32 = 3;

/// How long an agent that ended its tasks waits for the acknowledgements: what is not heard by then is told
/// by the next agent on the same directory.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// The shortest heartbeat a master can ask for; protects against a zero.
pub(crate) const MIN_HEARTBEAT: Duration = Duration::from_millis(10);

/// How long an executor may take from its start to its subscription (Mesos: `EXECUTOR_REGISTRATION_TIMEOUT`).
pub(crate) const EXECUTOR_REGISTRATION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an executor may take to subscribe again, after its agent was restarted or its connection was lost (Mesos:
/// `MAX_EXECUTOR_REREGISTRATION_TIMEOUT`).
pub(crate) const EXECUTOR_REREGISTRATION_TIMEOUT: Duration = Duration::from_secs(15);

/// How long an executor without tasks is kept: what is left of its last task may be offered, and come back as the next
/// one, a moment later. It holds what no task accounts for meanwhile.
pub(crate) const EXECUTOR_LINGER: Duration = Duration::from_secs(2);

/// How long an executor that is not wanted any more may take to end (Mesos: `EXECUTOR_SHUTDOWN_GRACE_PERIOD`).
pub(crate) const EXECUTOR_SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// How long after the grace period of a kill an executor may take to say that the task is dead, before it is killed
/// itself.
pub(crate) const EXECUTOR_KILL_MARGIN: Duration = Duration::from_secs(5);

/// What an agent is told at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What it says of itself at registration. Its resources bound what runs here: those the operator states
    /// with the checkpointed changes ([`crate::restore`]).
    pub info: AgentInfo,
}

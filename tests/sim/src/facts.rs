//! What the oracle sees: facts as they happen, from every side at once.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_agent_core::TaskKey;
use proffer_batch_core::RecurringView;
use proffer_master_core::{Event, Registry, RegistryChange, Snapshot, State};
use proffer_types::agent_link::RegisteredOperation;
use proffer_types::scheduler_link::Call;
use proffer_types::{
    AgentId, FrameworkId, OperationStatus, Resources, StatusUuid, TaskState, TaskStatus, Timestamp,
};

use crate::clock::Clock;
use crate::machine::Machine;

/// What the users of a framework were told of what they asked for, by name: how it ended, once it has.
pub(crate) type Promises = BTreeMap<String, Option<String>>;

/// How a framework stands to the masters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Down,
    Alone,
    Subscribed,
}

/// One fact, seen by the simulator and by nobody in it.
#[derive(Debug)]
pub(crate) enum Fact<'a> {
    /// A master begins, from the registry alone.
    MasterStarted(&'a State),
    /// A fact of the master whose effects will be carried out.
    MasterEvent(&'a Event),
    /// The master between two batches.
    MasterState {
        state: &'a State,
        snapshot: &'a Snapshot,
    },
    /// The store took a term.
    TermBegun { master: usize, term: u64 },
    /// The store took changes of the registry.
    Stored {
        term: u32,
        changes: &'a [RegistryChange],
    },
    /// A master is about to let others know.
    MasterActs { master: usize, term: u32 },
    /// What it will let them know, and what is stored by then.
    Promised {
        events: &'a [Event],
        stored: &'a Registry,
    },
    /// A container began to be built.
    ContainerLaunched { agent: usize, key: &'a TaskKey },
    /// The command of a container began to run.
    CommandRuns { agent: usize, key: &'a TaskKey },
    /// An agent's host loses its power.
    HostReboots { agent: usize },
    /// The containers of an agent's host, after a launch.
    Host {
        agent: usize,
        total: &'a Resources,
        machine: &'a Machine,
    },
    /// An agent keeps this id.
    AgentId { agent: usize, id: &'a AgentId },
    /// What waits for acknowledgement on an agent's disk, after a write.
    Checkpointed {
        key: &'a TaskKey,
        pending: &'a [StatusUuid],
        /// Of these, what the next of its kind may take the place of.
        passing: &'a [StatusUuid],
    },
    /// The operations that wait for acknowledgement on an agent's disk, after a write.
    OperationsKept {
        agent: usize,
        operations: &'a [RegisteredOperation],
    },
    /// An agent reports a state; `on_disk` says whether its disk holds the update, where it holds the task at all.
    Reported {
        key: &'a TaskKey,
        state: TaskState,
        uuid: Option<StatusUuid>,
        on_disk: Option<bool>,
    },
    /// A framework keeps this id.
    FrameworkId {
        framework: usize,
        id: &'a FrameworkId,
        /// How long it may be away.
        patience: Duration,
    },
    /// A scheduler was told, and what it made of it is written.
    Told {
        framework_id: &'a FrameworkId,
        status: &'a TaskStatus,
    },
    /// A scheduler was told of an operation, and what it made of it is written.
    ToldOperation {
        framework_id: &'a FrameworkId,
        status: &'a OperationStatus,
    },
    /// What a scheduler's users may have been told by now: what is written.
    Promises {
        framework: usize,
        promises: &'a Promises,
    },
    /// What is written of a recurring job, and the clock by which its windows are.
    Windows {
        framework: usize,
        framework_id: Option<&'a FrameworkId>,
        clock: Clock,
        job: &'a RecurringView,
    },
    /// A framework began, ended, subscribed, or lost its connection.
    Stands { framework: usize, standing: Standing },
    /// A framework stands still.
    FrameworkHangs { framework: usize, until: Timestamp },
    /// From here on nothing goes wrong.
    Healed,
    /// A call went out.
    Called { framework: usize, call: &'a Call },
}

//! The agent as a state machine: tasks, status updates, checkpoints.
//!
//! Commands go in, effects come out in the order in which they must be carried out. Nothing here does IO,
//! reads a clock or draws from ambient randomness. Two invariants hold whatever the master sends: live tasks
//! never hold more than the agent has, and a fact is checkpointed before it is reported.
//!
//! The agent is the durable home of reservations and volumes: it applies operations to its total.
//!
//! `RunTask -> STARTING --launched--> RUNNING --(kill)--> KILLING --exited--> terminal --acknowledged--> forgotten`,
//! and by a task's restart policy from its container's end back to STARTING.

mod agent;
mod command;
mod config;
mod effect;
mod executor;
mod handlers;
mod link;
mod operation;
mod record;
mod restore;
mod sanity;
mod task;
mod verdict;

#[cfg(test)]
mod tests;

pub use agent::{Agent, TaskView};
pub use command::{CheckRole, Command, ContainerEnd, ExecutorNews, LinkId};
pub use config::{Config, MAX_OPERATIONS, MAX_REFUSED, MAX_TASKS};
pub use effect::{Effect, Event, ExecutorOrder, Output, Signal};
pub use executor::ConnectionId;
pub use record::{
    ContainerId, ExecutorRecord, KillCause, KillRecord, Process, Recovered, RecoveredExecutor, RecoveredTask,
    ResourcesRecord, StateRecord, SuspensionRecord, TaskRecord,
};
pub use restore::{RestoreError, restore};
pub use task::TaskKey;

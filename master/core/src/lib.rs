//! The master as a state machine: a command in, events and effects out.
//!
//! Pure: time and randomness are arguments, nothing here blocks or fails. The state is the fold of the events.

mod command;
mod config;
mod cx;
mod event;
mod handlers;
pub mod limits;
mod links;
mod listing;
mod master;
mod output;
mod registry;
mod round;
mod snapshot;
mod state;
mod upkeep;
mod validate;

pub use command::{Command, LinkId, OperatorRequest, RequestId, WindowStart};
pub use config::{Config, RemovalLimit};
pub use event::{Bundle, Event, InverseEnd, OfferEnd};
pub use listing::{ListedTask, TaskCursor, TaskPage, TaskQuery};
pub use master::Master;
pub use output::{CloseReason, Effect, OperatorError, Output};
pub use proffer_allocator::RoleConfig;
pub use registry::{AgentRecord, FrameworkRecord, Registry, RegistryChange, RoleRecord};
pub use snapshot::{
    AgentState, AgentView, AskedView, FrameworkState, FrameworkView, RoleView, Snapshot, TaskView,
};
pub use state::{
    Agent, AgentPresence, Asked, Framework, FrameworkPresence, GoneAgent, InverseAnswer, OfferEntry,
    OperationEntry, Peer, State, Task, Withheld,
};
pub use upkeep::{Announced, Drain, DrainPhase, RemovalDelay, Upkeep, Window};

//! The service scheduler: replicas kept alive.
//!
//! Pure. A service is N slots; each slot has at most one task that is neither ended nor cut off, and a new one as
//! soon as that ends, with a back-off where it ends quickly. A changed task replaces the replicas one at a time.
//! Every change is a durable record, so a restarted scheduler goes on where the old one was.

mod demand;
mod explain;
mod index;
mod leaving;
mod losses;
mod message;
mod offers;
mod records;
mod replica;
mod service;
mod services;
mod spec;
mod task_id;
mod view;

#[cfg(test)]
mod tests;

pub use leaving::LEAVE_BEFORE;
pub use losses::{AGENTS_A_MINUTE, ONE_AGENT_OF};
pub use replica::{BACK_OFF_FIRST, BACK_OFF_MAX, STEADY};
pub use services::{
    Applied, ApplyError, FullError, MAX_ROLES, MAX_SERVICES, MAX_TOTAL_REPLICAS, NoSuchServiceError,
    ScaleError, Services,
};
pub use spec::{
    DEFAULT_LOST_AFTER, MAX_CONSTRAINTS, MAX_CONTAINER_BYTES, MAX_LOST_AFTER, MAX_NAME_BYTES, MAX_REPLICAS,
    MIN_LOST_AFTER, ServiceSpec, ServiceTask, SpecError,
};
pub use view::{ReplicaState, ReplicaView, ServiceView};

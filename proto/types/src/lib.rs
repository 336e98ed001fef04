//! The vocabulary every other crate speaks: ids, resources, roles, tasks, offers, link messages.
//!
//! Pure: no IO, no clock, no thread, no ambient randomness. Values are valid by construction; whoever
//! holds one need not check it again.

pub mod agent;
pub mod agent_link;
pub mod container;
pub mod framework;
pub mod id;
pub mod offer;
pub mod resources;
pub mod role;
pub mod scheduler_link;
pub mod task;
pub mod time;

pub use agent::{AgentInfo, Attribute};
pub use container::ContainerSpec;
pub use framework::{AdvertisedService, FrameworkInfo};
pub use id::{AgentId, FrameworkId, MasterId, OfferId, Session, StatusUuid, TaskId};
pub use offer::{Filters, Offer};
pub use resources::{Ranges, ResourceName, Resources};
pub use role::Role;
pub use task::{KillPolicy, StatusReason, StatusSource, TaskExit, TaskInfo, TaskState, TaskStatus, Usage};
pub use time::Timestamp;

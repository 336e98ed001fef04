//! The vocabulary every other crate speaks: ids, resources, roles, tasks, offers, link messages.
//!
//! Pure: no IO, no clock, no thread, no ambient randomness. Values are valid by construction; whoever
//! holds one need not check it again.

pub mod agent;
pub mod agent_link;
pub mod constraint;
pub mod container;
pub mod demand;
pub mod discovery;
pub mod edge_report;
pub mod executor;
pub mod framework;
pub mod id;
pub mod maintenance;
pub mod offer;
pub mod operation;
pub mod policy;
pub mod quota;
pub mod resources;
pub mod role;
pub mod scheduler_link;
pub mod statistics;
pub mod task;
pub mod time;

pub use agent::{AgentInfo, Attribute, FaultDomain, KnownAgent};
pub use constraint::{Constraint, OfferConstraints, Pattern, Predicate, Selector};
pub use container::ContainerSpec;
pub use demand::{Backfill, Demand, GangId, Placement, PlacementRules, Shape, ShapeId, StatementRoom};
pub use executor::{ExecutorCall, ExecutorEvent, ExecutorInfo, ExecutorUpdate};
pub use framework::{AdvertisedService, Capabilities, FrameworkInfo, OfferPreferences};
pub use id::{
    AgentId, ExecutorId, FrameworkId, GroupId, MasterId, OfferId, OperationId, Session, StatusUuid, TaskId,
    VolumeId,
};
pub use maintenance::{InverseOffer, Unavailability};
pub use offer::{Filters, Offer, OfferGang};
pub use operation::{Operation, OperationState, OperationStatus};
pub use quota::Quota;
pub use resources::change::ResourceChange;
pub use resources::kind::{Kind, Reservation, Volume};
pub use resources::{Ranges, ResourceName, Resources, Set};
pub use role::Role;
pub use statistics::Statistics;
pub use task::{
    DAEMON_LABEL, IoUsage, KillPolicy, Limit, Limits, StatusReason, StatusSource, TaskCondition, TaskExit,
    TaskInfo, TaskState, TaskStatus, Usage,
};
pub use time::Timestamp;

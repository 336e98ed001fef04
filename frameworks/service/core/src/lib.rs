//! The service scheduler: replicas kept alive.
//!
//! Pure. A service is N slots; each slot has a task, and a new one as soon as that ends, with a back-off where it ends
//! quickly. A changed task is a new version, and a deployment brings it: successors run beside what they replace.
//! Every change is a durable record, so a restarted scheduler goes on where the old one was.

mod autoscale;
mod configs;
mod demand;
mod deployment;
mod discovery;
mod explain;
mod index;
mod instance;
mod launch;
mod leaving;
mod losses;
mod message;
mod neighbours;
mod offers;
mod records;
mod rollout;
mod service;
mod services;
mod slot;
mod spec;
mod steer;
mod tally;
mod task_id;
mod traffic;
mod version;
mod view;
mod wishes;

#[cfg(test)]
mod tests;

pub use autoscale::{
    Autoscaling, DEFAULT_DOWN_WINDOW, Decision, Figure, INTERVAL, MAX_DECISIONS, MAX_QUERY_BYTES,
    MAX_TARGETS, MAX_URL_BYTES, MAX_WINDOW, Metric, Pace, Query, Reading, SPARE_PERCENT, STALE, ScalingView,
    TOLERANCE_PERCENT, Target as ScalingTarget,
};
pub use configs::{
    AppliedConfig, Config, ConfigContent, ConfigError, ConfigView, Key, MAX_CONFIG_BYTES, MAX_CONFIG_ENTRIES,
    MAX_CONFIGS, MAX_CONFIGS_BYTES,
};
pub use deployment::{Deployment, Ending, Failure};
pub use discovery::{
    ApplyPolicyError, ApplyVirtualError, MAX_NAMES, MAX_SELECTOR_LABELS, MAX_STATIC_ENDPOINTS,
    MAX_VIRTUAL_PORTS, NoSuchPolicyError, NoSuchVirtualError, ParsePoolError, PolicyView, Pool, Target,
    VirtualPort, VirtualService, VirtualServiceError, VirtualServiceView,
};
pub use instance::{BACK_OFF_FIRST, BACK_OFF_MAX, CRASH_LOOP, STEADY};
pub use leaving::LEAVE_BEFORE;
pub use losses::{AGENTS_A_MINUTE, ONE_AGENT_OF};
pub use services::{
    Applied, ApplyError, FullError, MAX_ROLES, MAX_SERVICES, MAX_TOTAL_REPLICAS, NoSuchServiceError,
    ScaleError, Services,
};
pub use spec::{
    Amount, DEFAULT_LOST_AFTER, MAX_CONSTRAINTS, MAX_CONTAINER_BYTES, MAX_LOST_AFTER, MAX_NAME_BYTES,
    MAX_REPLICA_RULES, MAX_REPLICAS, MAX_SHUTDOWN_DELAY, MAX_UPDATE_TIME, MIN_LOST_AFTER, Mode, PlaceKey,
    ReplicaRule, RuleKind, SHUTDOWN_DELAY, ServiceSpec, ServiceTask, SpecError, UpdatePolicy, UpdateStrategy,
};
pub use steer::{Plan, Steer, SteerError};
pub use tally::Tally;
pub use traffic::TRAFFIC_WINDOW;
pub use version::{MAX_VERSIONS, Outcome, Version};
pub use view::{ReplicaState, ReplicaView, ServiceView};

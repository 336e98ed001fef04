//! The batch scheduler: jobs of array tasks that come after one another, with retries; once, or by a schedule.
//!
//! Pure. [`Batch`] implements the session's `Scheduler`; its methods `submit`, `cancel`, `list`, `get` and `explain` are
//! what the framework's API calls. Every change is a durable record in the same step.

mod avoided;
mod batch;
mod closing;
mod gang;
mod graph;
mod job;
mod message;
mod queue;
mod records;
mod recurring;
mod schedule;
mod spec;
mod task;
mod timers;
mod validate;
mod view;

pub use batch::{Batch, CancelError, NoSuchJob, SteerError};
pub use job::{JobState, Phase};
pub use recurring::{Counts, Missed, MissedCause, Reason};
pub use schedule::{
    DEFAULT_EPSILON, DEFAULT_HISTORY, MAX_EPSILON, MAX_HISTORY, MAX_INTERVAL, MIN_INTERVAL, MissedPolicy,
    Overlap, Schedule, ScheduleError, When,
};
pub use spec::{After, DEFAULT_MAX_BACKOFF, ExitCodes, JobSpec, On, RetryPolicy, TaskSpec};
pub use validate::{
    MAX_BACKOFF, MAX_CONSTRAINTS, MAX_CONTAINER_BYTES, MAX_EDGES, MAX_GANG_BYTES, MAX_INSTANCES,
    MAX_NAME_BYTES, MAX_PRIORITY, MAX_RETRIES, MAX_ROLES, MAX_TASKS, SubmitError,
};
pub use view::{Fate, InstanceView, JobSummary, JobView, Pick, RecurringState, RecurringView, WindowView};

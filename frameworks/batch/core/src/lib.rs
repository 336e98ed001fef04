//! The batch scheduler: jobs of array tasks that come after one another, with retries; once, or by a schedule.
//!
//! Pure. [`Batch`] implements the session's `Scheduler`; its methods `submit`, `cancel`, `list`, `get` and `explain` are
//! what the framework's API calls. Every change is a durable record in the same step.

mod accounts;
mod avoided;
mod batch;
mod check;
mod closing;
mod gang;
mod graph;
mod job;
mod message;
mod queue;
mod records;
mod recurring;
mod report;
mod schedule;
mod slices;
mod spec;
mod task;
mod template;
mod timers;
mod usage;
mod validate;
mod view;

pub use accounts::{ACCOUNT_DAYS, MAX_ACCOUNTS_PER_DAY, OTHERS};
pub use batch::{
    Batch, CancelError, Checked, DispatchError, Dispatched, MAX_REPORT_ROWS, NoSuchJob, QueueView, ReportBy,
    ReportQuery, ReportRow, Requeue, RequeueError, Requeued, SteerError, UserView, WaitingView,
};
pub use check::check;
pub use job::{JobState, Phase};
pub use queue::{
    DEFAULT_HALF_LIFE, DEFAULT_SLICE, MAX_HALF_LIFE, MAX_SHARES, MAX_SLICE, MIN_HALF_LIFE, MIN_SLICE,
    NoSuchPolicy, Policy, QueueSettings, SettingsError, is_user,
};
pub use recurring::{Counts, Missed, MissedCause, Reason};
pub use schedule::{
    DEFAULT_EPSILON, DEFAULT_HISTORY, MAX_EPSILON, MAX_HISTORY, MAX_INTERVAL, MIN_INTERVAL, MissedPolicy,
    Overlap, Schedule, ScheduleError, When,
};
pub use spec::labels::{LabelCondition, LabelIs};
pub use spec::template::check::{
    DEFAULT_RUNS, MAX_PARAMETERS, MAX_PARAMETERS_BYTES, MAX_PAYLOAD_BYTES, MAX_RUNS, MAX_VALUE_BYTES, Place,
    TemplateError, ValueError,
};
pub use spec::{
    After, AfterJob, DEFAULT_MAX_BACKOFF, Dispatch, ExitCodes, JobSpec, On, Parameter, Payload, RetryPolicy,
    TaskSpec, Template,
};
pub use usage::Sums;
pub use validate::{
    MAX_BACKOFF, MAX_CONSTRAINTS, MAX_CONTAINER_BYTES, MAX_EDGES, MAX_GANG_BYTES, MAX_INSTANCES,
    MAX_JOB_BYTES, MAX_NAME_BYTES, MAX_PRIORITY, MAX_RETRIES, MAX_ROLES, MAX_TASKS, SubmitError,
};
pub use view::{
    Fate, InstanceView, JobSummary, JobView, Pick, RecurringState, RecurringView, RunView, TemplateView,
    WindowView,
};

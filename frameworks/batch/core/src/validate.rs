//! What a job must be like to be accepted. Whoever holds an accepted spec need not check it again.

use std::sync::Arc;
use std::time::Duration;

use proffer_types::container::RestartOn;
use proffer_types::demand::MAX_GANG_TASKS;
use proffer_types::resources::format::format_scalar;
use proffer_types::{Limit, ResourceName, Resources, Role};
use proffer_wire::container::encoded_bytes;
use proffer_wire::text::map_bytes;
use thiserror::Error;

use crate::graph::order;
use crate::queue::is_user;
use crate::spec::template::check;
use crate::{Dispatch, ExitCodes, JobSpec, MissedPolicy, Schedule, ScheduleError, TaskSpec, TemplateError};

/// The longest name of a job or task, in bytes: two of them and three numbers fit in a task id.
pub const MAX_NAME_BYTES: usize = 63;
/// The largest job, as a message of a client and as the record of a run: the spec of a job of 10,000 tasks and 100,000
/// conditions, with the commands of a workflow engine, has some 8 MiB, while no other service takes more than 4. What is
/// recorded of a job in one call must fit in one commit of the store besides what else is written then: it takes 16 MiB.
pub const MAX_JOB_BYTES: usize = 12 << 20;
/// The most tasks in one job: the spec is one record and one message.
pub const MAX_TASKS: usize = 10_000;
/// The most conditions of tasks upon others in one job; each takes some 40 bytes.
pub const MAX_EDGES: usize = 500_000;
/// The most jobs that one comes after; each is looked up at the submission, and recorded until it has ended.
pub(crate) const MAX_AFTER_JOBS: usize = 1000;
/// The most instances in one job, over all of its tasks: each takes two records once it was launched.
pub const MAX_INSTANCES: u32 = 1_000_000;
/// The largest priority, and minus that the smallest.
pub const MAX_PRIORITY: i32 = 1000;
/// The most retries: what has failed a hundred times will fail again.
pub const MAX_RETRIES: u32 = 100;
/// The longest wait before a retry: a day.
pub const MAX_BACKOFF: Duration = Duration::from_secs(24 * 60 * 60);
/// The largest container of one task as the wire has it, in bytes; each launch sends it.
pub const MAX_CONTAINER_BYTES: usize = 64 << 10;

/// The most constraints of one task, over all of its groups.
pub const MAX_CONSTRAINTS: usize = 64;
/// The bytes of one launch of a gang, as we count them; with what that leaves out it stays under the 4 MiB a message
/// may have.
pub const MAX_GANG_BYTES: usize = 2 << 20;
/// The most roles of all jobs that have not ended: the master takes no more of one framework.
pub const MAX_ROLES: usize = 64;
/// What a task costs in a message beside its container, in bytes.
const TASK_OVERHEAD_BYTES: usize = 512;

/// Why a job was not accepted. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SubmitError {
    #[error(
        "job name `{0}` must be 1 to {MAX_NAME_BYTES} letters, digits, `.`, `_` or `-`, and begin with a letter or digit"
    )]
    JobName(String),
    #[error("task name `{0}` must be 1 to {MAX_NAME_BYTES} letters, digits, `_` or `-`")]
    TaskName(String),
    #[error("job `{0}` has no tasks")]
    NoTasks(String),
    #[error("{0} tasks in one job, at most {MAX_TASKS} are allowed; use `count` for an array")]
    TooManyTasks(usize),
    #[error("user `{0}` must be at most {MAX_NAME_BYTES} letters, digits, `.`, `_`, `@` or `-`")]
    User(String),
    #[error("task `{0}` is named twice")]
    TaskTwice(String),
    #[error("task `{0}` has a count of 0")]
    NoInstance(String),
    #[error("{0} instances in one job, at most {MAX_INSTANCES} are allowed")]
    TooManyInstances(u64),
    #[error("task `{task}` comes after `{after}`, which is not a task of the job")]
    UnknownAfter { task: String, after: String },
    #[error("tasks come after each other in a cycle: {0}")]
    Cycle(String),
    #[error("each index of task `{task}` comes after the same of `{after}`, which has {n}, and not {count}")]
    UnevenAfter {
        task: String,
        after: String,
        n: u32,
        count: u32,
    },
    #[error("no job is named `{0}`, and none can come after it")]
    NoSuchAfter(String),
    #[error("job `{0}` recurs and never ends; a job may come after one of its runs")]
    AfterRecurring(String),
    #[error("job `{0}` recurs and cannot come after other jobs")]
    RecurringAfter(String),
    #[error("job `{0}` runs when it is dispatched and never ends; a job may come after one of its runs")]
    AfterTemplate(String),
    #[error("{0} jobs to come after, at most {MAX_AFTER_JOBS} are allowed")]
    TooManyAfterJobs(usize),
    #[error("tasks come {0} times after others in one job, at most {MAX_EDGES} are allowed")]
    TooManyEdges(usize),
    #[error("task `{task}` must ask for more than 0 {resource}")]
    AsksForNone { task: String, resource: ResourceName },
    #[error(
        "task `{0}` asks for more than amounts; ports, sets, reservations and volumes cannot be asked for"
    )]
    NotAmounts(String),
    #[error("task `{task}` is limited to less {resource} than it asks for")]
    LowLimit { task: String, resource: ResourceName },
    #[error("task `{task}` has {n} constraints, at most {MAX_CONSTRAINTS} are allowed")]
    Constraints { task: String, n: usize },
    #[error("task `{0}` allows 0 instances on one agent")]
    NoneOnAgent(String),
    #[error("task `{0}` comes after another one, but all tasks of a gang start together")]
    GangAfter(String),
    #[error("task `{0}` is a gang, whose indexes start together and cannot come after others one by one")]
    GangEach(String),
    #[error("{n} instances in one gang, at most {MAX_GANG_TASKS} are allowed")]
    GangInstances { n: u64 },
    #[error(
        "a gang is launched in one message of at most {MAX_GANG_BYTES} bytes, and this one takes {n_bytes}"
    )]
    LargeGang { n_bytes: u64 },
    #[error(
        "the tasks of a gang in job `{0}` have too many constraints and patterns to be asked for at once"
    )]
    LargeStatement(String),
    #[error("role `{0}` would be one more than the {MAX_ROLES} that all jobs together may be in")]
    Roles(Role),
    #[error("task `{task}` asks for {asked}, and the largest agent has {largest}")]
    FitsNowhere {
        task: String,
        asked: String,
        largest: Resources,
    },
    #[error("task `{0}` has neither a command nor an image")]
    NoCommand(String),
    #[error("task `{0}` uses a config: only tasks of services can")]
    Configs(String),
    #[error("task `{task}` has a container of {n_bytes} bytes, at most {MAX_CONTAINER_BYTES} are allowed")]
    LargeContainer { task: String, n_bytes: usize },
    #[error("task `{task}` has {retries} retries, at most {MAX_RETRIES} are allowed")]
    Retries { task: String, retries: u32 },
    #[error("task `{0}` lets none of its instances run at once")]
    NoneRunning(String),
    #[error("task `{0}` is a gang, which runs whole, and cannot be limited to some of it at once")]
    GangRunning(String),
    #[error("task `{task}` waits {wait:?} before a retry, at most {MAX_BACKOFF:?} are allowed")]
    Backoff { task: String, wait: Duration },
    #[error("task `{0}` names no exit code that is retried")]
    NoExitCodes(String),
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("priority {0} is not between -{MAX_PRIORITY} and {MAX_PRIORITY}")]
    Priority(i32),
    /// The name may be used again once that job has ended.
    #[error("job `{0}` exists and has not ended; cancel it or choose another name")]
    NameInUse(String),
    #[error("too much has not ended yet; submit again later")]
    Full,
}

/// Checks all that does not depend on other jobs. Returns the tasks' indexes, each after those it comes after.
pub(crate) fn validate(spec: &JobSpec, largest: &[Resources]) -> Result<Arc<[usize]>, SubmitError> {
    if !is_token(&spec.name) {
        return Err(SubmitError::JobName(quoted(&spec.name)));
    }
    if !(-MAX_PRIORITY..=MAX_PRIORITY).contains(&spec.priority) {
        return Err(SubmitError::Priority(spec.priority));
    }
    if !is_user(&spec.user) {
        return Err(SubmitError::User(quoted(&spec.user)));
    }
    if spec.tasks.is_empty() {
        return Err(SubmitError::NoTasks(spec.name.clone()));
    }
    if spec.tasks.len() > MAX_TASKS {
        return Err(SubmitError::TooManyTasks(spec.tasks.len()));
    }
    let n_instances = spec.n_instances();
    if n_instances > u64::from(MAX_INSTANCES) {
        return Err(SubmitError::TooManyInstances(n_instances));
    }
    let n_edges = spec.tasks.iter().map(|task| task.after.len()).sum();
    if n_edges > MAX_EDGES {
        return Err(SubmitError::TooManyEdges(n_edges));
    }
    if spec.after_jobs.len() > MAX_AFTER_JOBS {
        return Err(SubmitError::TooManyAfterJobs(spec.after_jobs.len()));
    }
    if spec.schedule.is_some() && !spec.after_jobs.is_empty() {
        return Err(SubmitError::RecurringAfter(spec.name.clone()));
    }
    for task in &spec.tasks {
        check_task(task)?;
        check_fit(task, largest)?;
    }
    check::template(spec)?;
    check_gangs(spec)?;
    order(spec)
}

fn check_gangs(spec: &JobSpec) -> Result<(), SubmitError> {
    if spec.gang {
        if let Some(task) = spec.tasks.iter().find(|task| task.max_running.is_some()) {
            return Err(SubmitError::GangRunning(task.name.clone()));
        }
        if let Some(task) = spec.tasks.iter().find(|task| !task.after.is_empty()) {
            return Err(SubmitError::GangAfter(task.name.clone()));
        }
        return check_gang(spec, &spec.tasks);
    }
    let each = |task: &&TaskSpec| task.gang && task.after.iter().any(|after| after.each);
    if let Some(task) = spec.tasks.iter().find(each) {
        return Err(SubmitError::GangEach(task.name.clone()));
    }
    let gangs = spec.tasks.iter().filter(|task| task.gang);
    gangs
        .map(std::slice::from_ref)
        .try_for_each(|tasks| check_gang(spec, tasks))
}

/// Checks what a gang takes whole.
fn check_gang(spec: &JobSpec, tasks: &[TaskSpec]) -> Result<(), SubmitError> {
    let n = tasks.iter().map(|task| u64::from(task.count)).sum();
    if n > u64::from(MAX_GANG_TASKS) {
        return Err(SubmitError::GangInstances { n });
    }
    let n_bytes = tasks
        .iter()
        .map(|task| u64::from(task.count) * launch_bytes(spec, task) as u64);
    match n_bytes.sum() {
        n_bytes if n_bytes > MAX_GANG_BYTES as u64 => Err(SubmitError::LargeGang { n_bytes }),
        _ => Ok(()),
    }
}

/// Refuses what would run a task of an at_most_once window a second time.
pub(crate) fn check_once(spec: &JobSpec, schedule: &Schedule) -> Result<(), ScheduleError> {
    let runs_again = |task: &&TaskSpec| task.retries > 0 || task.container.restart.on != RestartOn::Never;
    match spec.tasks.iter().find(runs_again) {
        Some(task) if schedule.missed == MissedPolicy::AtMostOnce => {
            Err(ScheduleError::Retries(task.name.clone()))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether a text may name a job, or tell a run of a template from the others.
pub(crate) fn is_token(token: &str) -> bool {
    is_name(token, "._-") && token.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn is_name(name: &str, punctuation: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || punctuation.contains(c);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(good)
}

/// As much of a wrong name as helps to recognise it.
pub(crate) fn quoted(name: &str) -> String {
    name.chars()
        .take(80)
        .collect::<String>()
        .escape_debug()
        .to_string()
}

fn check_task(task: &TaskSpec) -> Result<(), SubmitError> {
    // No dot: it parts a task id, which so tells job, task and index apart.
    if !is_name(&task.name, "_-") {
        return Err(SubmitError::TaskName(quoted(&task.name)));
    }
    let name = || task.name.clone();
    if task.count == 0 {
        return Err(SubmitError::NoInstance(name()));
    }
    for resource in [ResourceName::Cpus, ResourceName::Mem] {
        if task.resources.scalar(&resource) == 0 {
            return Err(SubmitError::AsksForNone {
                task: name(),
                resource,
            });
        }
    }
    if !is_amounts(&task.resources) {
        return Err(SubmitError::NotAmounts(name()));
    }
    check_rules(task)?;
    check_retry(task)?;
    if task.container.command.is_empty() && task.container.image.is_none() {
        return Err(SubmitError::NoCommand(name()));
    }
    if !task.container.configs.is_empty() {
        return Err(SubmitError::Configs(name()));
    }
    let n_bytes = encoded_bytes(&task.container);
    if n_bytes > MAX_CONTAINER_BYTES {
        return Err(SubmitError::LargeContainer {
            task: name(),
            n_bytes,
        });
    }
    if task.retries > MAX_RETRIES {
        return Err(SubmitError::Retries {
            task: name(),
            retries: task.retries,
        });
    }
    Ok(())
}

/// Checks when a task is started again, and how many of it run at once.
fn check_retry(task: &TaskSpec) -> Result<(), SubmitError> {
    let name = || task.name.clone();
    let wait = task.retry.backoff.max(task.retry.max_backoff);
    if wait > MAX_BACKOFF {
        return Err(SubmitError::Backoff { task: name(), wait });
    }
    match (&task.retry.exits, task.max_running) {
        (ExitCodes::Only(codes), _) if codes.is_empty() => Err(SubmitError::NoExitCodes(name())),
        (_, Some(0)) => Err(SubmitError::NoneRunning(name())),
        (_, Some(_)) if task.gang => Err(SubmitError::GangRunning(name())),
        (_, Some(_) | None) => Ok(()),
    }
}

/// Checks what a task may use and where it may run.
fn check_rules(task: &TaskSpec) -> Result<(), SubmitError> {
    let name = || task.name.clone();
    let limits = [
        (ResourceName::Cpus, task.limits.cpus),
        (ResourceName::Mem, task.limits.mem),
    ];
    for (resource, limit) in limits {
        if limit.is_some_and(|limit| limit < Limit::At(task.resources.scalar(&resource))) {
            return Err(SubmitError::LowLimit {
                task: name(),
                resource,
            });
        }
    }
    let n = task.rules.constraints.groups.iter().map(Vec::len).sum();
    if n > MAX_CONSTRAINTS {
        return Err(SubmitError::Constraints { task: name(), n });
    }
    match task.rules.max_per_agent {
        Some(0) => Err(SubmitError::NoneOnAgent(name())),
        Some(_) | None => Ok(()),
    }
}

/// Whether a request is made of plain scalars: what an offer can be asked for by.
pub(crate) fn is_amounts(resources: &Resources) -> bool {
    !resources.has_kinds() && resources.all_ranges().next().is_none() && resources.all_sets().next().is_none()
}

/// The bytes of one launch.
pub(crate) fn launch_bytes(spec: &JobSpec, task: &TaskSpec) -> usize {
    let dispatch = spec.dispatch.as_ref().map_or(0, Dispatch::launch_bytes);
    encoded_bytes(&task.container) + map_bytes(&spec.labels) + dispatch + TASK_OVERHEAD_BYTES
}

/// Refuses what no agent could hold, whoever its resources are reserved for. No agent known means that it is too early
/// to tell; and how many agents there are is no measure, since more may join: a gang may wait for them.
pub(crate) fn check_fit(task: &TaskSpec, largest: &[Resources]) -> Result<(), SubmitError> {
    let lacking = |agent: &Resources| {
        let scalars = task.resources.scalars();
        scalars
            .filter(|(name, units)| agent.scalar(name) < *units)
            .map(|(name, units)| format!("{name}:{}", format_scalar(name, units)))
            .collect::<Vec<_>>()
    };
    let nearest = largest.iter().map(|agent| (lacking(agent), agent));
    let nearest = nearest.min_by_key(|(lacking, _)| lacking.len());
    match nearest {
        Some((lacking, agent)) if !lacking.is_empty() => Err(SubmitError::FitsNowhere {
            task: task.name.clone(),
            asked: lacking.into_iter().next().unwrap_or_default(),
            largest: agent.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}

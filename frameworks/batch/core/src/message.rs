//! Job specs as messages: what a client sends and what is kept of a job are the same `v1::JobSpec`.
//!
//! What the wire can check is checked here; what only the scheduler knows is left to `validate`.

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_types::{ContainerSpec, KillPolicy, Limits, PlacementRules, Resources};
use proffer_wire::container::check_memory;
use proffer_wire::demand::{Budget, placement_rules};
use proffer_wire::task::limits;
use proffer_wire::text::{labels, role};
use proffer_wire::{ConvertError, v1};

use crate::{After, AfterJob, ExitCodes, JobSpec, On, RetryPolicy, Schedule, TaskSpec};

impl TryFrom<v1::JobSpec> for JobSpec {
    type Error = ConvertError;

    fn try_from(message: v1::JobSpec) -> Result<Self, ConvertError> {
        let mut budget = Budget::default();
        let task = |(index, task)| {
            task_spec(task, &mut budget).map_err(|error| error.under(format_args!("tasks[{index}]")))
        };
        Ok(Self {
            role: role(&message.role)?,
            name: message.name,
            priority: message.priority,
            tasks: message
                .tasks
                .into_iter()
                .enumerate()
                .map(task)
                .collect::<Result<_, _>>()?,
            gang: message.gang,
            schedule: message
                .schedule
                .map(Schedule::try_from)
                .transpose()
                .map_err(|error| error.under("schedule"))?,
            hold: message.hold,
            deadline: (message.deadline_ms > 0).then(|| Duration::from_millis(message.deadline_ms)),
            labels: labels("labels", message.labels)?,
            user: message.user,
            after_jobs: after_jobs(message.after_jobs)?,
            template: message
                .template
                .map(TryInto::try_into)
                .transpose()
                .map_err(|error: ConvertError| error.under("template"))?,
            dispatch: message.dispatch.map(Into::into),
        })
    }
}

fn task_spec(message: v1::JobTask, budget: &mut Budget) -> Result<TaskSpec, ConvertError> {
    let in_container = |error: ConvertError| error.under("container");
    let resources = message.resources.unwrap_or_default();
    let resources = Resources::try_from(resources).map_err(|error| error.under("resources"))?;
    let limits = limits(message.limits.unwrap_or_default(), &resources);
    let container = message
        .container
        .ok_or_else(|| ConvertError::new("container", "is missing"))?;
    let container: ContainerSpec = container.try_into().map_err(in_container)?;
    check_memory(&container, &resources).map_err(in_container)?;
    Ok(TaskSpec {
        name: message.name,
        count: message.count.max(1),
        after: after(message.after, message.conditions)?,
        resources,
        limits: limits.map_err(|error| error.under("limits"))?,
        rules: placement_rules(message.rules, budget).map_err(|error| error.under("rules"))?,
        gang: message.gang,
        container,
        max_running: (message.max_running > 0).then_some(message.max_running),
        retry: retry(message.retry.unwrap_or_default())?,
        retries: message.retries,
        timeout: (message.timeout_ms > 0).then(|| Duration::from_millis(message.timeout_ms)),
        kill_policy: message.kill_policy.map(KillPolicy::from).unwrap_or_default(),
    })
}

fn after(names: Vec<String>, conditions: Vec<v1::JobCondition>) -> Result<Vec<After>, ConvertError> {
    let plain = |task| After {
        task,
        on: On::Success,
        each: false,
    };
    let condition = |condition: v1::JobCondition| {
        Ok(After {
            on: on("conditions.on", condition.on)?,
            task: condition.task,
            each: condition.each,
        })
    };
    let conditions = conditions.into_iter().map(condition);
    names.into_iter().map(plain).map(Ok).chain(conditions).collect()
}

fn after_jobs(messages: Vec<v1::JobAfter>) -> Result<Vec<AfterJob>, ConvertError> {
    let after = |message: v1::JobAfter| {
        Ok(AfterJob {
            on: on("after_jobs.on", message.on)?,
            job: message.job,
        })
    };
    messages.into_iter().map(after).collect()
}

impl From<&AfterJob> for v1::JobAfter {
    fn from(after: &AfterJob) -> Self {
        Self {
            job: after.job.clone(),
            on: on_message(after.on).into(),
        }
    }
}

fn on(field: &str, on: i32) -> Result<On, ConvertError> {
    let on = v1::JobConditionOn::try_from(on).map_err(|error| ConvertError::new(field, error))?;
    Ok(match on {
        v1::JobConditionOn::Unspecified | v1::JobConditionOn::JobOnSuccess => On::Success,
        v1::JobConditionOn::JobOnFailure => On::Failure,
        v1::JobConditionOn::JobOnAny => On::Any,
    })
}

fn on_message(on: On) -> v1::JobConditionOn {
    match on {
        On::Success => v1::JobConditionOn::JobOnSuccess,
        On::Failure => v1::JobConditionOn::JobOnFailure,
        On::Any => v1::JobConditionOn::JobOnAny,
    }
}

fn condition(after: &After) -> v1::JobCondition {
    let on = on_message(after.on);
    v1::JobCondition {
        task: after.task.clone(),
        on: on.into(),
        each: after.each,
    }
}

impl From<&JobSpec> for v1::JobSpec {
    fn from(spec: &JobSpec) -> Self {
        Self {
            name: spec.name.clone(),
            role: spec.role.to_string(),
            priority: spec.priority,
            tasks: spec.tasks.iter().map(task_message).collect(),
            gang: spec.gang,
            schedule: spec.schedule.as_ref().map(Into::into),
            hold: spec.hold,
            // 0 means none.
            deadline_ms: spec.deadline.map_or(0, |deadline| millis(deadline).max(1)),
            labels: spec.labels.clone(),
            user: spec.user.clone(),
            after_jobs: spec.after_jobs.iter().map(Into::into).collect(),
            template: spec.template.as_ref().map(Into::into),
            dispatch: spec.dispatch.as_ref().map(Into::into),
        }
    }
}

fn task_message(task: &TaskSpec) -> v1::JobTask {
    v1::JobTask {
        name: task.name.clone(),
        count: task.count,
        after: task
            .after
            .iter()
            .filter(|after| after.is_plain())
            .map(|after| after.task.clone())
            .collect(),
        conditions: task
            .after
            .iter()
            .filter(|after| !after.is_plain())
            .map(condition)
            .collect(),
        resources: Some((&task.resources).into()),
        container: Some((&task.container).into()),
        retries: task.retries,
        // 0 means no limit, so the shortest limit there can be is 1 ms.
        timeout_ms: task.timeout.map_or(0, |timeout| millis(timeout).max(1)),
        kill_policy: Some(task.kill_policy.into()),
        limits: (task.limits != Limits::default()).then(|| task.limits.into()),
        rules: (task.rules != PlacementRules::default()).then(|| (&task.rules).into()),
        gang: task.gang,
        max_running: task.max_running.unwrap_or(0),
        retry: (task.retry != RetryPolicy::default()).then(|| retry_message(&task.retry)),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn retry(message: v1::JobRetry) -> Result<RetryPolicy, ConvertError> {
    let v1::JobRetry {
        backoff_ms,
        max_backoff_ms,
        only_exits,
        not_exits,
    } = message;
    let codes = |codes: Vec<u32>, field: &'static str| {
        let code = |code: u32| {
            u8::try_from(code)
                .map_err(|_| ConvertError::new(field, format!("{code} is no exit code, which are 0 to 255")))
        };
        codes
            .into_iter()
            .map(code)
            .collect::<Result<BTreeSet<_>, _>>()
            .map_err(|error| error.under("retry"))
    };
    let (only, not) = (codes(only_exits, "only_exits")?, codes(not_exits, "not_exits")?);
    Ok(RetryPolicy {
        backoff: Duration::from_millis(backoff_ms),
        max_backoff: Duration::from_millis(max_backoff_ms),
        exits: match (only.is_empty(), not.is_empty()) {
            (true, true) => ExitCodes::All,
            (false, true) => ExitCodes::Only(only),
            (true, false) => ExitCodes::AllBut(not),
            (false, false) => {
                let error = ConvertError::new("not_exits", "`only_exits` says it already");
                return Err(error.under("retry"));
            }
        },
    })
}

fn retry_message(retry: &RetryPolicy) -> v1::JobRetry {
    let codes = |codes: &BTreeSet<u8>| codes.iter().copied().map(u32::from).collect();
    let (only_exits, not_exits) = match &retry.exits {
        ExitCodes::All => (Vec::new(), Vec::new()),
        ExitCodes::Only(only) => (codes(only), Vec::new()),
        ExitCodes::AllBut(not) => (Vec::new(), codes(not)),
    };
    v1::JobRetry {
        backoff_ms: millis(retry.backoff),
        max_backoff_ms: millis(retry.max_backoff),
        only_exits,
        not_exits,
    }
}

//! Between the messages of `proffer.v1.Jobs` and the scheduler's types.

mod labels;
pub(crate) mod queue;
mod recurring;
mod report;
mod template;

use proffer_batch_core::{InstanceView, JobSpec, JobState, JobSummary, JobView, Phase, Pick, TaskSpec};
use proffer_wire::frame::MAX_MESSAGE_BYTES;
use proffer_wire::{ConvertError, v1};
use prost::Message as _;

pub(crate) use self::labels::labels;
pub(crate) use self::recurring::{recurring, recurring_summary};
pub(crate) use self::report::{query, report};
pub(crate) use self::template::{template, template_summary};

/// Indexes of a job that are shown when a client does not say how many.
const DEFAULT_LIMIT: usize = 1000;

/// Checks what a client sent; what the scheduler checks itself is left to it.
pub(crate) fn spec(message: Option<v1::JobSpec>) -> Result<JobSpec, ConvertError> {
    let message = message.ok_or_else(|| ConvertError::new("spec", "is missing"))?;
    JobSpec::try_from(message).map_err(|error| error.under("spec"))
}

/// What a message has for instances in any case, however large the spec is: so pages of them come to an end.
const LEAST_FOR_INSTANCES: usize = 1 << 20;

/// A job as a message that a client takes: where it would be too large, first the statuses of what did not
/// fail are left out, then the last instances.
pub(crate) fn job(view: &JobView, framework_id: &str, is_brief: bool) -> v1::Job {
    let spec = match is_brief {
        true => brief(view),
        false => v1::JobSpec {
            name: view.name.clone(),
            // Of a run, which is not a recurring job itself.
            schedule: None,
            ..view.spec.as_ref().into()
        },
    };
    let most = MAX_MESSAGE_BYTES.max(spec.encoded_len() + LEAST_FOR_INSTANCES);
    let mut job = v1::Job {
        spec: Some(spec),
        state: job_state(view.state).into(),
        submitted_ms: view.submitted.0,
        ended_ms: view.ended.map_or(0, |ended| ended.0),
        tasks: view
            .instances
            .iter()
            .map(|instance| instance_message(view, instance))
            .collect(),
        framework_id: framework_id.to_owned(),
        recurrence: None,
        counts: view
            .counts
            .iter()
            .zip(&view.n_suspended)
            .map(|(of, suspended)| counts(of, *suspended))
            .collect(),
        held: view.held,
        usage: (view.usage.attempts > 0).then(|| view.usage.into()),
        waits_for: view.waits.iter().map(Into::into).collect(),
        reason: view.reason.clone().unwrap_or_default(),
        runs: Vec::new(),
    };
    if job.encoded_len() > most {
        let failed = i32::from(v1::JobTaskState::JobTaskFailed);
        let dull = job.tasks.iter_mut().filter(|task| task.state != failed);
        dull.for_each(|task| task.status = None);
    }
    let excess = job.encoded_len().saturating_sub(most);
    drop_last(&mut job.tasks, excess);
    job
}

/// Who watches a job need not be sent thousands of commands with each change.
fn brief(view: &JobView) -> v1::JobSpec {
    let task = |task: &TaskSpec| v1::JobTask {
        name: task.name.clone(),
        count: task.count,
        ..Default::default()
    };
    v1::JobSpec {
        name: view.name.clone(),
        role: view.spec.role.to_string(),
        tasks: view.spec.tasks.iter().map(task).collect(),
        dispatch: view.spec.dispatch.as_ref().map(|dispatch| v1::JobDispatch {
            token: dispatch.token.clone(),
            values: dispatch.values.clone(),
            payload: None,
        }),
        ..Default::default()
    }
}

fn counts(counts: &[u32; Phase::ALL.len()], suspended: u32) -> v1::JobTaskCounts {
    let [blocked, waiting, running, finished, failed, cancelled, delayed] = *counts;
    v1::JobTaskCounts {
        blocked,
        waiting,
        running: running.saturating_sub(suspended),
        finished,
        failed,
        cancelled,
        delayed,
        suspended,
    }
}

/// Drops the last instances until at least `excess` bytes are gone.
fn drop_last(tasks: &mut Vec<v1::JobTaskInstance>, excess: usize) {
    let mut gone = 0;
    while gone < excess
        && let Some(task) = tasks.pop()
    {
        gone += task.encoded_len();
    }
}

pub(crate) fn summary(summary: JobSummary) -> v1::list_jobs_response::JobSummary {
    v1::list_jobs_response::JobSummary {
        name: summary.name.clone(),
        role: summary.spec.role.to_string(),
        state: job_state(summary.state).into(),
        submitted_ms: summary.submitted.0,
        ended_ms: summary.ended.map_or(0, |ended| ended.0),
        n_tasks: count(summary.n_instances),
        n_running: count(summary.n_running),
        n_suspended: count(summary.n_suspended),
        n_finished: count(summary.n_finished),
        n_failed: count(summary.n_failed),
        next_ms: 0,
    }
}

/// A count as the wire has it; no job is that large.
pub(crate) fn count(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn instance_message(job: &JobView, instance: &InstanceView) -> v1::JobTaskInstance {
    v1::JobTaskInstance {
        name: job.spec.tasks[instance.task].name.clone(),
        index: instance.index,
        task_id: instance
            .task_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        attempts: instance.attempts,
        state: match instance.suspended {
            true => v1::JobTaskState::JobTaskSuspended,
            false => task_state(instance.phase),
        }
        .into(),
        status: instance.status.as_deref().map(Into::into),
    }
}

pub(super) fn job_state(state: JobState) -> v1::JobState {
    match state {
        JobState::Pending => v1::JobState::JobPending,
        JobState::Running => v1::JobState::JobRunning,
        JobState::Finished => v1::JobState::JobFinished,
        JobState::Failed => v1::JobState::JobFailed,
        JobState::Cancelled => v1::JobState::JobCancelled,
    }
}

/// The name of a job, and what of it a client wants to see.
pub(crate) fn pick(request: v1::GetJobRequest) -> (String, Pick) {
    let states: Vec<_> = request.states().collect();
    let is_asked = |phase: &Phase| states.contains(&task_state(*phase));
    let pick = Pick {
        limit: match request.limit {
            0 => DEFAULT_LIMIT,
            limit => limit as usize,
        },
        // A state of a later version picks nothing.
        phases: match request.states.is_empty() {
            true => Phase::ALL.to_vec(),
            false => Phase::ALL.into_iter().filter(is_asked).collect(),
        },
        suspended: request.states.is_empty() || states.contains(&v1::JobTaskState::JobTaskSuspended),
        after: request.after.map(|place| (place.task, place.index)),
    };
    (request.name, pick)
}

fn task_state(phase: Phase) -> v1::JobTaskState {
    match phase {
        Phase::Blocked => v1::JobTaskState::JobTaskBlocked,
        Phase::Waiting => v1::JobTaskState::JobTaskWaiting,
        Phase::Running => v1::JobTaskState::JobTaskRunning,
        Phase::Finished => v1::JobTaskState::JobTaskFinished,
        Phase::Failed => v1::JobTaskState::JobTaskFailed,
        Phase::Cancelled => v1::JobTaskState::JobTaskCancelled,
        Phase::Delayed => v1::JobTaskState::JobTaskDelayed,
    }
}

//! Durable records: what each key holds.
//!
//! | key | value | written |
//! |---|---|---|
//! | `batch/submissions` | `Counter` | with each submission |
//! | `batch/queue/<role>` | `QueueRecord` | when set to something else than the default |
//! | `batch/used/<user>/<role>` | `UsedRecord` | under fair share, when a task of the user starts or ends |
//! | `batch/forgotten/<number>` | nothing | when the job is forgotten, until its last record is gone |
//! | `batch/recurring/<number>` | `RecurringRecord` | when submitted |
//! | `batch/recurring/<number>/ledger` | `LedgerRecord` | when a window is decided about |
//! | `batch/template/<number>` | `TemplateRecord` | when submitted, and when cancelled |
//! | `job/<number>` | `JobRecord` | when submitted; the run of a window, when it is due, with the ledger, and when it starts |
//! | `job/<number>/end` | `EndRecord` | when held, released, cancelled, past its deadline, requeued, and when ended; of a job that waits for others, when submitted and when it waits for one less |
//! | `job/<number>/<task>.usage` | `v1::JobUsage` | when an attempt of the task ended |
//! | `batch/account/<day>/<role>/<user>` | `v1::JobUsage` | when an attempt ended |
//! | `job/<number>/<task>.<index>` | `InstanceRecord` | when launched, and when an attempt ended |
//!
//! The number has twenty digits, so that the order of keys is the order of submission. An instance without a record was
//! never launched; its phase follows from the others. Numbers of fields are for ever.

mod account;
mod queue;
mod recurring;
mod template;

use std::collections::BTreeSet;

use proffer_session::RecoverError;
use proffer_types::{Role, TaskStatus, Timestamp};
use proffer_wire::v1;
use prost::Message;

use crate::accounts::Key;
use crate::job::{Job, Phase, Place, Run, Wait};
use crate::recurring::Ledger;
use crate::report::{Agents, Report};
use crate::task::Instance;
use crate::{JobSpec, On, QueueSettings, Sums};

pub(crate) use self::account::{account, account_key, sums};
pub(crate) use self::queue::{queue, queue_key, used, used_key};
pub(crate) use self::recurring::{ledger, recurring, recurring_keys};
pub(crate) use self::template::{template, template_key};

const SUBMISSIONS: &str = "batch/submissions";
const JOBS: &str = "job/";
const FORGOTTEN: &str = "batch/forgotten/";

#[derive(Clone, PartialEq, Message)]
struct Counter {
    #[prost(uint64, tag = "1")]
    value: u64,
}

/// Fields 1 to 4 and 6 were the spec, field by field.
#[derive(Clone, PartialEq, Message)]
struct JobRecord {
    #[prost(uint64, tag = "5")]
    submitted_ms: u64,
    /// A run has that of its recurring job.
    #[prost(message, optional, tag = "7")]
    spec: Option<v1::JobSpec>,
    #[prost(message, optional, tag = "8")]
    run: Option<RunRecord>,
    /// The number of the template that it is a run of.
    #[prost(uint64, optional, tag = "9")]
    template: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct WaitRecord {
    #[prost(uint64, tag = "1")]
    job: u64,
    /// Index into `On::ALL`.
    #[prost(uint32, tag = "2")]
    on: u32,
}

#[derive(Clone, PartialEq, Message)]
struct RunRecord {
    #[prost(uint64, tag = "1")]
    recurring: u64,
    #[prost(uint64, tag = "2")]
    at_ms: u64,
    #[prost(bool, tag = "3")]
    triggered: bool,
    #[prost(uint64, optional, tag = "4")]
    started_ms: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    dropped_ms: Option<u64>,
    /// Index into `MissedCause::ALL`.
    #[prost(uint32, optional, tag = "6")]
    ended_for: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct EndRecord {
    #[prost(bool, tag = "1")]
    cancelled: bool,
    /// Absent while a cancelled job still has something running.
    #[prost(uint64, optional, tag = "2")]
    ended_ms: Option<u64>,
    /// Absent means as its spec says.
    #[prost(bool, optional, tag = "3")]
    held: Option<bool>,
    #[prost(bool, tag = "4")]
    expired: bool,
    #[prost(uint64, optional, tag = "7")]
    released_ms: Option<u64>,
    /// Why it was cancelled, where nobody asked for that.
    #[prost(string, optional, tag = "5")]
    reason: Option<String>,
    /// Ends of other jobs that have not come yet.
    #[prost(message, repeated, tag = "6")]
    waits: Vec<WaitRecord>,
}

/// Field 4 was the status, field by field.
#[derive(Clone, PartialEq, Message)]
struct InstanceRecord {
    /// Index into `Phase::ALL`.
    #[prost(uint32, tag = "1")]
    phase: u32,
    #[prost(uint32, tag = "2")]
    attempts: u32,
    #[prost(uint32, tag = "3")]
    failures: u32,
    #[prost(message, optional, tag = "5")]
    status: Option<v1::TaskStatus>,
    #[prost(uint32, tag = "6")]
    never_launched: u32,
    #[prost(uint32, tag = "7")]
    forgiven: u32,
    /// When it was launched; since when it waits; or when it ended.
    #[prost(uint64, tag = "8")]
    since_ms: u64,
    /// Of the latest attempt.
    #[prost(uint64, tag = "9")]
    waited_ms: u64,
}

/// One record, understood.
#[derive(Debug)]
pub(crate) enum Record {
    Submissions(u64),
    Queue {
        role: Role,
        settings: QueueSettings,
    },
    Used {
        role: Role,
        user: String,
        sum: f64,
        at: Timestamp,
    },
    Forgotten(u64),
    Recurring {
        number: u64,
        spec: JobSpec,
        submitted: Timestamp,
    },
    Ledger {
        number: u64,
        ledger: Ledger,
    },
    Template {
        number: u64,
        spec: JobSpec,
        submitted: Timestamp,
        cancelled: Option<Timestamp>,
    },
    Run {
        number: u64,
        run: Run,
        submitted: Timestamp,
    },
    Job {
        number: u64,
        spec: JobSpec,
        submitted: Timestamp,
        template: Option<u64>,
    },
    End {
        number: u64,
        cancelled: bool,
        ended: Option<Timestamp>,
        held: Option<bool>,
        expired: bool,
        released: Option<Timestamp>,
        reason: Option<String>,
        waits: BTreeSet<Wait>,
    },
    Account(Key, Sums),
    Sums {
        number: u64,
        task: String,
        sums: Sums,
    },
    Instance {
        number: u64,
        task: String,
        index: u32,
        phase: Phase,
        instance: Instance,
    },
}

pub(crate) fn submissions(value: u64) -> (String, Vec<u8>) {
    (SUBMISSIONS.to_owned(), Counter { value }.encode_to_vec())
}

pub(crate) fn job(job: &Job) -> (String, Vec<u8>) {
    let record = JobRecord {
        submitted_ms: job.submitted.0,
        spec: job.run.is_none().then(|| job.spec.as_ref().into()),
        run: job.run.as_ref().map(|run| RunRecord {
            recurring: run.recurring,
            at_ms: run.at.0,
            triggered: run.triggered,
            started_ms: run.started.map(|started| started.0),
            dropped_ms: run.dropped.map(|dropped| dropped.0),
            ended_for: run.ended_for.map(|cause| cause as u32),
        }),
        template: job.template,
    };
    (job_key(job), record.encode_to_vec())
}

pub(crate) fn end(job: &Job) -> (String, Vec<u8>) {
    let record = EndRecord {
        cancelled: job.cancelled,
        ended_ms: job.ended.map(|ended| ended.0),
        held: (job.held != job.spec.hold).then_some(job.held),
        expired: job.expired,
        released_ms: job.released.map(|released| released.0),
        reason: job.reason.clone(),
        waits: job.waits.iter().map(wait_record).collect(),
    };
    (format!("{}/end", job_key(job)), record.encode_to_vec())
}

/// The status of a running attempt is not recorded: reconciliation brings it again.
pub(crate) fn instance(job: &Job, place: Place) -> (String, Vec<u8>) {
    let task = &job.tasks[place.task];
    let phase = task.phase(place.index);
    let none = Instance::default();
    let instance = task.launched(place.index).unwrap_or(&none);
    let report = instance.status.as_deref().filter(|_| phase != Phase::Running);
    let status = report.and_then(|report| Some((report, job.task_id(place.task, place.index)?)));
    let record = InstanceRecord {
        phase: phase as u32,
        attempts: instance.attempts,
        failures: instance.failures,
        status: status.map(|(report, id)| (&report.status(id)).into()),
        never_launched: instance.never_launched,
        forgiven: instance.forgiven,
        since_ms: instance.since.0,
        waited_ms: instance.waited_ms,
    };
    (instance_key(job, place.task, place.index), record.encode_to_vec())
}

/// The keys of a job's own records.
pub(crate) fn keys(job: &Job) -> [String; 2] {
    [job_key(job), format!("{}/end", job_key(job))]
}

/// The keys of the records of a job's instances, and of what its tasks used.
pub(crate) fn instance_keys(job: &Job) -> impl Iterator<Item = String> {
    job.tasks.iter().enumerate().flat_map(move |(task, state)| {
        let launched = state.all_launched();
        let instances = launched.map(move |(index, _)| instance_key(job, task, index));
        let sums = state.sums.is_some().then(|| account::sums_key(job, task));
        instances.chain(sums)
    })
}

/// The mark of a job that is gone, and some of its records are not.
pub(crate) fn forgotten(number: u64) -> (String, Vec<u8>) {
    (format!("{FORGOTTEN}{number:020}"), Vec::new())
}

fn job_key(job: &Job) -> String {
    format!("{JOBS}{:020}", job.number)
}

fn instance_key(job: &Job, task: usize, index: u32) -> String {
    let (name, index) = (&job.task_spec(task).name, index.to_string());
    [&job_key(job), "/", name, ".", &index].concat()
}

/// Understands one record.
pub(crate) fn read(key: &str, value: &[u8], agents: &mut Agents) -> Result<Record, RecoverError> {
    let unknown = || RecoverError::new(key, "no such record; is it of a newer version?");
    if key == SUBMISSIONS {
        return Ok(Record::Submissions(decode::<Counter>(key, value)?.value));
    }
    if let Some(role) = key.strip_prefix(queue::QUEUE) {
        return queue::read_queue(key, role, value);
    }
    if let Some(rest) = key.strip_prefix(queue::USED) {
        return queue::read_used(key, rest, value);
    }
    if let Some(number) = key.strip_prefix(FORGOTTEN) {
        let number = number.parse().map_err(|error| RecoverError::new(key, error))?;
        return Ok(Record::Forgotten(number));
    }
    if let Some(rest) = key.strip_prefix(account::ACCOUNTS) {
        return account::read(key, rest, value);
    }
    if let Some(rest) = key.strip_prefix(recurring::RECURRING) {
        return recurring::read(key, rest, value);
    }
    if let Some(number) = key.strip_prefix(template::TEMPLATES) {
        return template::read(key, number, value);
    }
    let rest = key.strip_prefix(JOBS).ok_or_else(unknown)?;
    let (number, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let number = number.parse().map_err(|error| RecoverError::new(key, error))?;
    match (rest, rest.split_once('.')) {
        ("", _) => {
            let record = decode::<JobRecord>(key, value)?;
            if let Some(run) = record.run {
                let ended_for = run.ended_for.map(|index| recurring::cause(key, index));
                return Ok(Record::Run {
                    number,
                    run: Run {
                        recurring: run.recurring,
                        at: Timestamp(run.at_ms),
                        triggered: run.triggered,
                        started: run.started_ms.map(Timestamp),
                        dropped: run.dropped_ms.map(Timestamp),
                        ended_for: ended_for.transpose()?,
                    },
                    submitted: Timestamp(record.submitted_ms),
                });
            }
            let spec = record
                .spec
                .ok_or_else(|| RecoverError::new(key, "it has no spec"))?;
            Ok(Record::Job {
                number,
                spec: spec.try_into().map_err(|error| RecoverError::new(key, error))?,
                submitted: Timestamp(record.submitted_ms),
                template: record.template,
            })
        }
        ("end", _) => {
            let record = decode::<EndRecord>(key, value)?;
            Ok(Record::End {
                number,
                cancelled: record.cancelled,
                ended: record.ended_ms.map(Timestamp),
                held: record.held,
                expired: record.expired,
                released: record.released_ms.map(Timestamp),
                reason: record.reason,
                waits: record
                    .waits
                    .iter()
                    .map(|wait| read_wait(key, wait))
                    .collect::<Result<_, _>>()?,
            })
        }
        (_, Some((task, account::SUMS))) => Ok(Record::Sums {
            number,
            task: task.to_owned(),
            sums: decode::<v1::JobUsage>(key, value)?.into(),
        }),
        (_, Some((task, index))) => {
            let (phase, instance) = read_instance(key, decode(key, value)?, agents)?;
            Ok(Record::Instance {
                number,
                task: task.to_owned(),
                index: index.parse().map_err(|error| RecoverError::new(key, error))?,
                phase,
                instance,
            })
        }
        (_, None) => Err(unknown()),
    }
}

fn wait_record(wait: &Wait) -> WaitRecord {
    WaitRecord {
        job: wait.job,
        on: wait.on as u32,
    }
}

fn read_wait(key: &str, record: &WaitRecord) -> Result<Wait, RecoverError> {
    let on = On::ALL.get(record.on as usize);
    let on = on.ok_or_else(|| RecoverError::new(key, format!("{} is no end to wait for", record.on)))?;
    Ok(Wait {
        job: record.job,
        on: *on,
    })
}

fn read_instance(
    key: &str,
    record: InstanceRecord,
    agents: &mut Agents,
) -> Result<(Phase, Instance), RecoverError> {
    let phase = Phase::ALL.get(record.phase as usize);
    let phase = phase.ok_or_else(|| RecoverError::new(key, format!("{} is no phase", record.phase)))?;
    let status = record.status.map(TaskStatus::try_from).transpose();
    let status = status.map_err(|error| RecoverError::new(key, error))?;
    let instance = Instance {
        attempts: record.attempts,
        failures: record.failures,
        never_launched: record.never_launched,
        forgiven: record.forgiven,
        since: Timestamp(record.since_ms),
        waited_ms: record.waited_ms,
        status: status.map(|status| Box::new(Report::of(status, agents))),
    };
    Ok((*phase, instance))
}

fn decode<M: Message + Default>(key: &str, value: &[u8]) -> Result<M, RecoverError> {
    M::decode(value).map_err(|error| RecoverError::new(key, error))
}

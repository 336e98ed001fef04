//! Durable records of recurring jobs: the spec once, the ledger whenever a window is decided about.

use proffer_session::RecoverError;
use proffer_types::Timestamp;
use proffer_wire::v1;
use prost::Message;

use super::{Record, decode};
use crate::recurring::{Counts, Ledger, Missed, MissedCause, Reason, Recurring};

/// Sorts before the jobs, which refer to it.
pub(super) const RECURRING: &str = "batch/recurring/";

#[derive(Clone, PartialEq, Message)]
struct RecurringRecord {
    #[prost(uint64, tag = "1")]
    submitted_ms: u64,
    #[prost(message, optional, tag = "2")]
    spec: Option<v1::JobSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct LedgerRecord {
    #[prost(uint64, optional, tag = "1")]
    next_ms: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    paused_ms: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    cancelled_ms: Option<u64>,
    #[prost(uint64, tag = "4")]
    n_ran: u64,
    #[prost(uint64, tag = "5")]
    n_missed: u64,
    #[prost(uint64, tag = "6")]
    n_late: u64,
    #[prost(uint64, tag = "7")]
    n_extra: u64,
    #[prost(message, repeated, tag = "8")]
    missed: Vec<MissedRecord>,
    #[prost(uint64, tag = "9")]
    recorded_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
struct MissedRecord {
    #[prost(uint64, tag = "1")]
    first_ms: u64,
    #[prost(uint64, tag = "2")]
    last_ms: u64,
    #[prost(uint64, tag = "3")]
    n: u64,
    /// Index into `MissedCause::ALL`.
    #[prost(uint32, tag = "4")]
    cause: u32,
    #[prost(uint64, tag = "5")]
    from_ms: u64,
    #[prost(uint64, tag = "6")]
    to_ms: u64,
    #[prost(string, tag = "7")]
    why: String,
}

pub(crate) fn recurring(job: &Recurring) -> (String, Vec<u8>) {
    let record = RecurringRecord {
        submitted_ms: job.submitted.0,
        spec: Some(job.spec.as_ref().into()),
    };
    (key(job.number), record.encode_to_vec())
}

pub(crate) fn ledger(job: &Recurring) -> (String, Vec<u8>) {
    let ledger = &job.ledger;
    let millis = |time: Option<Timestamp>| time.map(|time| time.0);
    let record = LedgerRecord {
        next_ms: millis(ledger.next),
        paused_ms: millis(ledger.paused),
        cancelled_ms: millis(ledger.cancelled),
        n_ran: ledger.counts.ran,
        n_missed: ledger.counts.missed,
        n_late: ledger.counts.late,
        n_extra: ledger.counts.extra,
        missed: ledger.missed.iter().map(missed_record).collect(),
        recorded_ms: ledger.recorded.0,
    };
    (format!("{}/ledger", key(job.number)), record.encode_to_vec())
}

/// The keys of the records of a recurring job, without those of its runs.
pub(crate) fn recurring_keys(number: u64) -> [String; 2] {
    [key(number), format!("{}/ledger", key(number))]
}

fn key(number: u64) -> String {
    format!("{RECURRING}{number:020}")
}

fn missed_record(missed: &Missed) -> MissedRecord {
    MissedRecord {
        first_ms: missed.first.0,
        last_ms: missed.last.0,
        n: missed.n,
        cause: missed.reason.cause as u32,
        from_ms: missed.reason.from.0,
        to_ms: missed.reason.to.0,
        why: missed.reason.why.clone(),
    }
}

/// Understands one record, by what follows the prefix of its key.
pub(super) fn read(key: &str, rest: &str, value: &[u8]) -> Result<Record, RecoverError> {
    let (number, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let number = number.parse().map_err(|error| RecoverError::new(key, error))?;
    match rest {
        "" => {
            let record = decode::<RecurringRecord>(key, value)?;
            let spec = record
                .spec
                .ok_or_else(|| RecoverError::new(key, "it has no spec"))?;
            Ok(Record::Recurring {
                number,
                spec: spec.try_into().map_err(|error| RecoverError::new(key, error))?,
                submitted: Timestamp(record.submitted_ms),
            })
        }
        "ledger" => {
            let ledger = read_ledger(key, decode(key, value)?)?;
            Ok(Record::Ledger { number, ledger })
        }
        _ => Err(RecoverError::new(
            key,
            "no such record; is it of a newer version?",
        )),
    }
}

fn read_ledger(key: &str, record: LedgerRecord) -> Result<Ledger, RecoverError> {
    let missed = record.missed.into_iter().map(|missed| read_missed(key, missed));
    Ok(Ledger {
        next: record.next_ms.map(Timestamp),
        paused: record.paused_ms.map(Timestamp),
        cancelled: record.cancelled_ms.map(Timestamp),
        counts: Counts {
            ran: record.n_ran,
            missed: record.n_missed,
            late: record.n_late,
            extra: record.n_extra,
        },
        missed: missed.collect::<Result<_, _>>()?,
        recorded: Timestamp(record.recorded_ms),
    })
}

/// A cause, by its index.
pub(super) fn cause(key: &str, index: u32) -> Result<MissedCause, RecoverError> {
    let cause = MissedCause::ALL.get(index as usize).copied();
    cause.ok_or_else(|| RecoverError::new(key, format!("{index} is no cause")))
}

fn read_missed(key: &str, record: MissedRecord) -> Result<Missed, RecoverError> {
    Ok(Missed {
        first: Timestamp(record.first_ms),
        last: Timestamp(record.last_ms),
        n: record.n,
        reason: Reason {
            cause: cause(key, record.cause)?,
            from: Timestamp(record.from_ms),
            to: Timestamp(record.to_ms),
            why: record.why,
        },
    })
}

//! Durable records of queues: how they are set, and what users have used.

use std::time::Duration;

use proffer_session::RecoverError;
use proffer_types::{Backfill, Role, Timestamp};
use prost::Message;

use super::{Record, decode};
use crate::queue::Used;
use crate::{DEFAULT_SLICE, QueueSettings};

pub(super) const QUEUE: &str = "batch/queue/";
pub(super) const USED: &str = "batch/used/";

#[derive(Clone, PartialEq, Message)]
struct QueueRecord {
    /// Its name.
    #[prost(string, tag = "1")]
    policy: String,
    /// 0 is any, 1 easy, 2 none.
    #[prost(uint32, tag = "2")]
    backfill: u32,
    #[prost(uint64, tag = "3")]
    half_life_ms: u64,
    #[prost(btree_map = "string, uint32", tag = "4")]
    shares: std::collections::BTreeMap<String, u32>,
    /// 0 is the default.
    #[prost(uint64, tag = "5")]
    slice_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
struct UsedRecord {
    /// Core-seconds.
    #[prost(double, tag = "1")]
    sum: f64,
    #[prost(uint64, tag = "2")]
    at_ms: u64,
}

pub(crate) fn queue_key(role: &Role) -> String {
    format!("{QUEUE}{role}")
}

/// No user's name holds a slash.
pub(crate) fn used_key(role: &Role, user: &str) -> String {
    format!("{USED}{user}/{role}")
}

pub(crate) fn queue(role: &Role, settings: &QueueSettings) -> (String, Vec<u8>) {
    let record = QueueRecord {
        policy: settings.policy.as_str().to_owned(),
        backfill: match settings.backfill {
            Backfill::Any => 0,
            Backfill::Easy => 1,
            Backfill::None => 2,
        },
        half_life_ms: u64::try_from(settings.half_life.as_millis()).unwrap_or(u64::MAX),
        shares: settings.shares.clone(),
        slice_ms: u64::try_from(settings.slice.as_millis()).unwrap_or(u64::MAX),
    };
    (queue_key(role), record.encode_to_vec())
}

pub(crate) fn used(role: &Role, user: &str, used: &Used) -> (String, Vec<u8>) {
    let record = UsedRecord {
        sum: used.sum,
        at_ms: used.at.0,
    };
    (used_key(role, user), record.encode_to_vec())
}

pub(super) fn read_queue(key: &str, role: &str, value: &[u8]) -> Result<Record, RecoverError> {
    let wrong = |error: &dyn ToString| RecoverError::new(key, error.to_string());
    let record = decode::<QueueRecord>(key, value)?;
    Ok(Record::Queue {
        role: Role::new(role).map_err(|error| wrong(&error))?,
        settings: QueueSettings {
            policy: record.policy.parse().map_err(|error| wrong(&error))?,
            backfill: match record.backfill {
                0 => Backfill::Any,
                1 => Backfill::Easy,
                2 => Backfill::None,
                other => return Err(wrong(&format!("{other} is no backfill"))),
            },
            half_life: Duration::from_millis(record.half_life_ms),
            shares: record.shares,
            slice: match record.slice_ms {
                0 => DEFAULT_SLICE,
                millis => Duration::from_millis(millis),
            },
        },
    })
}

pub(super) fn read_used(key: &str, rest: &str, value: &[u8]) -> Result<Record, RecoverError> {
    let wrong = |error: &dyn ToString| RecoverError::new(key, error.to_string());
    let (user, role) = rest.split_once('/').ok_or_else(|| wrong(&"it has no role"))?;
    let record = decode::<UsedRecord>(key, value)?;
    if !record.sum.is_finite() || record.sum < 0.0 {
        return Err(wrong(&format!("{} is no sum", record.sum)));
    }
    Ok(Record::Used {
        role: Role::new(role).map_err(|error| wrong(&error))?,
        user: user.to_owned(),
        sum: record.sum,
        at: Timestamp(record.at_ms),
    })
}

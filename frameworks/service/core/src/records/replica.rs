//! The record of one slot.

use proffer_types::{AgentId, Timestamp};
use proffer_wire::{ConvertError, v1};
use prost::Message;

use crate::replica::{Phase, Replica};

/// Field 7 was the status, field by field.
#[derive(Clone, PartialEq, Message)]
struct ReplicaRecord {
    #[prost(uint64, tag = "1")]
    start: u64,
    #[prost(uint64, tag = "2")]
    n_starts: u64,
    #[prost(uint64, tag = "3")]
    version: u64,
    #[prost(uint32, tag = "4")]
    n_failures: u32,
    #[prost(bool, tag = "5")]
    replacing: bool,
    /// Empty when unknown.
    #[prost(string, tag = "6")]
    agent_id: String,
    #[prost(enumeration = "PhaseRecord", tag = "8")]
    phase: i32,
    /// The time of the phase: until when it backs off, or since when it runs.
    #[prost(uint64, optional, tag = "9")]
    at_ms: Option<u64>,
    #[prost(message, optional, tag = "10")]
    status: Option<v1::TaskStatus>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum PhaseRecord {
    Unspecified = 0,
    Waiting = 1,
    BackingOff = 2,
    Starting = 3,
    Running = 4,
    Stopping = 5,
}

pub(crate) fn write(replica: &Replica) -> Vec<u8> {
    let (phase, at) = match replica.phase {
        Phase::Waiting => (PhaseRecord::Waiting, None),
        Phase::BackingOff { until } => (PhaseRecord::BackingOff, Some(until)),
        Phase::Starting => (PhaseRecord::Starting, None),
        Phase::Running { since } => (PhaseRecord::Running, Some(since)),
        Phase::Stopping { since } => (PhaseRecord::Stopping, since),
    };
    let record = ReplicaRecord {
        start: replica.start,
        n_starts: replica.n_starts,
        version: replica.version,
        n_failures: replica.n_failures,
        replacing: replica.replacing,
        agent_id: replica
            .agent_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        status: replica.status.as_ref().map(Into::into),
        phase: phase.into(),
        at_ms: at.map(|at| at.0),
    };
    record.encode_to_vec()
}

pub(super) fn read(slot: u32, value: &[u8]) -> Result<Replica, String> {
    let record = ReplicaRecord::decode(value).map_err(|error| error.to_string())?;
    let since = record.at_ms.map(Timestamp);
    let at = || since.ok_or("its phase has no time");
    let phase = match record.phase() {
        PhaseRecord::Waiting => Phase::Waiting,
        PhaseRecord::BackingOff => Phase::BackingOff { until: at()? },
        PhaseRecord::Starting => Phase::Starting,
        PhaseRecord::Running => Phase::Running { since: at()? },
        PhaseRecord::Stopping => Phase::Stopping { since },
        PhaseRecord::Unspecified => return Err(format!("it has no phase we know ({})", record.phase)),
    };
    Ok(Replica {
        slot,
        start: record.start,
        n_starts: record.n_starts,
        version: record.version,
        n_failures: record.n_failures,
        replacing: record.replacing,
        agent_id: agent_id(&record.agent_id)?,
        status: record
            .status
            .map(TryInto::try_into)
            .transpose()
            .map_err(|error: ConvertError| error.to_string())?,
        phase,
    })
}

pub(super) fn agent_id(text: &str) -> Result<Option<AgentId>, String> {
    match text {
        "" => Ok(None),
        text => AgentId::new(text).map(Some).map_err(|error| error.to_string()),
    }
}

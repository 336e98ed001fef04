//! The record of one slot.
//!
//! It is the record of its task, and behind it what the slot has beside that: so what was written before slots had
//! successors reads as what it was.

use proffer_types::{AgentId, Timestamp};
use proffer_wire::{ConvertError, v1};
use prost::Message;

use crate::discovery::Reach;
use crate::instance::{Instance, Phase, Serves};
use crate::slot::Slot;

/// Field 2 is the slot's. Field 5 said that it was being replaced; field 7 was the status, field by field.
#[derive(Clone, PartialEq, Message)]
struct InstanceRecord {
    #[prost(uint64, tag = "1")]
    start: u64,
    #[prost(uint64, tag = "3")]
    version: u64,
    #[prost(uint32, tag = "4")]
    n_failures: u32,
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
    /// While it runs; unspecified is available, as all were that ran before this was asked.
    #[prost(enumeration = "ServesRecord", tag = "13")]
    serves: i32,
    #[prost(uint64, optional, tag = "14")]
    available_ms: Option<u64>,
    /// When what leaves discovery is killed.
    #[prost(uint64, optional, tag = "15")]
    kills_at_ms: Option<u64>,
    /// Where it is reached; empty where it is not.
    #[prost(string, tag = "16")]
    address: String,
    /// The ports of its host, in the order of its task's.
    #[prost(uint32, repeated, tag = "17")]
    ports: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct SlotRecord {
    #[prost(uint64, tag = "2")]
    n_starts: u64,
    #[prost(message, optional, tag = "11")]
    next: Option<InstanceRecord>,
    /// Absent means the start of its task.
    #[prost(uint64, optional, tag = "12")]
    last_start: Option<u64>,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum ServesRecord {
    Unspecified = 0,
    No = 1,
    Until = 2,
}

pub(crate) fn write(slot: &Slot) -> Vec<u8> {
    let mut bytes = instance_record(&slot.task).encode_to_vec();
    let record = SlotRecord {
        n_starts: slot.n_starts,
        next: slot.next.as_ref().map(instance_record),
        last_start: (slot.last_start != slot.task.start).then_some(slot.last_start),
    };
    bytes.extend(record.encode_to_vec());
    bytes
}

pub(super) fn read(number: u32, value: &[u8]) -> Result<Slot, String> {
    let record = SlotRecord::decode(value).map_err(|error| error.to_string())?;
    let task = InstanceRecord::decode(value).map_err(|error| error.to_string())?;
    let task = instance(task)?;
    Ok(Slot {
        number,
        n_starts: record.n_starts,
        last_start: record.last_start.unwrap_or(task.start),
        task,
        next: record.next.map(instance).transpose()?,
    })
}

fn instance_record(instance: &Instance) -> InstanceRecord {
    let (phase, at) = match instance.phase {
        Phase::Waiting => (PhaseRecord::Waiting, None),
        Phase::BackingOff { until } => (PhaseRecord::BackingOff, Some(until)),
        Phase::Starting => (PhaseRecord::Starting, None),
        Phase::Running { since, .. } => (PhaseRecord::Running, Some(since)),
        Phase::Stopping { since, .. } => (PhaseRecord::Stopping, since),
    };
    let kills_at = match instance.phase {
        Phase::Stopping { kills_at, .. } => kills_at,
        Phase::Waiting | Phase::BackingOff { .. } | Phase::Starting | Phase::Running { .. } => None,
    };
    let reach = instance.reach.as_ref();
    let (serves, available) = match instance.phase {
        Phase::Running { serves, .. } => match serves {
            Serves::No => (ServesRecord::No, None),
            Serves::Until(at) => (ServesRecord::Until, Some(at)),
            Serves::Available => (ServesRecord::Unspecified, None),
        },
        Phase::Waiting | Phase::BackingOff { .. } | Phase::Starting | Phase::Stopping { .. } => {
            (ServesRecord::Unspecified, None)
        }
    };
    let agent_id = instance.agent_id.as_ref();
    InstanceRecord {
        start: instance.start,
        version: instance.version,
        n_failures: instance.n_failures,
        agent_id: agent_id.map(ToString::to_string).unwrap_or_default(),
        status: instance.status.as_ref().map(Into::into),
        phase: phase.into(),
        at_ms: at.map(|at| at.0),
        serves: serves.into(),
        available_ms: available.map(|at| at.0),
        kills_at_ms: kills_at.map(|at| at.0),
        address: reach.map(|reach| reach.address.to_string()).unwrap_or_default(),
        ports: reach.map_or(Vec::new(), |reach| {
            reach.ports.iter().map(|port| u32::from(*port)).collect()
        }),
    }
}

fn instance(record: InstanceRecord) -> Result<Instance, String> {
    let since = record.at_ms.map(Timestamp);
    let at = || since.ok_or("its phase has no time");
    let serves = match (record.serves(), record.available_ms) {
        (ServesRecord::Unspecified, _) => Serves::Available,
        (ServesRecord::No, _) => Serves::No,
        (ServesRecord::Until, at) => Serves::Until(at.map(Timestamp).ok_or("it is available at no time")?),
    };
    let phase = match record.phase() {
        PhaseRecord::Waiting => Phase::Waiting,
        PhaseRecord::BackingOff => Phase::BackingOff { until: at()? },
        PhaseRecord::Starting => Phase::Starting,
        PhaseRecord::Running => Phase::Running { since: at()?, serves },
        PhaseRecord::Stopping => Phase::Stopping {
            since,
            kills_at: record.kills_at_ms.map(Timestamp),
        },
        PhaseRecord::Unspecified => return Err(format!("it has no phase we know ({})", record.phase)),
    };
    let status = record.status.map(TryInto::try_into).transpose();
    Ok(Instance {
        start: record.start,
        version: record.version,
        n_failures: record.n_failures,
        agent_id: agent_id(&record.agent_id)?,
        reach: reach(&record.address, &record.ports)?,
        status: status.map_err(|error: ConvertError| error.to_string())?,
        phase,
    })
}

fn reach(address: &str, ports: &[u32]) -> Result<Option<Reach>, String> {
    if address.is_empty() {
        return Ok(None);
    }
    let ports = ports.iter().map(|port| u16::try_from(*port));
    Ok(Some(Reach {
        address: address
            .parse()
            .map_err(|_| format!("`{address}` is no address"))?,
        ports: ports
            .collect::<Result<_, _>>()
            .map_err(|_| "a port is above 65535")?,
    }))
}

fn agent_id(text: &str) -> Result<Option<AgentId>, String> {
    match text {
        "" => Ok(None),
        text => AgentId::new(text).map(Some).map_err(|error| error.to_string()),
    }
}

//! Limits beside cpus, memory and disk.

use std::collections::BTreeSet;

use proffer_types::container::{CgroupSettings, HugepageLimit, IoLimit, Rlimit, RlimitKind};

use super::names;
use crate::error::{At as _, ConvertError, quoted};
use crate::text::at_most;
use crate::v1;

/// The most devices whose use is bounded: more than a host has.
pub const MAX_IO_LIMITS: usize = 64;
/// The most page sizes: no architecture has more.
pub const MAX_HUGEPAGES: usize = 16;
/// The longest list of processors, in bytes: 256 of them one by one.
pub const MAX_CPUSET_BYTES: usize = 1024;
/// The number after the last processor or memory node a kernel can be built for (`NR_CPUS`).
const MAX_CPUS: u32 = 8192;
/// The weights the kernel takes (cgroup-v2.rst, io.weight).
const IO_WEIGHTS: std::ops::RangeInclusive<u32> = 1..=10_000;

pub(super) fn rlimits(messages: &[v1::Rlimit]) -> Result<Vec<Rlimit>, ConvertError> {
    at_most("rlimits", messages.len(), RlimitKind::ALL.len(), "limits")?;
    let mut kinds = BTreeSet::new();
    let mut one = |message: &v1::Rlimit| {
        let limit = rlimit(message)?;
        match kinds.insert(limit.kind) {
            true => Ok(limit),
            false => Err(ConvertError::new(
                "kind",
                format_args!("{} is there twice", limit.kind.as_str()),
            )),
        }
    };
    let messages = messages.iter().enumerate();
    messages
        .map(|(index, message)| one(message).at_item("rlimits", index))
        .collect()
}

fn rlimit(message: &v1::Rlimit) -> Result<Rlimit, ConvertError> {
    // The kernel's numbers begin at 0, those of the wire at 1: 0 says nothing there.
    let index = usize::try_from(message.kind)
        .ok()
        .and_then(|number| number.checked_sub(1));
    let kind = index.and_then(|index| RlimitKind::ALL.get(index));
    let kind = kind.ok_or_else(|| ConvertError::unknown_number("kind", message.kind))?;
    let (soft, hard) = (message.soft.unwrap_or(u64::MAX), message.hard.unwrap_or(u64::MAX));
    if soft > hard {
        let problem = format!("the hard limit {hard} of {} is below the soft one", kind.as_str());
        return Err(ConvertError::new("hard", problem));
    }
    Ok(Rlimit {
        kind: *kind,
        soft: message.soft,
        hard: message.hard,
    })
}

impl From<Rlimit> for v1::Rlimit {
    fn from(limit: Rlimit) -> Self {
        Self {
            kind: limit.kind as i32 + 1,
            soft: limit.soft,
            hard: limit.hard,
        }
    }
}

impl TryFrom<v1::CgroupSettings> for CgroupSettings {
    type Error = ConvertError;

    fn try_from(message: v1::CgroupSettings) -> Result<Self, ConvertError> {
        if message.memory_high == Some(0) {
            return Err(ConvertError::new("memory_high", "is 0"));
        }
        Ok(Self {
            cpu_burst_us: message.cpu_burst_us,
            memory_min: message.memory_min,
            memory_high: message.memory_high,
            swap: message.swap,
            io_weight: message.io_weight.map(io_weight).transpose()?,
            io: io_limits(message.io)?,
            cpuset_cpus: cpuset("cpuset_cpus", message.cpuset_cpus)?,
            cpuset_mems: cpuset("cpuset_mems", message.cpuset_mems)?,
            hugepages: hugepages(&message.hugepages)?,
        })
    }
}

fn io_weight(weight: u32) -> Result<u16, ConvertError> {
    match u16::try_from(weight) {
        Ok(weight) if IO_WEIGHTS.contains(&weight.into()) => Ok(weight),
        Ok(_) | Err(_) => Err(ConvertError::new(
            "io_weight",
            format_args!("{weight} is not 1 to 10000"),
        )),
    }
}

fn io_limits(messages: Vec<v1::IoLimit>) -> Result<Vec<IoLimit>, ConvertError> {
    at_most("io", messages.len(), MAX_IO_LIMITS, "devices")?;
    let mut paths = BTreeSet::new();
    let mut one = |message: v1::IoLimit| {
        names::absolute("path", &message.path)?;
        if !paths.insert(names::normal(&message.path)) {
            let problem = format!("{} is there twice", quoted(&message.path));
            return Err(ConvertError::new("path", problem));
        }
        let limit = IoLimit {
            path: message.path,
            read_bps: message.read_bps,
            write_bps: message.write_bps,
            read_iops: message.read_iops,
            write_iops: message.write_iops,
        };
        match [limit.read_bps, limit.write_bps, limit.read_iops, limit.write_iops] {
            [0, 0, 0, 0] => Err(ConvertError::new("path", "nothing of it is limited")),
            _ => Ok(limit),
        }
    };
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(index, message)| one(message).at_item("io", index))
        .collect()
}

/// `0-3,7`, as cpuset(7) has lists; empty means absent.
fn cpuset(field: &str, list: String) -> Result<Option<String>, ConvertError> {
    if list.is_empty() {
        return Ok(None);
    }
    at_most(field, list.len(), MAX_CPUSET_BYTES, "bytes")?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u32>().ok();
        number.filter(|number| digits && *number < MAX_CPUS)
    };
    let is_range = |text: &str| match text.split_once('-') {
        Some((first, last)) => {
            matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last)
        }
        None => number(text).is_some(),
    };
    match list.split(',').all(is_range) {
        true => Ok(Some(list)),
        false => {
            let problem = format!("{} is not a list like `0-3,7`", quoted(&list));
            Err(ConvertError::new(field, problem))
        }
    }
}

fn hugepages(messages: &[v1::HugepageLimit]) -> Result<Vec<HugepageLimit>, ConvertError> {
    at_most("hugepages", messages.len(), MAX_HUGEPAGES, "page sizes")?;
    let mut sizes = BTreeSet::new();
    let mut one = |message: &v1::HugepageLimit| {
        let size = message.page_size;
        if !size.is_power_of_two() {
            return Err(ConvertError::new(
                "page_size",
                format_args!("{size} is not a power of two"),
            ));
        }
        if !sizes.insert(size) {
            return Err(ConvertError::new(
                "page_size",
                format_args!("{size} is there twice"),
            ));
        }
        Ok(HugepageLimit {
            page_size: size,
            limit: message.limit,
        })
    };
    let messages = messages.iter().enumerate();
    messages
        .map(|(index, message)| one(message).at_item("hugepages", index))
        .collect()
}

impl From<&CgroupSettings> for v1::CgroupSettings {
    fn from(settings: &CgroupSettings) -> Self {
        let hugepages = settings.hugepages.iter();
        Self {
            cpu_burst_us: settings.cpu_burst_us,
            memory_min: settings.memory_min,
            memory_high: settings.memory_high,
            swap: settings.swap,
            io_weight: settings.io_weight.map(Into::into),
            io: settings.io.iter().map(Into::into).collect(),
            cpuset_cpus: settings.cpuset_cpus.clone().unwrap_or_default(),
            cpuset_mems: settings.cpuset_mems.clone().unwrap_or_default(),
            hugepages: hugepages
                .map(|one| v1::HugepageLimit {
                    page_size: one.page_size,
                    limit: one.limit,
                })
                .collect(),
        }
    }
}

impl From<&IoLimit> for v1::IoLimit {
    fn from(limit: &IoLimit) -> Self {
        Self {
            path: limit.path.clone(),
            read_bps: limit.read_bps,
            write_bps: limit.write_bps,
            read_iops: limit.read_iops,
            write_iops: limit.write_iops,
        }
    }
}

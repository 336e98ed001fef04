//! `rlimits` and `cgroup`: limits beside cpus, memory and disk.

use std::collections::BTreeMap;
use std::str::FromStr;

use proffer_types::container::{CgroupSettings, Rlimit, RlimitKind};
use proffer_wire::{ConvertError, v1};
use serde::Deserialize;

use crate::spec::either::{from_text, text_or_fields};
use crate::spec::{Bytes, Span, Whole};

/// Limits of each process, by name.
pub(crate) type Rlimits = BTreeMap<RlimitName, RlimitBounds>;

/// The name of a limit, such as `nofile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RlimitName(RlimitKind);

/// A number or `unlimited`, for both, or each for itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RlimitBounds {
    soft: Option<u64>,
    hard: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundsFields {
    soft: Bound,
    hard: Bound,
}

#[derive(Debug, Clone, Copy)]
struct Bound(Option<u64>);

text_or_fields!(
    RlimitBounds,
    BoundsFields,
    "a number or unlimited, or fields, such as {soft: 1024, hard: unlimited}"
);

impl FromStr for RlimitName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = RlimitKind::ALL.into_iter().find(|kind| kind.as_str() == text);
        kind.map(Self).ok_or_else(|| {
            let names: Vec<_> = RlimitKind::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("`{text}` is not one of {}", names.join(", "))
        })
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unlimited" => Ok(Self(None)),
            text => match text.parse() {
                Ok(number) => Ok(Self(Some(number))),
                Err(_) => Err(format!("`{text}` is not a whole number or `unlimited`")),
            },
        }
    }
}

impl FromStr for RlimitBounds {
    type Err = String;

    /// Reads one for both, or `SOFT:HARD`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        let (soft, hard) = (soft.parse()?, hard.parse()?);
        BoundsFields { soft, hard }.try_into()
    }
}

impl TryFrom<BoundsFields> for RlimitBounds {
    type Error = String;

    fn try_from(fields: BoundsFields) -> Result<Self, String> {
        let (soft, hard) = (fields.soft.0, fields.hard.0);
        match soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
            true => Err("the hard limit is below the soft one".to_owned()),
            false => Ok(Self { soft, hard }),
        }
    }
}

pub(super) fn rlimits(limits: &Rlimits) -> Vec<Rlimit> {
    let limits = limits.iter().map(|(name, bounds)| Rlimit {
        kind: name.0,
        soft: bounds.soft,
        hard: bounds.hard,
    });
    limits.collect()
}

/// `NAME=SOFT[:HARD]`, as Docker has it.
pub(crate) fn ulimit(text: &str) -> Result<(RlimitName, RlimitBounds), String> {
    let (name, bounds) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is not NAME=SOFT[:HARD], such as nofile=1024"))?;
    Ok((name.parse()?, bounds.parse()?))
}

/// Settings of the cgroup.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(try_from = "CgroupFields")]
pub(crate) struct Cgroup(pub(crate) CgroupSettings);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CgroupFields {
    cpu_burst: Option<Span>,
    memory_min: Option<Bytes>,
    memory_high: Option<Bytes>,
    swap: Option<Bytes>,
    io_weight: Option<Whole<u32>>,
    #[serde(default)]
    io: Vec<IoFields>,
    #[serde(default)]
    cpus: String,
    #[serde(default)]
    mems: String,
    #[serde(default)]
    hugepages: Vec<HugepageFields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IoFields {
    path: String,
    read_bps: Option<Bytes>,
    write_bps: Option<Bytes>,
    read_iops: Option<Whole<u64>>,
    write_iops: Option<Whole<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HugepageFields {
    page: Bytes,
    limit: Bytes,
}

impl TryFrom<CgroupFields> for Cgroup {
    type Error = String;

    fn try_from(fields: CgroupFields) -> Result<Self, String> {
        let bytes = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.0);
        let io = fields.io.into_iter().map(|one| v1::IoLimit {
            path: one.path,
            read_bps: bytes(one.read_bps).unwrap_or(0),
            write_bps: bytes(one.write_bps).unwrap_or(0),
            read_iops: one.read_iops.map_or(0, |iops| iops.0),
            write_iops: one.write_iops.map_or(0, |iops| iops.0),
        });
        let hugepages = fields.hugepages.into_iter().map(|one| v1::HugepageLimit {
            page_size: one.page.0,
            limit: one.limit.0,
        });
        let micros = |span: Span| u64::try_from(span.0.as_micros()).unwrap_or(u64::MAX);
        let message = v1::CgroupSettings {
            cpu_burst_us: fields.cpu_burst.map(micros),
            memory_min: bytes(fields.memory_min),
            memory_high: bytes(fields.memory_high),
            swap: bytes(fields.swap),
            io_weight: fields.io_weight.map(|weight| weight.0),
            io: io.collect(),
            cpuset_cpus: fields.cpus,
            cpuset_mems: fields.mems,
            hugepages: hugepages.collect(),
        };
        let settings = message.try_into().map(Self);
        settings.map_err(|error: ConvertError| error.to_string())
    }
}

from_text!(RlimitName, Bound);

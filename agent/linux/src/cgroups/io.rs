//! The io controller: rates, weights, and what was read and written; `blkio` on v1.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;

use proffer_container::{DeviceNumber, IoRates, Limit, Version};
use proffer_types::statistics::{IoStatistics, Statistics};
use proffer_types::{IoUsage, Usage};

use super::control::{Control, ControlError, confirm_line, unsupported, write, write_line};
use super::count::text;
use crate::UsageError;

#[derive(Debug)]
pub(super) struct Io(pub(super) Version);

impl Control for Io {
    fn limit(&self, group: &Path, limit: &Limit) -> Result<(), ControlError> {
        match (limit, self.0) {
            (Limit::Io(rates), Version::V2) => limit_v2(group, rates),
            (Limit::Io(rates), Version::V1) => limit_v1(group, rates),
            (Limit::IoWeight(weight), Version::V2) => weigh(group, "io.weight", *weight),
            (Limit::IoBfqWeight(weight), Version::V2) => weigh(group, "io.bfq.weight", *weight),
            (Limit::IoBfqWeight(weight), Version::V1) => {
                write(group, "blkio.bfq.weight", &weight.to_string())
            }
            _ => Err(unsupported(limit)),
        }
    }

    fn count(&self, group: &Path, usage: &mut Usage) -> Result<(), UsageError> {
        let devices = match self.0 {
            Version::V2 => read_v2(group)?,
            Version::V1 => read_v1(group)?,
        };
        usage.io = devices.map(|devices| total(&devices, is_stacked));
        Ok(())
    }

    fn read(&self, group: &Path, statistics: &mut Statistics) -> Result<(), UsageError> {
        let devices = match self.0 {
            Version::V2 => read_v2(group)?,
            Version::V1 => read_v1(group)?,
        };
        statistics.io = devices
            .unwrap_or_default()
            .into_iter()
            .map(|(device, counts)| IoStatistics { device, ..counts })
            .collect();
        Ok(())
    }
}

/// The weight for all devices, which the kernel shows as the default.
fn weigh(group: &Path, file: &str, weight: u16) -> Result<(), ControlError> {
    let weight = weight.to_string();
    write_line(group, file, &weight)?;
    confirm_line(group, file, &weight, |line| {
        line.strip_prefix("default ").unwrap_or(line) == weight
    })
}

fn limit_v2(group: &Path, rates: &IoRates) -> Result<(), ControlError> {
    let DeviceNumber { major, minor } = rates.device;
    let max = |rate: Option<NonZeroU64>| rate.map_or_else(|| "max".to_owned(), |rate| rate.to_string());
    let line = format!(
        "{major}:{minor} rbps={} wbps={} riops={} wiops={}",
        max(rates.read_bps),
        max(rates.write_bps),
        max(rates.read_iops),
        max(rates.write_iops)
    );
    write_line(group, "io.max", &line)?;
    confirm_line(group, "io.max", &line, |found| found == line)
}

fn limit_v1(group: &Path, rates: &IoRates) -> Result<(), ControlError> {
    let DeviceNumber { major, minor } = rates.device;
    let files = [
        ("blkio.throttle.read_bps_device", rates.read_bps),
        ("blkio.throttle.write_bps_device", rates.write_bps),
        ("blkio.throttle.read_iops_device", rates.read_iops),
        ("blkio.throttle.write_iops_device", rates.write_iops),
    ];
    for (file, rate) in files {
        if let Some(rate) = rate {
            let line = format!("{major}:{minor} {rate}");
            write_line(group, file, &line)?;
            confirm_line(group, file, &line, |found| found == line)?;
        }
    }
    Ok(())
}

/// The counts of reads and of writes that a file of v1 has.
type Fields = fn(&mut IoStatistics) -> (&mut u64, &mut u64);

type Devices = BTreeMap<String, IoStatistics>;

/// The sum over the devices that pass on to no other: what goes through LVM is counted there and on the disk below.
fn total(devices: &Devices, is_stacked: impl Fn(&str) -> bool) -> IoUsage {
    let mut sum = IoUsage::default();
    for (_, counts) in devices.iter().filter(|(device, _)| !is_stacked(device)) {
        sum.read_bytes = sum.read_bytes.saturating_add(counts.read_bytes);
        sum.write_bytes = sum.write_bytes.saturating_add(counts.write_bytes);
        sum.reads = sum.reads.saturating_add(counts.reads);
        sum.writes = sum.writes.saturating_add(counts.writes);
    }
    sum
}

/// Whether a device is made of others (Documentation/ABI/testing/sysfs-block).
fn is_stacked(device: &str) -> bool {
    let slaves = fs::read_dir(format!("/sys/dev/block/{device}/slaves"));
    slaves.is_ok_and(|mut slaves| slaves.next().is_some())
}

/// `None` where the group is not there, or not counted. Lines as `254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
fn read_v2(group: &Path) -> Result<Option<Devices>, UsageError> {
    let Some(text) = text(group, "io.stat")? else {
        return Ok(None);
    };
    let mut devices = Devices::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let device = words.next().unwrap_or_default();
        let mut counts = IoStatistics::default();
        for (key, number) in words.filter_map(|word| word.split_once('=')) {
            let number = number.parse().unwrap_or(0);
            match key {
                "rbytes" => counts.read_bytes = number,
                "wbytes" => counts.write_bytes = number,
                "rios" => counts.reads = number,
                "wios" => counts.writes = number,
                _ => {}
            }
        }
        // A device that was only looked at has a line without counts.
        if counts != IoStatistics::default() {
            devices.insert(device.to_owned(), counts);
        }
    }
    Ok(Some(devices))
}

/// As [`read_v2`]; lines as `254:0 Read 4096`, in a file for bytes and one for operations.
fn read_v1(group: &Path) -> Result<Option<Devices>, UsageError> {
    let mut devices = None;
    let files: [(&str, Fields); 2] = [
        ("blkio.throttle.io_service_bytes_recursive", |counts| {
            (&mut counts.read_bytes, &mut counts.write_bytes)
        }),
        ("blkio.throttle.io_serviced_recursive", |counts| {
            (&mut counts.reads, &mut counts.writes)
        }),
    ];
    for (file, fields) in files {
        let Some(text) = text(group, file)? else {
            continue;
        };
        let devices = devices.get_or_insert_with(Devices::new);
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(device), Some(kind), Some(number)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let (reads, writes) = fields(devices.entry(device.to_owned()).or_default());
            let number = number.parse().unwrap_or(0);
            match kind {
                "Read" => *reads = number,
                "Write" => *writes = number,
                _ => {}
            }
        }
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_are_found_where_each_version_keeps_them() {
        let group = tempfile::tempdir().unwrap();
        for (file, text) in [
            (
                "io.stat",
                "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n7:0 \n",
            ),
            (
                "blkio.throttle.io_service_bytes_recursive",
                "254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 12288\nTotal 12288\n",
            ),
            (
                "blkio.throttle.io_serviced_recursive",
                "254:0 Read 1\n254:0 Write 2\n254:0 Total 3\nTotal 3\n",
            ),
        ] {
            fs::write(group.path().join(file), text).unwrap();
        }
        for version in [Version::V1, Version::V2] {
            let mut statistics = Statistics::default();
            Io(version).read(group.path(), &mut statistics).unwrap();
            let expected = IoStatistics {
                device: "254:0".into(),
                read_bytes: 4096,
                write_bytes: 8192,
                reads: 1,
                writes: 2,
            };
            assert_eq!(statistics.io, [expected], "{version:?}");
        }
    }

    #[test]
    fn what_is_not_counted_is_absent_and_what_did_nothing_is_zero() {
        let group = tempfile::tempdir().unwrap();
        let counted = |version| {
            let mut usage = Usage::default();
            Io(version).count(group.path(), &mut usage).unwrap();
            usage.io
        };
        assert_eq!([Version::V1, Version::V2].map(counted), [None, None]);
        for file in ["io.stat", "blkio.throttle.io_service_bytes_recursive"] {
            fs::write(group.path().join(file), "").unwrap();
        }
        let zero = Some(IoUsage::default());
        assert_eq!([Version::V1, Version::V2].map(counted), [zero, zero]);
    }

    #[test]
    fn what_a_device_passes_on_to_another_is_counted_once() {
        let counts = |read_bytes| IoStatistics {
            read_bytes,
            reads: 1,
            ..IoStatistics::default()
        };
        let devices = [("252:0", 5), ("254:0", 5), ("254:16", 2)];
        let devices = devices.map(|(device, bytes)| (device.to_owned(), counts(bytes)));
        let sum = total(&Devices::from(devices), |device| device == "252:0");
        assert_eq!((sum.read_bytes, sum.reads), (7, 2));
    }
}

//! The cpu controller: quota and weight; on v2 also the count of cpu time.

use std::path::Path;

use cgroups_rs::fs::cpu::CpuController;
use proffer_container::{Limit, Version};
use proffer_types::Usage;
use proffer_types::statistics::Statistics;

use super::control::{Control, ControlError, confirm, signed, unsupported, write};
use super::count::{Keyed, NANOS_PER_MICRO, keyed_number};
use crate::UsageError;

#[derive(Debug)]
pub(super) struct Cpu(pub(super) Version);

impl Control for Cpu {
    fn limit(&self, group: &Path, limit: &Limit) -> Result<(), ControlError> {
        let controller = CpuController::new(group.to_owned(), group.to_owned(), self.0 == Version::V2);
        match (limit.clone(), self.0) {
            (Limit::CpuQuota { quota_us, period_us }, version) => {
                let done = controller.set_cfs_quota_and_period(Some(signed(quota_us)?), Some(period_us));
                confirm(group, done, &quota_files(version, quota_us, period_us))
            }
            (Limit::CpuWeight(weight), Version::V2) => {
                let done = controller.set_shares(weight);
                confirm(group, done, &[("cpu.weight", weight.to_string())])
            }
            (Limit::CpuShares(shares), Version::V1) => {
                let done = controller.set_shares(shares);
                confirm(group, done, &[("cpu.shares", shares.to_string())])
            }
            (Limit::CpuIdle, _) => write(group, "cpu.idle", "1"),
            (Limit::CpuBurst(burst_us), version) => {
                let file = match version {
                    Version::V2 => "cpu.max.burst",
                    Version::V1 => "cpu.cfs_burst_us",
                };
                write(group, file, &burst_us.to_string())
            }
            _ => Err(unsupported(limit)),
        }
    }

    fn count(&self, group: &Path, usage: &mut Usage) -> Result<(), UsageError> {
        if self.0 == Version::V2 {
            usage.cpu_time_us = keyed_number(group, "cpu.stat", "usage_usec")?;
        }
        Ok(())
    }

    fn read(&self, group: &Path, statistics: &mut Statistics) -> Result<(), UsageError> {
        let cpu = &mut statistics.cpu;
        let Some(stat) = Keyed::read(group, "cpu.stat")? else {
            return Ok(());
        };
        stat.set("nr_periods", &mut cpu.n_periods);
        stat.set("nr_throttled", &mut cpu.n_throttled);
        if self.0 == Version::V1 {
            cpu.throttled_us = stat.get("throttled_time").unwrap_or(0) / NANOS_PER_MICRO;
            return Ok(());
        }
        stat.set("usage_usec", &mut cpu.usage_us);
        stat.set("user_usec", &mut cpu.user_us);
        stat.set("system_usec", &mut cpu.system_us);
        stat.set("throttled_usec", &mut cpu.throttled_us);
        Ok(())
    }
}

fn quota_files(version: Version, quota_us: u64, period_us: u64) -> Vec<(&'static str, String)> {
    match version {
        Version::V2 => vec![("cpu.max", format!("{quota_us} {period_us}"))],
        Version::V1 => vec![
            ("cpu.cfs_quota_us", quota_us.to_string()),
            ("cpu.cfs_period_us", period_us.to_string()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const HALF: Limit = Limit::CpuQuota {
        quota_us: 50_000,
        period_us: 100_000,
    };

    #[test]
    fn a_quota_is_one_file_on_v2_and_two_on_v1() {
        let group = tempfile::tempdir().unwrap();
        let read = |file| fs::read_to_string(group.path().join(file)).unwrap();
        fs::write(group.path().join("cpu.max"), "max 100000\n").unwrap();
        Cpu(Version::V2).limit(group.path(), &HALF).unwrap();
        assert_eq!(read("cpu.max"), "50000 100000");
        Cpu(Version::V1).limit(group.path(), &HALF).unwrap();
        assert_eq!(
            (read("cpu.cfs_quota_us"), read("cpu.cfs_period_us")),
            ("50000".into(), "100000".into())
        );
    }

    #[test]
    fn a_limit_of_the_other_version_is_refused() {
        let group = tempfile::tempdir().unwrap();
        assert!(
            Cpu(Version::V2)
                .limit(group.path(), &Limit::CpuShares(2))
                .is_err()
        );
        assert!(
            Cpu(Version::V1)
                .limit(group.path(), &Limit::CpuWeight(1))
                .is_err()
        );
        assert_eq!(fs::read_dir(group.path()).unwrap().count(), 0);
    }
}

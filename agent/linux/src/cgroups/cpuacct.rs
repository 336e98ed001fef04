//! cgroup v1's cpuacct controller: the count of cpu time.

use std::path::Path;

use proffer_container::Limit;
use proffer_types::Usage;
use proffer_types::statistics::Statistics;

use super::control::{Control, ControlError, unsupported};
use super::count::{NANOS_PER_MICRO, number, optional};
use crate::UsageError;

#[derive(Debug)]
pub(super) struct Cpuacct;

impl Control for Cpuacct {
    fn limit(&self, _group: &Path, limit: &Limit) -> Result<(), ControlError> {
        Err(unsupported(limit))
    }

    fn count(&self, group: &Path, usage: &mut Usage) -> Result<(), UsageError> {
        usage.cpu_time_us = number(group, "cpuacct.usage")? / NANOS_PER_MICRO;
        Ok(())
    }

    fn read(&self, group: &Path, statistics: &mut Statistics) -> Result<(), UsageError> {
        let micros = |file| Ok::<_, UsageError>(optional(group, file)?.unwrap_or(0) / NANOS_PER_MICRO);
        statistics.cpu.usage_us = micros("cpuacct.usage")?;
        statistics.cpu.user_us = micros("cpuacct.usage_user")?;
        statistics.cpu.system_us = micros("cpuacct.usage_sys")?;
        Ok(())
    }
}

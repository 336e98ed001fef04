//! cgroup v1's cpuacct controller: the count of cpu time.

use std::path::Path;

use proffer_container::{Controller, Limit};
use proffer_types::Usage;

use super::control::{Control, ControlError, number};
use crate::UsageError;

#[derive(Debug)]
pub(super) struct Cpuacct;

impl Control for Cpuacct {
    fn limit(&self, _group: &Path, limit: Limit) -> Result<(), ControlError> {
        let controller = Controller::Cpuacct;
        Err(ControlError::Unsupported { controller, limit })
    }

    fn count(&self, group: &Path, usage: &mut Usage) -> Result<(), UsageError> {
        usage.cpu_time_us = number(group, "cpuacct.usage")? / 1000;
        Ok(())
    }
}

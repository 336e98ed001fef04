//! The pids controller: the limit of processes and threads, and the forks it refused.

use std::path::Path;

use cgroups_rs::fs::MaxValue;
use cgroups_rs::fs::pid::PidController;
use proffer_container::{Limit, Version};
use proffer_types::Usage;
use proffer_types::statistics::Statistics;

use super::control::{Control, ControlError, confirm, signed, unsupported};
use super::count::{Keyed, keyed_number, optional};
use crate::UsageError;

#[derive(Debug)]
pub(super) struct Pids(pub(super) Version);

impl Control for Pids {
    fn limit(&self, group: &Path, limit: &Limit) -> Result<(), ControlError> {
        let Limit::Pids(n_pids) = *limit else {
            return Err(unsupported(limit));
        };
        let controller = PidController::new(group.to_owned(), group.to_owned(), self.0 == Version::V2);
        let done = controller.set_pid_max(MaxValue::Value(signed(n_pids)?));
        confirm(group, done, &[("pids.max", n_pids.to_string())])
    }

    fn count(&self, group: &Path, usage: &mut Usage) -> Result<(), UsageError> {
        usage.pids_refused = keyed_number(group, "pids.events", "max")?;
        Ok(())
    }

    fn read(&self, group: &Path, statistics: &mut Statistics) -> Result<(), UsageError> {
        let pids = &mut statistics.pids;
        pids.current = optional(group, "pids.current")?.unwrap_or(0);
        pids.limit = optional(group, "pids.max")?;
        if let Some(events) = Keyed::read(group, "pids.events")? {
            events.set("max", &mut pids.refused);
        }
        Ok(())
    }
}

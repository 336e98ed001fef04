//! The pids controller: the limit of processes and threads, and the forks it refused.

use std::path::Path;

use cgroups_rs::fs::MaxValue;
use cgroups_rs::fs::pid::PidController;
use proffer_container::{Controller, Limit, Version};
use proffer_types::Usage;

use super::control::{Control, ControlError, confirm, keyed_number, signed};
use crate::UsageError;

#[derive(Debug)]
pub(super) struct Pids(pub(super) Version);

impl Control for Pids {
    fn limit(&self, group: &Path, limit: Limit) -> Result<(), ControlError> {
        let Limit::Pids(n_pids) = limit else {
            let controller = Controller::Pids;
            return Err(ControlError::Unsupported { controller, limit });
        };
        let controller = PidController::new(group.to_owned(), group.to_owned(), self.0 == Version::V2);
        let done = controller.set_pid_max(MaxValue::Value(signed(n_pids)?));
        confirm(group, done, &[("pids.max", n_pids.to_string())])
    }

    fn count(&self, group: &Path, usage: &mut Usage) -> Result<(), UsageError> {
        usage.pids_refused = keyed_number(group, "pids.events", "max")?;
        Ok(())
    }
}

//! Pids: the most processes and threads at once.

use super::{Draft, require};
use crate::config::DEFAULT_PIDS_LIMIT;
use crate::{ContainerConfig, Controller, HostFacts, Limit, PlanError};

/// The kernel's largest `pids.max` (`PIDS_MAX` on 64-bit); above it there is only `max`, no limit.
const MAX_PIDS: u64 = 4 * 1024 * 1024;

/// Limits the payload to the spec's pids limit or [`DEFAULT_PIDS_LIMIT`].
pub(crate) fn limit(config: &ContainerConfig, host: &HostFacts, draft: &mut Draft) -> Result<(), PlanError> {
    require(host, Controller::Pids)?;
    match config.spec.pids_limit.unwrap_or(DEFAULT_PIDS_LIMIT) {
        0 => Err(PlanError::NoPids),
        limit => {
            draft.limit(Limit::Pids(limit.min(MAX_PIDS)));
            Ok(())
        }
    }
}

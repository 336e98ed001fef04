//! Rlimits: the old limits of each process.

use super::Draft;
use crate::{ContainerConfig, PayloadStep, PlanError};

/// Sets the spec's limits, while the payload may still raise them.
pub(crate) fn limit(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    for limit in &config.spec.rlimits {
        let bound = |value: Option<u64>| value.unwrap_or(u64::MAX);
        if bound(limit.soft) > bound(limit.hard) {
            return Err(PlanError::SoftAboveHard(limit.kind.as_str()));
        }
        draft.payload.push(PayloadStep::LimitResource(*limit));
    }
    Ok(())
}

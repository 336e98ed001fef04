//! Memory: a hard limit without swap to flee to; past it the kernel kills.

use super::{Draft, require};
use crate::{ContainerConfig, Controller, HostFacts, Limit, PlanError, Version};

/// Limits the payload to the task's memory, as a whole.
pub(crate) fn limit(config: &ContainerConfig, host: &HostFacts, draft: &mut Draft) -> Result<(), PlanError> {
    require(host, Controller::Memory)?;
    if host.has_swap && !host.swap_limit {
        return Err(PlanError::SwapNotLimitable);
    }
    // The kernel rounds down to pages, and what is written must read back the same.
    let mem_bytes = config.resources.mem_bytes();
    let page_size = host.page_size.max(1);
    let limit = mem_bytes / page_size * page_size;
    if limit == 0 {
        return Err(PlanError::TooLittleMemory { mem_bytes, page_size });
    }
    draft.limit(Limit::Memory(limit));
    match host.version {
        Version::V2 => {
            if host.swap_limit {
                draft.limit(Limit::Swap(0));
            }
            draft.limit(Limit::OomGroup);
        }
        Version::V1 if host.swap_limit => draft.limit(Limit::MemoryAndSwap(limit)),
        Version::V1 => {}
    }
    Ok(())
}

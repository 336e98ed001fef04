//! Memory: a hard limit with no more swap than was asked for, past which the kernel kills; and the request, which is taken back
//! last when the host is short of memory.

use super::{Draft, require, upper, within};
use crate::{ContainerConfig, Controller, HostFacts, Limit, PayloadStep, PlanError, Version};

/// The range of `oom_score_adj` for tasks that may use more than they asked for (that of Kubernetes): never as
/// sheltered as a task that cannot, never as certain to go as nothing at all.
const OOM_SCORE_ADJ: (u64, u64) = (2, 999);

/// Limits the payload to the task's memory, as a whole.
pub(crate) fn limit(config: &ContainerConfig, host: &HostFacts, draft: &mut Draft) -> Result<(), PlanError> {
    require(host, Controller::Memory)?;
    let mem_bytes = config.resources.mem_bytes();
    let pages = |bytes: u64| whole_pages(bytes, host);
    let request = pages(mem_bytes);
    if request == 0 {
        let page_size = host.page_size;
        return Err(PlanError::TooLittleMemory { mem_bytes, page_size });
    }
    let upper = upper(config.limits.mem, mem_bytes, "memory")?.map(pages);
    hard(upper, config.spec.cgroup.swap.map(pages), host, draft)?;
    if upper != Some(request) && !host.soft_limit {
        return Err(PlanError::NoSoftLimit);
    }
    match host.version {
        // Whoever stays within the request must not go before one that is beyond its own.
        Version::V2 if host.soft_limit => draft.limit(Limit::MemoryLow(request)),
        // Without one a group is never taken from first.
        Version::V1 if upper != Some(request) => draft.limit(Limit::MemorySoft(request)),
        Version::V1 | Version::V2 => {}
    }
    native(config, host, draft)?;
    if host.version == Version::V2 {
        draft.limit(Limit::OomGroup);
    }
    Ok(())
}

/// Bounds memory, and swap beside it. A task that named no swap gets none where its memory is bounded.
fn hard(limit: Option<u64>, swap: Option<u64>, host: &HostFacts, draft: &mut Draft) -> Result<(), PlanError> {
    if limit.is_none() && swap.is_none() {
        return Ok(());
    }
    if !host.swap_limit && (host.has_swap || swap.is_some_and(|swap| swap > 0)) {
        return Err(PlanError::SwapNotLimitable);
    }
    if let Some(limit) = limit {
        draft.limit(Limit::Memory(limit));
    }
    if !host.swap_limit {
        return Ok(());
    }
    let swap = swap.unwrap_or(0);
    draft.limit(match (host.version, limit) {
        (Version::V2, _) => Limit::Swap(swap),
        (Version::V1, Some(limit)) => Limit::MemoryAndSwap(limit.saturating_add(swap)),
        (Version::V1, None) => return Err(PlanError::SwapWithoutMemoryLimit),
    });
    Ok(())
}

/// What is never taken back, and where the payload is slowed down: settings of cgroup v2 alone.
fn native(config: &ContainerConfig, host: &HostFacts, draft: &mut Draft) -> Result<(), PlanError> {
    let settings = &config.spec.cgroup;
    if let Some(bytes) = settings.memory_min {
        if !host.extras.memory_min {
            return Err(PlanError::FileMissing("memory.min: it needs cgroup v2"));
        }
        within("memory.min (bytes)", bytes, (0, config.resources.mem_bytes()))?;
        draft.limit(Limit::MemoryMin(whole_pages(bytes, host)));
    }
    if let Some(bytes) = settings.memory_high {
        if !host.extras.memory_high {
            return Err(PlanError::FileMissing("memory.high: it needs cgroup v2"));
        }
        within("memory.high (bytes)", bytes, (host.page_size, u64::MAX))?;
        draft.limit(Limit::MemoryHigh(whole_pages(bytes, host)));
    }
    Ok(())
}

/// Marks a payload that may use more than it asked for: the less it asked for, the sooner it goes when the host runs
/// out of memory.
pub(crate) fn expose(config: &ContainerConfig, host: &HostFacts, draft: &mut Draft) {
    let request = config.resources.mem_bytes();
    let may_exceed = match config.limits.mem {
        None => false,
        Some(proffer_types::Limit::At(limit)) => limit > request,
        Some(proffer_types::Limit::Infinite) => true,
    };
    if may_exceed {
        let share = u128::from(request) * 1000 / u128::from(host.mem_bytes.max(1));
        let left = 1000_u64.saturating_sub(u64::try_from(share).unwrap_or(u64::MAX));
        let score = left.clamp(OOM_SCORE_ADJ.0, OOM_SCORE_ADJ.1);
        let score = u16::try_from(score).unwrap_or(u16::MAX);
        draft.payload.push(PayloadStep::OomScoreAdj(score));
    }
}

/// The kernel rounds down to pages, and what is written must read back the same.
fn whole_pages(bytes: u64, host: &HostFacts) -> u64 {
    let page_size = host.page_size.max(1);
    bytes / page_size * page_size
}

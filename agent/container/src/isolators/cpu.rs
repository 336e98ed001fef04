//! Cpu: a hard quota from the limit, and a weight from the request for when the host is short of time.

use super::{Draft, require, upper, within};
use crate::{ContainerConfig, Controller, HostFacts, Limit, PlanError, Version};

/// The length of a quota's period: the kernel's default. Shorter ones throttle more often, longer ones stall longer.
const PERIOD_US: u64 = 100_000;

/// The kernel's smallest quota is 1 ms a period.
const MIN_CPU_MILLIS: u64 = 10;

/// Far above any host, far below the kernel's largest quota (2^44 us).
const MAX_CPU_MILLIS: u64 = 1 << 32;

/// cgroup v1's range of shares, of which 1024 stand for one core.
const SHARES: (u64, u64) = (2, 262_144);

/// Limits the payload to the task's cpus. With revocable ones it takes no time that another container wants.
pub(crate) fn limit(config: &ContainerConfig, host: &HostFacts, draft: &mut Draft) -> Result<(), PlanError> {
    require(host, Controller::Cpu)?;
    if host.version == Version::V1 {
        require(host, Controller::Cpuacct)?;
    }
    let millis = config.resources.cpu_millis();
    if millis < MIN_CPU_MILLIS {
        return Err(PlanError::TooFewCpus(millis));
    }
    if let Some(limit) = upper(config.limits.cpus, millis, "cpus")? {
        if limit > MAX_CPU_MILLIS {
            return Err(PlanError::TooManyCpus(limit));
        }
        let quota_us = limit * PERIOD_US / 1000;
        let period_us = PERIOD_US;
        draft.limit(Limit::CpuQuota { quota_us, period_us });
        burst(config, host, quota_us, draft)?;
    } else if config.spec.cgroup.cpu_burst_us.is_some() {
        return Err(PlanError::BurstWithoutQuota);
    }
    let is_revocable = config.resources.without_revocable().cpu_millis() < millis;
    if is_revocable && host.cpu_idle {
        draft.limit(Limit::CpuIdle);
        return Ok(());
    }
    let ranked = if is_revocable { 0 } else { millis };
    draft.limit(match host.version {
        Version::V2 => Limit::CpuWeight(weight(ranked)),
        Version::V1 => Limit::CpuShares(shares(ranked)),
    });
    Ok(())
}

/// Lets the payload save quota it does not use; the kernel takes no more than the quota itself.
fn burst(
    config: &ContainerConfig,
    host: &HostFacts,
    quota_us: u64,
    draft: &mut Draft,
) -> Result<(), PlanError> {
    let Some(burst_us) = config.spec.cgroup.cpu_burst_us else {
        return Ok(());
    };
    if !host.extras.cpu_burst {
        return Err(PlanError::FileMissing("cpu burst: it needs Linux 5.14"));
    }
    within("cpu burst (microseconds)", burst_us, (0, quota_us))?;
    draft.limit(Limit::CpuBurst(burst_us));
    Ok(())
}

fn shares(millis: u64) -> u64 {
    (millis * 1024 / 1000).clamp(SHARES.0, SHARES.1)
}

/// Maps shares onto 1 to 10,000 as the OCI runtimes do.
fn weight(millis: u64) -> u64 {
    1 + (shares(millis) - SHARES.0) * 9_999 / (SHARES.1 - SHARES.0)
}

//! Io: the rates at which block devices are read and written, and a weight for when they are busy.

use std::num::NonZeroU64;

use proffer_types::container::IoLimit;

use super::{Draft, require, within};
use crate::{ContainerConfig, Controller, DeviceNumber, HostFacts, IoRates, Limit, PlanError};

/// The range of `io.weight`.
const WEIGHTS: (u64, u64) = (1, 10_000);

/// What the kernel gives a group whose weight nobody set, for both of its kinds of weight.
const DEFAULT_WEIGHT: u16 = 100;

/// The largest `io.bfq.weight`.
const MAX_BFQ_WEIGHT: u16 = 1000;

/// Limits the payload's reads and writes, where the task says so.
pub(crate) fn limit(config: &ContainerConfig, host: &HostFacts, draft: &mut Draft) -> Result<(), PlanError> {
    let settings = &config.spec.cgroup;
    if settings.io.is_empty() && settings.io_weight.is_none() {
        return Ok(());
    }
    require(host, Controller::Io)?;
    if let Some(io_weight) = settings.io_weight {
        weight(io_weight, host, draft)?;
    }
    let mut limited = Vec::new();
    for (at, limit) in settings.io.iter().enumerate() {
        let path = || limit.path.escape_debug().to_string();
        let device = config.io_devices.get(at);
        let device = *device.ok_or_else(|| PlanError::DeviceUnresolved { path: path() })?;
        if limited.contains(&device) {
            let what = format!("io limit of the device of `{}`", path());
            return Err(PlanError::Twice { what });
        }
        limited.push(device);
        let rates = rates(device, limit).ok_or_else(|| PlanError::EmptyIoLimit { path: path() })?;
        draft.limit(Limit::Io(rates));
    }
    Ok(())
}

/// Sets each kind of weight the host has: which of them works is a matter of the device's scheduler.
fn weight(weight: u16, host: &HostFacts, draft: &mut Draft) -> Result<(), PlanError> {
    within("io weight", u64::from(weight), WEIGHTS)?;
    let extras = &host.extras;
    if !extras.io_weight && !extras.io_bfq_weight {
        return Err(PlanError::FileMissing("io weight: neither io.cost nor BFQ"));
    }
    if extras.io_weight {
        draft.limit(Limit::IoWeight(weight));
    }
    if extras.io_bfq_weight {
        draft.limit(Limit::IoBfqWeight(bfq_weight(weight)));
    }
    Ok(())
}

/// Maps 1 to 10,000 onto 1 to 1,000 with the default staying what it is, as systemd does (`BFQ_WEIGHT`).
fn bfq_weight(weight: u16) -> u16 {
    match weight.checked_sub(DEFAULT_WEIGHT) {
        None => weight,
        Some(above) => {
            DEFAULT_WEIGHT + above / ((10_000 - DEFAULT_WEIGHT) / (MAX_BFQ_WEIGHT - DEFAULT_WEIGHT))
        }
    }
}

fn rates(device: DeviceNumber, limit: &IoLimit) -> Option<IoRates> {
    let rates = IoRates {
        device,
        read_bps: NonZeroU64::new(limit.read_bps),
        write_bps: NonZeroU64::new(limit.write_bps),
        read_iops: NonZeroU64::new(limit.read_iops),
        write_iops: NonZeroU64::new(limit.write_iops),
    };
    let all = [rates.read_bps, rates.write_bps, rates.read_iops, rates.write_iops];
    all.iter().any(Option::is_some).then_some(rates)
}

#[cfg(test)]
mod tests {
    use super::bfq_weight;

    #[test]
    fn a_bfq_weight_stays_in_its_range_and_keeps_the_default() {
        assert_eq!([1, 100, 1100, 10_000].map(bfq_weight), [1, 100, 190, 1000]);
    }
}

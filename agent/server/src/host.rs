//! What this host has to offer, where the operator does not say.

use std::path::Path;

use procfs::Current;
use proffer_types::{Ranges, ResourceName, Resources};

use crate::AgentError;

const GIB: u64 = 1 << 30;

/// Memory left to the host's own programs; half of it all where that is less than twice this.
const HOST_MEM_BYTES: u64 = GIB;

/// Disk left to the host; half of what is free where that is less than twice this.
const HOST_DISK_BYTES: u64 = 5 * GIB;

/// The ports of Mesos: below the kernel's ephemeral ones.
const DEFAULT_PORTS: (u64, u64) = (31_000, 32_000);

/// Completes what the operator stated with what is detected.
pub(crate) fn resources(stated: &Resources, data_dir: &Path) -> Result<Resources, AgentError> {
    let mut all = stated.clone();
    if stated.cpu_millis() == 0 {
        all = all.with(ResourceName::Cpus, cpu_millis()?);
    }
    if stated.mem_bytes() == 0 {
        all = all.with(
            ResourceName::Mem,
            less_reserve(mem_total_bytes()?, HOST_MEM_BYTES),
        );
    }
    if stated.disk_bytes() == 0 {
        let free = proffer_linux::host::free_disk_bytes(data_dir).map_err(|source| AgentError::Detect {
            what: "free disk space",
            source: source.into(),
        })?;
        all = all.with(ResourceName::Disk, less_reserve(free, HOST_DISK_BYTES));
    }
    if stated.ranges(&ResourceName::Ports).is_none() {
        all = all.with_ranges(ResourceName::Ports, Ranges::new([DEFAULT_PORTS]));
    }
    Ok(all)
}

fn less_reserve(total: u64, reserve: u64) -> u64 {
    if total < 2 * reserve {
        total / 2
    } else {
        total - reserve
    }
}

/// Counts what the scheduler lets this process use: affinity and cgroup quota included.
fn cpu_millis() -> Result<u64, AgentError> {
    let n_cpus = std::thread::available_parallelism().map_err(|source| AgentError::Detect {
        what: "number of cpus",
        source: source.into(),
    })?;
    Ok(n_cpus.get() as u64 * 1000)
}

fn mem_total_bytes() -> Result<u64, AgentError> {
    let meminfo = procfs::Meminfo::current().map_err(|source| AgentError::Detect {
        what: "memory",
        source: source.into(),
    })?;
    Ok(meminfo.mem_total)
}

/// The host's own name; `localhost` when it has none.
pub(crate) fn name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keeps_its_reserve_or_half_of_what_it_has() {
        assert_eq!(less_reserve(24 * GIB, GIB), 23 * GIB);
        assert_eq!(less_reserve(GIB, GIB), GIB / 2);
    }

    #[test]
    fn what_is_stated_is_taken_and_the_rest_is_detected() {
        let stated: Resources = "cpus:0.5;disk:1GiB".parse().unwrap();
        let all = resources(&stated, Path::new("/")).unwrap();
        assert_eq!(all.cpu_millis(), 500);
        assert_eq!(all.disk_bytes(), GIB);
        assert!(all.mem_bytes() > 0);
        assert_eq!(all.ranges(&ResourceName::Ports).map(Ranges::count), Some(1001));
    }
}

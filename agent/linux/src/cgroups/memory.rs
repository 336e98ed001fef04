//! The memory controller: limits of memory and swap, the peak, and OOM kills.

use std::path::Path;

use cgroups_rs::fs::memory::MemController;
use proffer_container::{Limit, Version};
use proffer_types::Usage;
use proffer_types::statistics::{MemoryStatistics, Statistics};

use super::control::{Control, ControlError, confirm, signed, unsupported, write};
use super::count::{Keyed, keyed_number, number, optional};
use crate::UsageError;

/// Any limit from here on is none: the kernel shows the largest number of whole pages, whose size differs.
const V1_UNLIMITED: u64 = 1 << 62;

#[derive(Debug)]
pub(super) struct Memory(pub(super) Version);

impl Control for Memory {
    fn limit(&self, group: &Path, limit: &Limit) -> Result<(), ControlError> {
        let controller = MemController::new(group.to_owned(), group.to_owned(), self.0 == Version::V2);
        match (limit.clone(), self.0) {
            (Limit::Memory(bytes), version) => {
                let file = match version {
                    Version::V2 => "memory.max",
                    Version::V1 => "memory.limit_in_bytes",
                };
                let done = controller.set_limit(signed(bytes)?);
                confirm(group, done, &[(file, bytes.to_string())])
            }
            (Limit::Swap(bytes), Version::V2) => {
                let done = controller.set_memswap_limit(signed(bytes)?);
                confirm(group, done, &[("memory.swap.max", bytes.to_string())])
            }
            (Limit::MemoryAndSwap(bytes), Version::V1) => {
                let done = controller.set_memswap_limit(signed(bytes)?);
                confirm(group, done, &[("memory.memsw.limit_in_bytes", bytes.to_string())])
            }
            (Limit::MemoryLow(bytes), Version::V2) => write(group, "memory.low", &bytes.to_string()),
            (Limit::MemorySoft(bytes), Version::V1) => {
                write(group, "memory.soft_limit_in_bytes", &bytes.to_string())
            }
            (Limit::OomGroup, Version::V2) => write(group, "memory.oom.group", "1"),
            (Limit::MemoryMin(bytes), Version::V2) => write(group, "memory.min", &bytes.to_string()),
            (Limit::MemoryHigh(bytes), Version::V2) => write(group, "memory.high", &bytes.to_string()),
            _ => Err(unsupported(limit)),
        }
    }

    fn count(&self, group: &Path, usage: &mut Usage) -> Result<(), UsageError> {
        match self.0 {
            Version::V2 => {
                usage.mem_peak_bytes = number(group, "memory.peak")?;
                usage.oom_kills = keyed_number(group, "memory.events", "oom_kill")?;
            }
            Version::V1 => {
                usage.mem_peak_bytes = number(group, "memory.max_usage_in_bytes")?;
                usage.oom_kills = keyed_number(group, "memory.oom_control", "oom_kill")?;
            }
        }
        Ok(())
    }

    fn read(&self, group: &Path, statistics: &mut Statistics) -> Result<(), UsageError> {
        let memory = &mut statistics.memory;
        match self.0 {
            Version::V2 => read_v2(group, memory),
            Version::V1 => read_v1(group, memory),
        }
    }
}

fn read_v2(group: &Path, memory: &mut MemoryStatistics) -> Result<(), UsageError> {
    memory.current_bytes = optional(group, "memory.current")?.unwrap_or(0);
    memory.peak_bytes = optional(group, "memory.peak")?;
    memory.limit_bytes = optional(group, "memory.max")?;
    memory.swap_bytes = optional(group, "memory.swap.current")?;
    if let Some(stat) = Keyed::read(group, "memory.stat")? {
        stat.set("anon", &mut memory.anon_bytes);
        stat.set("file", &mut memory.file_bytes);
        stat.set("shmem", &mut memory.shmem_bytes);
        stat.set("pgmajfault", &mut memory.major_faults);
        memory.kernel_bytes = stat.get("kernel");
    }
    if let Some(events) = Keyed::read(group, "memory.events")? {
        events.set("oom_kill", &mut memory.oom_kills);
    }
    Ok(())
}

fn read_v1(group: &Path, memory: &mut MemoryStatistics) -> Result<(), UsageError> {
    memory.current_bytes = optional(group, "memory.usage_in_bytes")?.unwrap_or(0);
    memory.peak_bytes = optional(group, "memory.max_usage_in_bytes")?;
    let limit = optional(group, "memory.limit_in_bytes")?;
    memory.limit_bytes = limit.filter(|limit| *limit < V1_UNLIMITED);
    memory.kernel_bytes = optional(group, "memory.kmem.usage_in_bytes")?;
    if let Some(stat) = Keyed::read(group, "memory.stat")? {
        stat.set("total_rss", &mut memory.anon_bytes);
        stat.set("total_cache", &mut memory.file_bytes);
        stat.set("total_shmem", &mut memory.shmem_bytes);
        stat.set("total_pgmajfault", &mut memory.major_faults);
        memory.swap_bytes = stat.get("total_swap");
    }
    if let Some(control) = Keyed::read(group, "memory.oom_control")? {
        control.set("oom_kill", &mut memory.oom_kills);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn oom_kills_are_read_where_each_version_keeps_them() {
        let group = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("memory.peak", "8192\n"),
            ("memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n"),
            ("memory.max_usage_in_bytes", "4096\n"),
            (
                "memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
            ),
        ] {
            fs::write(group.path().join(file), text).unwrap();
        }
        let count = |version| {
            let mut usage = Usage::default();
            Memory(version).count(group.path(), &mut usage).unwrap();
            (usage.mem_peak_bytes, usage.oom_kills)
        };
        assert_eq!(count(Version::V2), (8192, 2));
        assert_eq!(count(Version::V1), (4096, 1));
    }

    #[test]
    fn a_limit_that_cannot_be_written_is_an_error() {
        let group = tempfile::tempdir().unwrap();
        let missing = group.path().join("missing");
        for version in [Version::V1, Version::V2] {
            assert!(Memory(version).limit(&missing, &Limit::Memory(4096)).is_err());
        }
    }
}

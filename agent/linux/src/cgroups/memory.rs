//! The memory controller: limits of memory and swap, the peak, and OOM kills.

use std::path::Path;

use cgroups_rs::fs::memory::MemController;
use proffer_container::{Controller, Limit, Version};
use proffer_types::Usage;

use super::control::{Control, ControlError, confirm, keyed_number, number, signed, write};
use crate::UsageError;

#[derive(Debug)]
pub(super) struct Memory(pub(super) Version);

impl Control for Memory {
    fn limit(&self, group: &Path, limit: Limit) -> Result<(), ControlError> {
        let controller = MemController::new(group.to_owned(), group.to_owned(), self.0 == Version::V2);
        match (limit, self.0) {
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
            (limit, _) => Err(ControlError::Unsupported {
                controller: Controller::Memory,
                limit,
            }),
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
            assert!(Memory(version).limit(&missing, Limit::Memory(4096)).is_err());
        }
    }
}

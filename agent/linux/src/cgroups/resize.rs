//! Other limits for a container that runs.
//!
//! cgroup v1 refuses a limit of memory below what it cannot take back, v2 kills for it. So neither is done: what the
//! container does not give back stays its own, until it is asked again.

use std::io;
use std::path::Path;

use nix::libc;
use proffer_container::{ContainerId, Controller, Limit, Version};

use super::Cgroups;
use super::control::ControlError;
use super::count::{Keyed, optional};

impl Cgroups {
    /// Sets limits. Answers whether all are in force; one of memory is not, when it is below what the
    /// container cannot give back.
    pub(crate) fn resize(&self, id: &ContainerId, limits: &[Limit]) -> Result<bool, ControlError> {
        let missing = || ControlError::Missing(Controller::Memory);
        let (memory, version) = self.task_group(id, Controller::Memory).ok_or_else(missing)?;
        let mut limits: Vec<&Limit> = limits.iter().collect();
        if grows(&memory, &limits) {
            limits.sort_by_key(|limit| !matches!(limit, Limit::MemoryAndSwap(_)));
        }
        let mut kept = false;
        for limit in limits {
            if let Limit::Memory(bytes) = limit {
                kept = version == Version::V2 && *bytes < needed(&memory);
                if !kept {
                    kept = is_refused(self.limit(id, limit))?;
                }
            } else if let Limit::MemoryAndSwap(_) = limit {
                // It cannot be below the limit that stayed, nor need it be.
                kept = kept || is_refused(self.limit(id, limit))?;
            } else {
                self.limit(id, limit)?;
            }
        }
        Ok(!kept)
    }
}

/// Whether a group of v1 is given memory. There the limit of memory is never above that of memory and swap together, so
/// that one of them has to be first.
fn grows(group: &Path, limits: &[&Limit]) -> bool {
    let present = optional(group, "memory.limit_in_bytes").ok().flatten();
    let more = |limit: &&Limit| present.is_some_and(|present| **limit > Limit::Memory(present));
    limits
        .iter()
        .filter(|limit| matches!(limit, Limit::Memory(_)))
        .any(more)
}

/// Bytes that the kernel cannot take back from a group of v2 without killing or swapping; 0 when it does not tell.
fn needed(group: &Path) -> u64 {
    let number = |file| optional(group, file).ok().flatten().unwrap_or(0);
    let stat = Keyed::read(group, "memory.stat").ok().flatten();
    let of = |key| stat.as_ref().and_then(|stat| stat.get(key)).unwrap_or(0);
    // Files of a tmpfs count as files, but are nowhere else.
    let reclaimable = of("file").saturating_sub(of("shmem"));
    number("memory.current").saturating_sub(reclaimable)
}

/// Whether the kernel refused a limit since too much is in use.
fn is_refused(outcome: Result<(), ControlError>) -> Result<bool, ControlError> {
    match outcome {
        Ok(()) => Ok(false),
        Err(error) if is_busy(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

fn is_busy(error: &(dyn std::error::Error + 'static)) -> bool {
    let own = error.downcast_ref::<io::Error>();
    own.is_some_and(|error| error.raw_os_error() == Some(libc::EBUSY)) || error.source().is_some_and(is_busy)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_a_group_needs_is_what_it_has_but_for_files_on_a_disk() {
        let group = tempfile::tempdir().unwrap();
        fs::write(group.path().join("memory.current"), "1000\n").unwrap();
        fs::write(
            group.path().join("memory.stat"),
            "anon 500\nfile 400\nshmem 100\n",
        )
        .unwrap();
        assert_eq!(needed(group.path()), 700);
    }

    #[test]
    fn a_group_grows_where_its_limit_of_memory_is_more_than_the_one_in_force() {
        let group = tempfile::tempdir().unwrap();
        let limits = [
            &Limit::CpuShares(2),
            &Limit::Memory(1000),
            &Limit::MemoryAndSwap(1000),
        ];
        assert!(!grows(group.path(), &limits), "a group of v2 has no such file");
        for (present, expected) in [("999", true), ("1000", false), ("4000", false)] {
            fs::write(group.path().join("memory.limit_in_bytes"), present).unwrap();
            assert_eq!(grows(group.path(), &limits), expected, "{present}");
        }
    }

    #[test]
    fn only_a_limit_that_is_too_low_for_what_is_in_use_may_wait() {
        let failed = |code| {
            let source = io::Error::from_raw_os_error(code);
            let path = "memory.limit_in_bytes".into();
            is_refused(Err(ControlError::Access { path, source })).ok()
        };
        assert_eq!(failed(libc::EBUSY), Some(true));
        assert_eq!(failed(libc::EACCES), None);
    }
}

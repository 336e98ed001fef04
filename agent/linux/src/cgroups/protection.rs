//! Memory that is kept for containers when the host is short of it, on cgroup v2.
//!
//! A group's `memory.low` or `memory.min` is worth no more than what the groups above it have, so these have the sum of what is below
//! them: less would take it from containers, more would keep what nobody asked for.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proffer_container::ContainerId;

use super::control::{ControlError, write};

/// What is kept for the agent's containers, of both kinds.
#[derive(Debug)]
pub(super) struct Protection {
    pub(super) low: Kept,
    pub(super) min: Kept,
}

impl Default for Protection {
    fn default() -> Self {
        let kept = |file| Kept {
            file,
            bytes: Mutex::default(),
        };
        Self {
            low: kept("memory.low"),
            min: kept("memory.min"),
        }
    }
}

/// Bytes kept for each container of the agent, by one of the kernel's files.
#[derive(Debug)]
pub(super) struct Kept {
    file: &'static str,
    bytes: Mutex<BTreeMap<ContainerId, u64>>,
}

impl Kept {
    /// Takes over what an earlier agent set.
    pub(super) fn recover(&self, root: &Path, mount: &Path) {
        let mut kept = self.kept();
        for (name, bytes) in below(root, self.file) {
            if let Ok(id) = ContainerId::new(&name) {
                kept.insert(id, bytes);
            }
        }
        let _ = renew(root, mount, self.file, &kept);
    }

    /// Keeps memory for one more container.
    pub(super) fn keep(
        &self,
        root: &Path,
        mount: &Path,
        id: &ContainerId,
        bytes: u64,
    ) -> Result<(), ControlError> {
        let mut kept = self.kept();
        kept.insert(id.clone(), bytes);
        renew(root, mount, self.file, &kept)
    }

    /// Keeps nothing for a container any more.
    pub(super) fn release(&self, root: &Path, mount: &Path, id: &ContainerId) {
        let mut kept = self.kept();
        if kept.remove(id).is_some() {
            // Too much is kept until the next launch or end, which is no reason to leave a container behind.
            let _ = renew(root, mount, self.file, &kept);
        }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<ContainerId, u64>> {
        // Every change is one call on the map, so a thread that panicked left it whole.
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the sums from the root up to below the mount.
fn renew(
    root: &Path,
    mount: &Path,
    file: &str,
    kept: &BTreeMap<ContainerId, u64>,
) -> Result<(), ControlError> {
    let sum = kept.values().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
    write(root, file, &sum.to_string())?;
    let above = root.ancestors().skip(1).take_while(|group| *group != mount);
    for group in above {
        let sum = below(group, file).fold(0_u64, |sum, (_, bytes)| sum.saturating_add(bytes));
        write(group, file, &sum.to_string())?;
    }
    Ok(())
}

/// What is kept for each of the groups below one.
fn below(group: &Path, file: &str) -> impl Iterator<Item = (String, u64)> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let low = fs::read_to_string(entry.path().join(file)).ok()?;
        Some((entry.file_name().into_string().ok()?, low.trim().parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "memory.low";

    #[test]
    fn the_groups_above_keep_the_sum_of_what_is_below_them() {
        let mount = tempfile::tempdir().unwrap();
        let root = mount.path().join("proffer/agent");
        let other = mount.path().join("proffer/other");
        for group in [&root, &other, &root.join("found")] {
            fs::create_dir_all(group).unwrap();
        }
        fs::write(other.join(FILE), "8\n").unwrap();
        fs::write(root.join("found").join(FILE), "4\n").unwrap();
        let sums = || {
            let read = |group: &Path| fs::read_to_string(group.join(FILE)).unwrap();
            (read(&root), read(&mount.path().join("proffer")))
        };
        let sum = |own: u64, all: u64| (own.to_string(), all.to_string());
        let (protection, id) = (Protection::default().low, ContainerId::new("new").unwrap());
        protection.recover(&root, mount.path());
        assert_eq!(sums(), sum(4, 12));
        protection.keep(&root, mount.path(), &id, 16).unwrap();
        assert_eq!(sums(), sum(20, 28));
        protection.release(&root, mount.path(), &id);
        assert_eq!(sums(), sum(4, 12));
    }
}

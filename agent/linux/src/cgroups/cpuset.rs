//! The cpuset controller: the cpus and memory nodes that may be used.
//!
//! On v1 a new group may use none of either, and takes no process, until it is told.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proffer_container::{Limit, Set, Version};

use super::control::{Control, ControlError, unsupported, write};

const CPUS: &str = "cpuset.cpus";
const MEMS: &str = "cpuset.mems";

#[derive(Debug)]
pub(super) struct Cpuset(pub(super) Version);

impl Control for Cpuset {
    fn prepare(&self, group: &Path) -> Result<(), ControlError> {
        if self.0 == Version::V2 {
            return Ok(());
        }
        let above = group.parent().unwrap_or(group);
        for file in [CPUS, MEMS] {
            if read(group, file)?.is_empty() {
                write(group, file, &read(above, file)?)?;
            }
        }
        Ok(())
    }

    fn limit(&self, group: &Path, limit: &Limit) -> Result<(), ControlError> {
        let (file, set) = if let Limit::Cpus(set) = limit {
            (CPUS, set)
        } else if let Limit::MemoryNodes(set) = limit {
            (MEMS, set)
        } else {
            return Err(unsupported(limit));
        };
        let wanted = set.to_string();
        write(group, file, &wanted)?;
        if self.0 == Version::V1 {
            return Ok(());
        }
        // v2 takes any wish, and may grant another.
        let effective = format!("{file}.effective");
        let read = read(group, &effective)?;
        if Set::parse(&read).as_ref() == Some(set) {
            return Ok(());
        }
        let path = group.join(effective);
        Err(ControlError::Different { path, wanted, read })
    }
}

/// The cpus and the memory nodes that a group may use; empty where the kernel does not tell.
pub(super) fn available(group: &Path, version: Version) -> [BTreeSet<u32>; 2] {
    [CPUS, MEMS].map(|file| {
        let file = match version {
            Version::V2 => format!("{file}.effective"),
            Version::V1 => file.to_owned(),
        };
        let text = read(group, &file).unwrap_or_default();
        Set::parse(&text).map(|set| set.0).unwrap_or_default()
    })
}

fn read(group: &Path, file: &str) -> Result<String, ControlError> {
    let path = group.join(file);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(source) => Err(ControlError::Access { path, source }),
    }
}

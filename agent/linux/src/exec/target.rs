//! The container a command is executed in: its payload's first process, the namespaces that are not ours, and how it is
//! confined.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use nix::libc;
use proffer_container::{ContainerId, Leaf, User};
use proffer_init::fd;

use crate::cgroups::Cgroups;
use crate::error::ExecError;
use crate::process::Process;
use crate::template::Template;

/// A template is a few hundred bytes, an environment of at most 128 KiB a variable, and a filter of 32 KiB.
const MAX_TEMPLATE_BYTES: u64 = 16 << 20;

/// The namespaces that are pid 1's. The payload cannot leave them for others, save for its own process.
const OF_INIT: [(&str, i32); 4] = [
    ("mnt", libc::CLONE_NEWNS),
    ("uts", libc::CLONE_NEWUTS),
    ("ipc", libc::CLONE_NEWIPC),
    ("net", libc::CLONE_NEWNET),
];

/// The namespaces that the payload's first process was started in.
const OF_PAYLOAD: [(&str, i32); 3] = [
    ("cgroup", libc::CLONE_NEWCGROUP),
    ("time", libc::CLONE_NEWTIME),
    ("user", libc::CLONE_NEWUSER),
];

#[derive(Debug)]
pub(super) struct Target {
    init: u32,
    pub(super) payload: Process,
    /// The flags of those to be joined: of pid 1, and of the payload.
    pub(super) namespaces: (u64, u64),
}

impl Target {
    pub(super) fn find(cgroups: &Cgroups, id: &ContainerId, init: &Process) -> Result<Self, ExecError> {
        let payload = first_process(cgroups, id, init).ok_or(ExecError::Gone)?;
        let namespaces = (flags(init.pid, &OF_INIT)?, flags(payload.pid, &OF_PAYLOAD)?);
        Ok(Self {
            init: init.pid,
            payload,
            namespaces,
        })
    }

    /// How the payload is confined.
    pub(super) fn template(&self) -> Result<Template, ExecError> {
        let path = format!("/proc/{}/fd/{}", self.init, fd::PROGRAM);
        let file = fs::File::open(path).map_err(|_| ExecError::Gone)?;
        let mut bytes = Vec::new();
        file.take(MAX_TEMPLATE_BYTES)
            .read_to_end(&mut bytes)
            .map_err(ExecError::Spawn)?;
        let (template, _) = proffer_init::program::split(&bytes).ok_or(ExecError::OtherVersion)?;
        Template::from_bytes(template).ok_or(ExecError::OtherVersion)
    }

    /// A user and group of the payload's user namespace, as the host knows them.
    pub(super) fn outside(&self, user: &User) -> (u32, u32) {
        let map = |file: &str, id| {
            let map = fs::read_to_string(format!("/proc/{}/{file}", self.payload.pid)).unwrap_or_default();
            outside(&map, id)
        };
        (map("uid_map", user.uid), map("gid_map", user.gid))
    }
}

/// The payload's first process: the one with the lowest pid in the container, after pid 1. All that came after it have
/// higher ones until the pids are used up, and those then start again above 300 (`RESERVED_PIDS`).
fn first_process(cgroups: &Cgroups, id: &ContainerId, init: &Process) -> Option<Process> {
    let depth = pids(init.pid)?.len();
    let own_pid = |pid: u32| pids(pid)?.get(depth.checked_sub(1)?).copied();
    let members = cgroups.processes_in(id, &[Leaf::Task]);
    let (lowest, pid) = members
        .into_iter()
        .filter_map(|pid| Some((own_pid(pid)?, pid)))
        .min()?;
    let process = Process::open(pid).ok()?;
    // Looked at again now that the pidfd is held: the pid may have changed hands.
    (own_pid(pid) == Some(lowest)).then_some(process)
}

/// The pids of a process, from our namespace inwards.
fn pids(pid: u32) -> Option<Vec<u32>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    pids.split_whitespace().map(|pid| pid.parse().ok()).collect()
}

/// The flags of the namespaces that a process has and we have not.
fn flags(pid: u32, namespaces: &[(&str, i32)]) -> Result<u64, ExecError> {
    let mut flags = 0;
    for (name, flag) in namespaces {
        // A kernel without them has no such file for us either.
        let Ok(own) = fs::metadata(format!("/proc/self/ns/{name}")) else {
            continue;
        };
        let theirs = fs::metadata(format!("/proc/{pid}/ns/{name}")).map_err(|_| ExecError::Gone)?;
        if own.ino() != theirs.ino() {
            flags |= u64::from(flag.cast_unsigned());
        }
    }
    Ok(flags)
}

/// Looks an id up in an id map (user_namespaces(7)): lines of the first id inside, the first outside, and how many.
fn outside(map: &str, id: u32) -> u32 {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u32>().ok());
        let (inside, outside, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let at = id.checked_sub(inside).filter(|at| *at < count)?;
        outside.checked_add(at)
    };
    map.lines().find_map(line).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_looked_up_in_its_range() {
        let map = "         0 1879048192      65536\n     70000          5          2\n";
        for (inside, expected) in [
            (0, 1_879_048_192),
            (1000, 1_879_049_192),
            (65_536, 65_536),
            (70_001, 6),
        ] {
            assert_eq!(outside(map, inside), expected);
        }
        assert_eq!(outside("0 0 4294967295", 7), 7);
    }
}

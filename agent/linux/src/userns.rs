//! User namespaces for payloads: one for each id map, kept open for all containers that have it.
//!
//! A namespace is made by a process that does nothing else, lets its ids be mapped, and ends; what is kept is a
//! descriptor. Containers with the same map share one. That gives them nothing on each other: every other namespace of
//! theirs, and every file, belongs to the namespace of the agent.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, clone};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use proffer_container::IdMap;

use crate::embedded::out_of_the_way;

/// The stack of a process that only waits.
const STACK_BYTES: usize = 16 << 10;

/// The user namespaces made so far. An agent has one id map as a rule, so they are looked through in turn.
#[derive(Debug, Default)]
pub(crate) struct UserNamespaces {
    made: Mutex<Vec<(IdMap, Arc<OwnedFd>)>>,
    /// The agent's own mount namespace, where that has to be kept beyond the agent.
    pub(crate) mounts: Option<Arc<OwnedFd>>,
}

impl UserNamespaces {
    /// None yet; `is_rootless` where the agent is root of a user namespace only.
    pub(crate) fn new(is_rootless: bool) -> io::Result<Self> {
        let own = || out_of_the_way(File::open("/proc/self/ns/mnt")?.into());
        Ok(Self {
            made: Mutex::default(),
            mounts: is_rootless.then(own).transpose()?.map(Arc::new),
        })
    }

    /// The namespace of an id map, made at its first use.
    pub(crate) fn get(&self, map: IdMap) -> io::Result<Arc<OwnedFd>> {
        // A push happens or does not, so a thread that panicked left the list whole.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, namespace)) = made.iter().find(|(of, _)| *of == map) {
            return Ok(Arc::clone(namespace));
        }
        let namespace = Arc::new(out_of_the_way(make(map)?)?);
        made.push((map, Arc::clone(&namespace)));
        Ok(namespace)
    }
}

fn make(map: IdMap) -> io::Result<OwnedFd> {
    let mut stack = vec![0; STACK_BYTES];
    let own = std::process::id();
    // It has the agent's descriptors, its sockets and locks among them, so it must not outlive it.
    let wait = Box::new(move || {
        // SAFETY: two system calls that take numbers; the second finds out whether the agent ended before the first.
        let is_orphan = unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::getppid().cast_unsigned() != own
        };
        if is_orphan {
            return 0;
        }
        loop {
            // SAFETY: a system call without arguments.
            unsafe { libc::pause() };
        }
    });
    // SAFETY: without CLONE_VM the child has a copy of this process, of which it uses nothing but its own stack, and it
    // makes system calls only, so it does not matter what other threads held when it was made.
    let pid = unsafe { clone(wait, &mut stack, CloneFlags::CLONE_NEWUSER, Some(libc::SIGCHLD)) }?;
    let namespace = map_ids(pid, map);
    let _ = kill(pid, Signal::SIGKILL);
    while waitpid(pid, None) == Err(Errno::EINTR) {}
    namespace
}

fn map_ids(pid: Pid, map: IdMap) -> io::Result<OwnedFd> {
    let line = format!("0 {} {}", map.first, map.count);
    for file in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{pid}/{file}"), &line)?;
    }
    let namespace = File::open(format!("/proc/{pid}/ns/user"))?;
    let own = fs::metadata("/proc/self/ns/user")?;
    if namespace.metadata()?.ino() == own.ino() {
        return Err(io::Error::other("the kernel made no user namespace"));
    }
    Ok(namespace.into())
}

//! Starting proffer-init, and hearing whether the container came up.
//!
//! posix_spawn shares the agent's memory until the exec (vfork), so its cost does not grow with the agent.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};
use proffer_init::fd;
use proffer_init::report::{MAX_SUBJECT_BYTES, Report};

use crate::embedded::out_of_the_way;
use crate::process::wait_readable;

/// A launch takes milliseconds. Past this the host is in trouble (a dead network file system under the sandbox), and the task
/// is better off elsewhere.
pub(crate) const LAUNCH_TIMEOUT: Duration = Duration::from_secs(30);

/// More than init ever says: a pid, and one failure of each of its processes.
const MAX_REPORT_BYTES: usize = 4 * (MAX_SUBJECT_BYTES + 16);

/// What init is started with.
#[derive(Debug)]
pub(crate) struct Descriptors {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) program: OwnedFd,
    pub(crate) exit: OwnedFd,
    pub(crate) directory: OwnedFd,
    /// For a container with input.
    pub(crate) attach: Option<OwnedFd>,
    pub(crate) user_namespace: Option<Arc<OwnedFd>>,
    /// Of an agent without root, so that the next one finds it.
    pub(crate) mounts: Option<Arc<OwnedFd>>,
}

/// Starts init from its file in memory, and returns what it reports; `None` when it did not finish in time.
pub(crate) fn run(init: &OwnedFd, descriptors: Descriptors) -> io::Result<Option<Report>> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let stage_one = spawn(init, &descriptors, out_of_the_way(writer)?)?;
    drop(descriptors);
    let report = read_report(reader.into(), Instant::now() + LAUNCH_TIMEOUT);
    if !matches!(report, Ok(Some(_))) {
        // It may hang in a step of its own; pid 1 and the payload are found in their cgroups.
        let _ = kill(stage_one, Signal::SIGKILL);
    }
    while waitpid(stage_one, None) == Err(Errno::EINTR) {}
    report
}

/// Spawns init. The writer is closed here, so that the pipe ends with the container's last copy.
fn spawn(init: &OwnedFd, descriptors: &Descriptors, writer: OwnedFd) -> io::Result<Pid> {
    let mut actions = PosixSpawnFileActions::init()?;
    for (own, theirs) in [
        (&descriptors.stdin, 0),
        (&descriptors.stdout, 1),
        (&descriptors.stderr, 2),
        (&descriptors.program, fd::PROGRAM),
        (&descriptors.exit, fd::EXIT),
        (&writer, fd::REPORT),
        (&descriptors.directory, fd::DIRECTORY),
    ] {
        actions.add_dup2(own.as_raw_fd(), theirs)?;
    }
    if let Some(attach) = &descriptors.attach {
        actions.add_dup2(attach.as_raw_fd(), fd::ATTACH)?;
    }
    if let Some(own) = &descriptors.user_namespace {
        actions.add_dup2(own.as_raw_fd(), fd::USER_NAMESPACE)?;
    }
    if let Some(own) = &descriptors.mounts {
        actions.add_dup2(own.as_raw_fd(), fd::MOUNTS)?;
    }
    let path = CString::new(format!("/proc/self/fd/{}", init.as_raw_fd()))?;
    let attributes = PosixSpawnAttr::init()?;
    let no_env: [&CStr; 0] = [];
    let pid = posix_spawn(
        path.as_c_str(),
        &actions,
        &attributes,
        &[c"proffer-init"],
        &no_env,
    )?;
    Ok(pid)
}

fn read_report(mut reader: File, deadline: Instant) -> io::Result<Option<Report>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1024];
    while bytes.len() < MAX_REPORT_BYTES {
        if !wait_readable(reader.as_fd(), deadline)? {
            return Ok(None);
        }
        match reader.read(&mut chunk)? {
            0 => break,
            n_bytes => bytes.extend(&chunk[..n_bytes]),
        }
    }
    Ok(Some(Report::parse(&bytes)))
}

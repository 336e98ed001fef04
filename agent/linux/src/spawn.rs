//! Starting proffer-init, and hearing whether what it is to execute was executed.
//!
//! One clone3(2) makes it: in its namespaces, in its cgroup where that is of v2, with its pidfd. It shares the agent's
//! memory until it executes init (vfork), so its cost does not grow with the agent.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};
use proffer_init::fd;
use proffer_init::program::Join;
use proffer_init::report::{MAX_SUBJECT_BYTES, Report};

use crate::clone::{self, Child, CloneArgs};
use crate::embedded::out_of_the_way;
use crate::process::{Process, wait_readable};

/// A launch takes milliseconds. Past this the host is in trouble (a dead network file system under the sandbox), and the task
/// is better off elsewhere.
pub(crate) const LAUNCH_TIMEOUT: Duration = Duration::from_secs(30);

/// More than init ever says: that it executes, and one failure of each of its processes.
const MAX_REPORT_BYTES: usize = 4 * (MAX_SUBJECT_BYTES + 16);

/// How a process gets into a cgroup, and that cgroup, open: one directory of v2, or the `tasks` files of v1.
#[derive(Debug)]
pub(crate) struct OpenCgroup {
    pub(crate) join: Join,
    pub(crate) files: Vec<OwnedFd>,
}

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
    /// Where the payload is to live; at most [`fd::MAX_CGROUPS`].
    pub(crate) cgroups: Vec<OwnedFd>,
}

/// Where init is started.
#[derive(Debug)]
pub(crate) struct Place {
    /// `CLONE_NEW*`
    pub(crate) namespaces: u64,
    pub(crate) cgroup: OpenCgroup,
}

/// Starts init from its file in memory. Returns its process and what it reports; `None` when it did not finish in time.
pub(crate) fn run(
    init: &OwnedFd,
    descriptors: Descriptors,
    place: Place,
) -> io::Result<(Process, Option<Report>)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let process = spawn(init, &descriptors, &place, out_of_the_way(writer)?)?;
    drop((descriptors, place));
    match read_report(reader.into(), Instant::now() + LAUNCH_TIMEOUT) {
        Ok(report) => Ok((process, report)),
        Err(error) => {
            end(&process);
            Err(error)
        }
    }
}

/// Kills init, and with a pid 1 all that is in its namespace, and takes it off the kernel's table.
pub(crate) fn end(process: &Process) {
    let _ = process.signal(libc::SIGKILL);
    let _ = process.wait(LAUNCH_TIMEOUT);
    process.reap();
}

/// The writer is closed here, so that the pipe ends with the container's last copy.
fn spawn(init: &OwnedFd, descriptors: &Descriptors, place: &Place, writer: OwnedFd) -> io::Result<Process> {
    let mut places = vec![
        (descriptors.stdin.as_raw_fd(), 0),
        (descriptors.stdout.as_raw_fd(), 1),
        (descriptors.stderr.as_raw_fd(), 2),
        (descriptors.program.as_raw_fd(), fd::PROGRAM),
        (descriptors.exit.as_raw_fd(), fd::EXIT),
        (writer.as_raw_fd(), fd::REPORT),
        (descriptors.directory.as_raw_fd(), fd::DIRECTORY),
    ];
    places.extend(descriptors.attach.iter().map(|own| (own.as_raw_fd(), fd::ATTACH)));
    let user_namespace = descriptors.user_namespace.iter();
    places.extend(user_namespace.map(|own| (own.as_raw_fd(), fd::USER_NAMESPACE)));
    let mounts = descriptors.mounts.iter();
    places.extend(mounts.map(|own| (own.as_raw_fd(), fd::MOUNTS)));
    let cgroups = descriptors.cgroups.iter().zip(fd::CGROUPS..fd::LAST + 1);
    if cgroups.len() < descriptors.cgroups.len() {
        return Err(io::Error::other("more cgroup hierarchies than init takes"));
    }
    places.extend(cgroups.map(|(own, theirs)| (own.as_raw_fd(), theirs)));
    let mut args = CloneArgs::new(place.namespaces);
    let mut tasks = Vec::new();
    match (place.cgroup.join, place.cgroup.files.last()) {
        (Join::Born, Some(directory)) => args.place_in(directory),
        (Join::Born, None) => return Err(io::Error::other("no cgroup for init")),
        (Join::Write, _) => tasks.extend(place.cgroup.files.iter().map(AsRawFd::as_raw_fd)),
    }
    let mut child = Child::new(init, &tasks, &places);
    // A handler of the agent's must not run in the child, which has its memory; init wants them blocked anyway.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let started = clone::start(&mut args, &mut child);
    before.thread_set_mask()?;
    let (pid, pidfd) = started?;
    // SAFETY: the kernel made it for this child, and nobody else has its number.
    let process = Process::of_child(pid, unsafe { OwnedFd::from_raw_fd(pidfd) });
    match (process, child.failure()) {
        (Ok(process), None) => Ok(process),
        (Ok(process), Some(error)) => {
            end(&process);
            Err(error)
        }
        (Err(error), failure) => {
            // Nobody else waits for it, so the pid is still its own.
            let pid = Pid::from_raw(pid.cast_signed());
            let _ = kill(pid, Signal::SIGKILL);
            while waitpid(pid, None) == Err(Errno::EINTR) {}
            Err(failure.unwrap_or(error))
        }
    }
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

//! The system calls, with their errors as values.

use std::ffi::CStr;
use std::ptr;

use proffer_init::fd;
use proffer_init::program::Op;
use proffer_init::report;

/// An errno and what the call was made on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure<'a> {
    pub(crate) errno: i32,
    pub(crate) subject: &'a CStr,
}

pub(crate) type Outcome<'a, T = ()> = Result<T, Failure<'a>>;

/// A program that ends too early or holds an unknown instruction.
pub(crate) const DAMAGED: Failure<'static> = Failure {
    errno: libc::EBADMSG,
    subject: c"",
};

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn check(result: libc::c_long) -> Outcome<'static, libc::c_long> {
    if result < 0 {
        let errno = errno();
        return Err(Failure { errno, subject: c"" });
    }
    Ok(result)
}

impl<'a> Failure<'a> {
    /// Names what the call was made on.
    pub(crate) fn on(self, subject: &'a CStr) -> Self {
        Self { subject, ..self }
    }
}

/// Blocks every signal, and keeps the descriptors that are not the payload's from it.
///
/// A blocked signal is not lost, as it would be on pid 1 by its default action, but waits for [`wait_signal`].
/// SIGPIPE among them, so that a dead agent is an error of `write` and nothing more.
pub(crate) fn start() {
    let all = all_signals();
    // SAFETY: plain system calls; `all` and the name outlive them, and the descriptors closed are nobody's in this program.
    unsafe {
        // It was executed by a descriptor's number, which would be its name otherwise.
        libc::prctl(libc::PR_SET_NAME, c"proffer-init".as_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut());
        libc::fcntl(fd::EXIT, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(fd::REPORT, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::syscall(libc::SYS_close_range, fd::REPORT + 1, libc::c_uint::MAX, 0);
    }
}

/// Maps the program, and closes its file.
pub(crate) fn map_program() -> Outcome<'static, &'static [u8]> {
    // SAFETY: the mapping is checked before use, private, and sealed by the agent against shrinking. It stays mapped for good,
    // a page or two.
    unsafe {
        let len = check(libc::lseek(fd::PROGRAM, 0, libc::SEEK_END))?;
        let len = usize::try_from(len).map_err(|_| DAMAGED)?;
        let at = libc::mmap(
            ptr::null_mut(),
            len,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            fd::PROGRAM,
            0,
        );
        if at == libc::MAP_FAILED {
            let errno = errno();
            return Err(Failure { errno, subject: c"" });
        }
        libc::close(fd::PROGRAM);
        Ok(std::slice::from_raw_parts(at.cast(), len))
    }
}

/// Writes all of a report. A dead agent cannot be told, and nothing depends on it.
pub(crate) fn report(bytes: &[u8]) {
    // SAFETY: the buffer is valid for its length.
    unsafe { libc::write(fd::REPORT, bytes.as_ptr().cast(), bytes.len()) };
}

/// Reports a failure and ends this process.
pub(crate) fn fail(op: Option<Op>, failure: Failure<'_>) -> ! {
    const HEAD: usize = 8;
    let subject = failure.subject.to_bytes();
    let len = subject.len().min(report::MAX_SUBJECT_BYTES);
    let mut message = [0; HEAD + report::MAX_SUBJECT_BYTES];
    message[0] = report::FAILURE;
    message[1] = op.map_or(0, |op| op as u8);
    message[2..6].copy_from_slice(&failure.errno.to_le_bytes());
    message[6..HEAD].copy_from_slice(&u16::try_from(len).unwrap_or(0).to_le_bytes());
    message[HEAD..HEAD + len].copy_from_slice(&subject[..len]);
    report(&message[..HEAD + len]);
    exit(127)
}

/// Ends this process at once.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(code) }
}

/// Closes a descriptor that is not needed any more.
pub(crate) fn close(descriptor: i32) {
    // SAFETY: only called with descriptors of `fd` and ones opened here, each once.
    unsafe { libc::close(descriptor) };
}

/// Forks with clone3(2): into new namespaces, and on cgroup v2 into a cgroup. Returns 0 in the child.
pub(crate) fn clone(flags: u64, cgroup: Option<&CStr>) -> Outcome<'static, i32> {
    let mut args = CloneArgs {
        flags,
        ..CloneArgs::default()
    };
    // With CLONE_PARENT the child has this process's own exit signal, and must not name one.
    if flags & libc::CLONE_PARENT as u64 == 0 {
        args.exit_signal = libc::SIGCHLD as u64;
    }
    let directory = cgroup.map(open_directory).transpose()?;
    if let Some(directory) = directory {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = directory as u64;
    }
    // SAFETY: without CLONE_VM this is a fork, and this program has one thread; `args` is a valid clone_args.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    let pid = check(pid);
    if let Some(directory) = directory {
        close(directory);
    }
    // The kernel's pids are at most 2^22.
    Ok(i32::try_from(pid?).unwrap_or(i32::MAX))
}

/// `CLONE_INTO_CGROUP`; libc's constant does not fit the type it has there.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// clone3(2)'s argument.
#[derive(Default)]
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

fn open_directory(path: &CStr) -> Outcome<'static, i32> {
    // SAFETY: the path is a C string.
    let descriptor = unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) };
    check(descriptor.into()).map(|_| descriptor)
}

/// Writes this process into a cgroup v1 `tasks` file. A thread that moves itself need not wait for the
/// kernel's lock on all forks, as it would through `cgroup.procs`.
pub(crate) fn join_cgroup(tasks: &CStr) -> Outcome<'_> {
    // SAFETY: the path is a C string, the buffer is valid for its length.
    let written = unsafe {
        let descriptor = libc::open(tasks.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        check(descriptor.into()).map_err(|failure| failure.on(tasks))?;
        let written = check(libc::write(descriptor, c"0".as_ptr().cast(), 1) as libc::c_long);
        libc::close(descriptor);
        written
    };
    written.map(drop).map_err(|failure| failure.on(tasks))
}

pub(crate) fn set_hostname(name: &CStr) -> Outcome<'_> {
    // SAFETY: the name is valid for its length.
    let result = unsafe { libc::sethostname(name.as_ptr(), name.count_bytes()) };
    check(result.into()).map(drop).map_err(|failure| failure.on(name))
}

pub(crate) fn make_mounts_private() -> Outcome<'static> {
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: the target is a C string; the other pointers may be null for a change of propagation.
    let result = unsafe { libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), flags, ptr::null()) };
    check(result.into()).map(drop).map_err(|failure| failure.on(c"/"))
}

pub(crate) fn mount<'a>(filesystem: &CStr, target: &'a CStr, flags: u64, options: &CStr) -> Outcome<'a> {
    // SAFETY: all four are C strings.
    let result = unsafe {
        libc::mount(
            filesystem.as_ptr(),
            target.as_ptr(),
            filesystem.as_ptr(),
            flags,
            options.as_ptr().cast(),
        )
    };
    check(result.into())
        .map(drop)
        .map_err(|failure| failure.on(target))
}

/// Shows a directory at another place. The flags take a second call: the kernel ignores them in the first.
pub(crate) fn bind_mount<'a>(source: &CStr, target: &'a CStr) -> Outcome<'a> {
    let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: source and target are C strings; the other pointers may be null for binds.
    let result = unsafe {
        let (source, target) = (source.as_ptr(), target.as_ptr());
        let bound = libc::mount(source, target, ptr::null(), libc::MS_BIND, ptr::null());
        match bound {
            0 => libc::mount(ptr::null(), target, ptr::null(), flags, ptr::null()),
            failed => failed,
        }
    };
    check(result.into())
        .map(drop)
        .map_err(|failure| failure.on(target))
}

/// Writes this process's own score for the OOM killer.
pub(crate) fn set_oom_score_adj(score: u64) -> Outcome<'static> {
    let file = c"/proc/self/oom_score_adj";
    let text = score.to_string();
    // SAFETY: the path is a C string, the buffer is valid for its length.
    let written = unsafe {
        let descriptor = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        check(descriptor.into()).map_err(|failure| failure.on(file))?;
        let written = check(libc::write(descriptor, text.as_ptr().cast(), text.len()) as libc::c_long);
        libc::close(descriptor);
        written
    };
    written.map(drop).map_err(|failure| failure.on(file))
}

pub(crate) fn unshare(flags: u64) -> Outcome<'static> {
    // SAFETY: a plain system call.
    check(unsafe { libc::syscall(libc::SYS_unshare, flags) }).map(drop)
}

pub(crate) fn change_directory(path: &CStr) -> Outcome<'_> {
    // SAFETY: the path is a C string.
    let result = unsafe { libc::chdir(path.as_ptr()) };
    check(result.into()).map(drop).map_err(|failure| failure.on(path))
}

pub(crate) fn set(option: i32, value: libc::c_ulong) -> Outcome<'static> {
    // SAFETY: only called with options whose arguments are numbers.
    check(unsafe { libc::prctl(option, value, 0, 0, 0) }.into()).map(drop)
}

/// Gives up every capability that is not in the mask: in the bounding set too, so that no program brings it back.
pub(crate) fn keep_capabilities(mask: u64) -> Outcome<'static> {
    for capability in (0..64).filter(|capability| mask & 1 << capability == 0) {
        match set(libc::PR_CAPBSET_DROP, capability) {
            // Past the last capability this kernel knows.
            Err(Failure {
                errno: libc::EINVAL, ..
            }) => break,
            other => other?,
        }
    }
    set(
        libc::PR_CAP_AMBIENT,
        libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong,
    )?;
    let header = [LINUX_CAPABILITY_VERSION_3, 0];
    let (low, high) = ((mask & 0xffff_ffff) as u32, (mask >> 32) as u32);
    let data = [low, low, 0, high, high, 0];
    // SAFETY: header and data have the layout of the version named: effective, permitted, inheritable, twice.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) }).map(drop)
}

const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// Gives the payload a session of its own, and signals as if it had been started from a shell.
pub(crate) fn become_payload() {
    // The kernel's sigaction: all zeros is the default action with no flags. glibc's calls leave out its own two signals,
    // but not what they inherited: some supervisors ignore those.
    let default = [0_u64; 4];
    let none = 0_u64;
    // SAFETY: plain system calls; both values have the kernel's layout and outlive their use.
    unsafe {
        libc::setsid();
        for signal in 1..=LAST_SIGNAL {
            let no_old = ptr::null::<u64>();
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                no_old,
                size_of::<u64>(),
            );
        }
        let (set, no_old) = (&raw const none, ptr::null::<u64>());
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            set,
            no_old,
            size_of::<u64>(),
        );
    }
}

/// The last real-time signal.
const LAST_SIGNAL: i32 = 64;

/// Executes a command found on the `PATH` of its own environment. Only returns the failure.
pub(crate) fn execute<'a>(
    argv: &[*const libc::c_char],
    env: &[*const libc::c_char],
    program: &'a CStr,
) -> Failure<'a> {
    unsafe extern "C" {
        static mut environ: *const *const libc::c_char;
    }
    // SAFETY: both arrays end with a null and hold C strings of the mapped program; there is one thread, and nothing
    // reads the environment after this.
    unsafe {
        environ = env.as_ptr();
        libc::execvp(program.as_ptr(), argv.as_ptr());
    }
    let errno = errno();
    Failure {
        errno,
        subject: program,
    }
}

fn all_signals() -> libc::sigset_t {
    // SAFETY: sigfillset initialises the set.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        set
    }
}

/// Waits for the next signal and returns its number.
pub(crate) fn wait_signal() -> i32 {
    let all = all_signals();
    // SAFETY: the set outlives the call; no details are asked for. EINTR counts as signal -1, which nobody handles.
    unsafe { libc::sigwaitinfo(&raw const all, ptr::null_mut()) }
}

/// Reaps one child that has ended, if there is one: its pid and wait status.
pub(crate) fn reap() -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then_some((pid, status))
}

/// Sends a signal; to nobody left is as good as sent.
pub(crate) fn kill(pid: i32, signal: i32) {
    // SAFETY: a plain system call.
    unsafe { libc::kill(pid, signal) };
}

/// Microseconds of the monotonic clock.
pub(crate) fn now_us() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the timespec outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}

/// Writes the exit record.
pub(crate) fn write_record(bytes: &[u8]) {
    // SAFETY: the buffer is valid for its length.
    unsafe { libc::pwrite(fd::EXIT, bytes.as_ptr().cast(), bytes.len(), 0) };
}

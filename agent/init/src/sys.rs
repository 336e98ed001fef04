//! The system calls, with their errors as values: here what every stage needs, a file for each other subject.

pub(crate) mod cgroup;
pub(crate) mod io;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod privileges;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod terminal;
pub(crate) mod tree;

use std::ffi::CStr;
use std::ptr;

use proffer_init::fd;
use proffer_init::program::{self, Op};
use proffer_init::report;

use self::signal::all_signals;

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
/// A blocked signal is not lost, as it would be on pid 1 by its default action, but waits for [`signal::next`].
/// SIGPIPE among them, so that a dead agent is an error of `write` and nothing more.
pub(crate) fn start() {
    let all = all_signals();
    // SAFETY: plain system calls; `all` and the name outlive them, and the descriptors closed are nobody's in this program.
    unsafe {
        // It was executed by a descriptor's number, which would be its name otherwise.
        libc::prctl(libc::PR_SET_NAME, c"proffer-init".as_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut());
        // What it makes has the modes it names.
        libc::umask(0);
        for descriptor in fd::PROGRAM..=fd::LAST {
            libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
        }
        libc::syscall(libc::SYS_close_range, fd::LAST + 1, libc::c_uint::MAX, 0);
    }
}

/// Maps the program. Its file stays open in pid 1, for the agent to find.
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
        let file = std::slice::from_raw_parts(at.cast(), len);
        let (_, program) = program::split(file).ok_or(DAMAGED)?;
        Ok(program)
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

/// Writes all of some bytes.
pub(crate) fn write_all(file: i32, mut bytes: &[u8]) -> Outcome<'static> {
    while !bytes.is_empty() {
        // SAFETY: the buffer is valid for its length.
        let written =
            check(unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) } as libc::c_long)?;
        bytes = bytes
            .get(usize::try_from(written).unwrap_or(0)..)
            .unwrap_or_default();
    }
    Ok(())
}

/// Writes a file that is there in one write, as the kernel's own want it.
pub(crate) fn write_file<'a>(path: &'a CStr, value: &[u8]) -> Outcome<'a> {
    // SAFETY: the path is a C string.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    check(file.into()).map_err(|failure| failure.on(path))?;
    let written = write_all(file, value);
    close(file);
    written.map_err(|failure| failure.on(path))
}

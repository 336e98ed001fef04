//! The system calls, with their errors as values: here what every stage needs, a file for each other subject.

pub(crate) mod cgroup;
pub(crate) mod io;
pub(crate) mod kernel;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod privileges;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod terminal;
pub(crate) mod tree;

use core::ffi::CStr;
use core::ptr;

use proffer_init::fd;
use proffer_init::program::{self, Op};
use proffer_init::report;

use self::kernel::syscall;

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

/// What a call returned: a number, or the negative of an errno. All numbers that are looked at here are small.
fn check(result: isize) -> Outcome<'static, i32> {
    let result = i32::try_from(result).unwrap_or(i32::MAX);
    if result < 0 {
        let (errno, subject) = (-result, c"");
        return Err(Failure { errno, subject });
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
    signal::set_mask(signal::ALL);
    // SAFETY: plain system calls; the name outlives its call, and the descriptors closed are nobody's in this program.
    unsafe {
        // It was executed by a descriptor's number, which would be its name otherwise.
        syscall!(SYS_prctl, libc::PR_SET_NAME, c"proffer-init".as_ptr());
        // What it makes has the modes it names.
        syscall!(SYS_umask, 0);
        syscall!(SYS_close_range, fd::PROGRAM, fd::LAST, libc::CLOSE_RANGE_CLOEXEC);
        syscall!(SYS_close_range, fd::LAST + 1, libc::c_uint::MAX, 0);
    }
}

/// Maps the program. Its file stays open in pid 1, for the agent to find.
pub(crate) fn map_program() -> Outcome<'static, &'static [u8]> {
    // SAFETY: the mapping is checked before use, private, and sealed by the agent against shrinking. It stays mapped for good,
    // a page or two.
    unsafe {
        let len = check(syscall!(SYS_lseek, fd::PROGRAM, 0, libc::SEEK_END))?;
        let len = usize::try_from(len).map_err(|_| DAMAGED)?;
        let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        let at = syscall!(SYS_mmap, 0, len, protection, flags, fd::PROGRAM, 0);
        let Ok(address) = usize::try_from(at) else {
            return Err(check(at).err().unwrap_or(DAMAGED));
        };
        let file = core::slice::from_raw_parts(ptr::with_exposed_provenance(address), len);
        let (_, program) = program::split(file).ok_or(DAMAGED)?;
        Ok(program)
    }
}

/// Writes all of a report. A dead agent cannot be told, and nothing depends on it.
pub(crate) fn report(bytes: &[u8]) {
    // SAFETY: the buffer is valid for its length.
    unsafe { syscall!(SYS_write, fd::REPORT, bytes.as_ptr(), bytes.len()) };
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
    loop {
        // SAFETY: does not return.
        unsafe { syscall!(SYS_exit_group, code) };
    }
}

/// Closes a descriptor that is not needed any more.
pub(crate) fn close(descriptor: i32) {
    // SAFETY: only called with descriptors of `fd` and ones opened here, each once.
    unsafe { syscall!(SYS_close, descriptor) };
}

/// Microseconds of the monotonic clock.
pub(crate) fn now_us() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the timespec outlives the call.
    unsafe { syscall!(SYS_clock_gettime, libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}

/// Writes the exit record.
pub(crate) fn write_record(bytes: &[u8]) {
    // SAFETY: the buffer is valid for its length.
    unsafe { syscall!(SYS_pwrite64, fd::EXIT, bytes.as_ptr(), bytes.len(), 0) };
}

/// Writes all of some bytes.
pub(crate) fn write_all(file: i32, mut bytes: &[u8]) -> Outcome<'static> {
    while !bytes.is_empty() {
        // SAFETY: the buffer is valid for its length.
        let written = check(unsafe { syscall!(SYS_write, file, bytes.as_ptr(), bytes.len()) })?;
        bytes = bytes
            .get(usize::try_from(written).unwrap_or(0)..)
            .unwrap_or_default();
    }
    Ok(())
}

/// Writes a file that is there in one write, as the kernel's own want it.
pub(crate) fn write_file<'a>(path: &'a CStr, value: &[u8]) -> Outcome<'a> {
    let file = open(path, libc::O_WRONLY)?;
    let written = write_all(file, value);
    close(file);
    written.map_err(|failure| failure.on(path))
}

/// Opens a file; closed by execution.
pub(crate) fn open(path: &CStr, flags: i32) -> Outcome<'_, i32> {
    // SAFETY: the path is a C string.
    let file = unsafe {
        syscall!(
            SYS_openat,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags | libc::O_CLOEXEC,
            0
        )
    };
    check(file).map_err(|failure| failure.on(path))
}

/// A number in decimal digits, as the kernel's files take it.
pub(crate) fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut start = buffer.len();
    loop {
        start -= 1;
        buffer[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buffer[start..];
        }
    }
}

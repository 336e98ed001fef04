//! Descriptors: pipes, and moving bytes between them and files.
//!
//! Errors here are plain errno values: init goes on whatever they are.

use core::ffi::CStr;
use core::ptr;

use super::kernel::syscall;
use super::{Outcome, check};

/// Task output is the operator's; nobody else reads it.
const FILE_MODE: libc::mode_t = 0o640;

/// A pipe: the end to read from, and the one to write to; closed by execution.
pub(crate) fn pipe() -> Outcome<'static, (i32, i32)> {
    let mut ends = [0_i32; 2];
    // SAFETY: the array has room for both.
    check(unsafe { syscall!(SYS_pipe2, ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    Ok((ends[0], ends[1]))
}

/// Makes reads and writes of a descriptor fail with EAGAIN rather than wait.
pub(crate) fn never_block(descriptor: i32) -> Outcome<'static> {
    // SAFETY: plain system calls on numbers.
    unsafe {
        let flags = check(syscall!(SYS_fcntl, descriptor, libc::F_GETFL))?;
        check(syscall!(
            SYS_fcntl,
            descriptor,
            libc::F_SETFL,
            flags | libc::O_NONBLOCK
        ))
        .map(drop)
    }
}

/// Gives a pipe or terminal to a user of the host, who may then open it again by its name in /proc or /dev.
pub(crate) fn give_to(descriptor: i32, uid: u32, gid: u32) -> Outcome<'static> {
    // SAFETY: a plain system call.
    check(unsafe { syscall!(SYS_fchown, descriptor, uid, gid) }).map(drop)
}

/// Makes `target` another name of another descriptor, one that survives execution.
pub(crate) fn place(descriptor: i32, target: i32) -> Outcome<'static> {
    // SAFETY: a plain system call; what `target` was is the caller's to give up.
    check(unsafe { syscall!(SYS_dup3, descriptor, target, 0) }).map(drop)
}

/// How many bytes a pipe can hold; 0 for what is none.
pub(crate) fn pipe_size(pipe: i32) -> usize {
    // SAFETY: a plain system call.
    usize::try_from(unsafe { syscall!(SYS_fcntl, pipe, libc::F_GETPIPE_SZ) }).unwrap_or(0)
}

pub(crate) fn seek_end(file: i32) -> Outcome<'static, u64> {
    // SAFETY: a plain system call.
    let size = unsafe { syscall!(SYS_lseek, file, 0, libc::SEEK_END) };
    u64::try_from(size).or_else(|_| check(size).map(|_| 0))
}

/// What a call moved, or why it did not.
fn length(result: isize) -> Result<usize, i32> {
    usize::try_from(result).map_err(|_| check(result).err().map_or(0, |failure| failure.errno))
}

/// Has the kernel move bytes from a pipe to a file. 0 when the pipe has ended.
pub(crate) fn splice(pipe: i32, file: i32, max_bytes: usize) -> Result<usize, i32> {
    let flags = libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE;
    // SAFETY: null offsets stand for the descriptors' own.
    length(unsafe { syscall!(SYS_splice, pipe, 0, file, 0, max_bytes, flags) })
}

pub(crate) fn read(from: i32, buffer: &mut [u8]) -> Result<usize, i32> {
    // SAFETY: the buffer is valid for its length.
    length(unsafe { syscall!(SYS_read, from, buffer.as_mut_ptr(), buffer.len()) })
}

pub(crate) fn write(to: i32, bytes: &[u8]) -> Result<usize, i32> {
    // SAFETY: the bytes are valid for their length.
    length(unsafe { syscall!(SYS_write, to, bytes.as_ptr(), bytes.len()) })
}

/// Makes a new file in a directory and opens it for writing; `None` when it cannot be made or is there already.
pub(crate) fn create_at(directory: i32, name: &CStr) -> Option<i32> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    // SAFETY: the name is a C string.
    check(unsafe { syscall!(SYS_openat, directory, name.as_ptr(), flags, FILE_MODE) }).ok()
}

/// Whether a file of a directory could be renamed.
pub(crate) fn rename_at(directory: i32, from: &CStr, to: &CStr) -> bool {
    // SAFETY: both names are C strings.
    unsafe { syscall!(SYS_renameat2, directory, from.as_ptr(), directory, to.as_ptr(), 0) == 0 }
}

/// Removes a file of a directory. One that is not there, or stays, is the operator's.
pub(crate) fn remove_at(directory: i32, name: &CStr) {
    // SAFETY: the name is a C string.
    unsafe { syscall!(SYS_unlinkat, directory, name.as_ptr(), 0) };
}

/// Empties a file.
pub(crate) fn truncate(file: i32) {
    // SAFETY: a plain system call.
    unsafe { syscall!(SYS_ftruncate, file, 0) };
}

/// Waits until one of the descriptors is ready, negative ones aside.
pub(crate) fn poll(descriptors: &mut [libc::pollfd], timeout_ms: i32) {
    let millis = i64::from(timeout_ms);
    let timeout = libc::timespec {
        tv_sec: millis / 1000,
        tv_nsec: millis % 1000 * 1_000_000,
    };
    let timeout = if timeout_ms < 0 {
        ptr::null()
    } else {
        &raw const timeout
    };
    // SAFETY: the array is valid for its length, the timeout null or valid. After an error nothing is ready, as without one.
    let n_ready = unsafe {
        syscall!(
            SYS_ppoll,
            descriptors.as_mut_ptr(),
            descriptors.len(),
            timeout,
            0,
            0
        )
    };
    if n_ready <= 0 {
        descriptors
            .iter_mut()
            .for_each(|descriptor| descriptor.revents = 0);
    }
}

/// One descriptor to wait for; `None` for a place that is not used.
pub(crate) fn polled(descriptor: Option<i32>, events: i16) -> libc::pollfd {
    libc::pollfd {
        fd: descriptor.unwrap_or(-1),
        events,
        revents: 0,
    }
}

/// Takes a connection; it does not block. `None` when whoever wanted it is gone.
pub(crate) fn accept(listener: i32) -> Option<i32> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the address of who connects may be null for nobody who asks.
    check(unsafe { syscall!(SYS_accept4, listener, 0, 0, flags) }).ok()
}

/// Another name of a descriptor; closed by execution.
pub(crate) fn duplicate(descriptor: i32) -> Outcome<'static, i32> {
    // SAFETY: a plain system call.
    check(unsafe { syscall!(SYS_fcntl, descriptor, libc::F_DUPFD_CLOEXEC, 0) })
}

//! Output: from the payload's pipe or terminal to its file.
//!
//! A write that fails (a full disk, as a rule) drops what it should have written: a task is neither held up for ever by
//! its output nor loses its exit record to it. Otherwise a task that writes faster than the disk waits on its pipe.

use crate::rotate::Log;
use crate::sys::{self, io};

/// The most that is moved at once: what a pipe holds.
const CHUNK_BYTES: usize = 64 << 10;

/// Moved through memory where the kernel cannot move it by itself: from a terminal, to some file systems. On the stack
/// only while it is used; a page or two of it, for most.
const BUFFER_BYTES: usize = 16 << 10;

/// One stream of output.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Does not block. `None` when every writer has closed it.
    source: Option<i32>,
    log: Log,
    /// Whether the kernel can move it without us.
    can_splice: bool,
}

/// What became of one try to move output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    /// So many bytes were taken from the source.
    Bytes(usize),
    /// There was nothing.
    Nothing,
    /// There will be nothing any more.
    End,
}

impl Stream {
    pub(crate) fn new(source: i32, log: Log, can_splice: bool) -> Self {
        Self {
            source: Some(source),
            log,
            can_splice,
        }
    }

    /// What to wait for.
    pub(crate) fn source(&self) -> Option<i32> {
        self.source
    }

    /// Moves a chunk of what is there.
    pub(crate) fn copy(&mut self) {
        self.step(CHUNK_BYTES);
    }

    /// Moves what is in the source now. Whoever of the payload's children still writes is not waited for.
    pub(crate) fn drain(&mut self) {
        let mut left = CHUNK_BYTES.max(self.source.map_or(0, io::pipe_size));
        while let Moved::Bytes(n_bytes) = self.step(left.min(CHUNK_BYTES)) {
            left = left.saturating_sub(n_bytes);
            if left == 0 {
                return;
            }
        }
    }

    fn step(&mut self, max_bytes: usize) -> Moved {
        let Some(source) = self.source else {
            return Moved::End;
        };
        let moved = self.move_some(source, max_bytes);
        if moved == Moved::End {
            sys::close(source);
            self.source = None;
        }
        moved
    }

    fn move_some(&mut self, source: i32, max_bytes: usize) -> Moved {
        let Some((file, room)) = self.log.room() else {
            return drop_some(source, max_bytes);
        };
        let max_bytes = usize::try_from(room).unwrap_or(usize::MAX).min(max_bytes);
        if self.can_splice {
            match io::splice(source, file, max_bytes) {
                Ok(0) => return Moved::End,
                Ok(n_bytes) => {
                    self.log.wrote(n_bytes as u64);
                    return Moved::Bytes(n_bytes);
                }
                Err(libc::EAGAIN | libc::EINTR) => return Moved::Nothing,
                // A file system without it; never again then.
                Err(libc::EINVAL) => self.can_splice = false,
                Err(_) => {}
            }
        }
        self.write_some(source, file, max_bytes)
    }

    fn write_some(&mut self, source: i32, file: i32, max_bytes: usize) -> Moved {
        let mut buffer = [0; BUFFER_BYTES];
        let n_read = match io::read(source, &mut buffer[..max_bytes.min(BUFFER_BYTES)]) {
            Ok(0) => return Moved::End,
            Ok(n_read) => n_read,
            Err(errno) => return unread(errno),
        };
        let mut left = &buffer[..n_read];
        while let Ok(n_written @ 1..) = io::write(file, left) {
            self.log.wrote(n_written as u64);
            left = &left[n_written..];
            if left.is_empty() {
                break;
            }
        }
        Moved::Bytes(n_read)
    }
}

fn drop_some(source: i32, max_bytes: usize) -> Moved {
    let mut buffer = [0; BUFFER_BYTES];
    match io::read(source, &mut buffer[..max_bytes.min(BUFFER_BYTES)]) {
        Ok(0) => Moved::End,
        Ok(n_read) => Moved::Bytes(n_read),
        Err(errno) => unread(errno),
    }
}

/// A terminal that nobody has open any more fails with EIO.
fn unread(errno: i32) -> Moved {
    match errno {
        libc::EAGAIN | libc::EINTR => Moved::Nothing,
        _ => Moved::End,
    }
}

//! A stream's files: the one being written, and the older ones it was renamed to, which are removed by and by.
//!
//! Every file but the last is exactly as long as one may be. Nothing here waits for space: what does not fit is dropped.

use core::ffi::CStr;

use proffer_init::fd;
use proffer_init::older::{self, MAX_FILES};

use crate::sys::{self, DAMAGED, Outcome, io};

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Of one file; not 0.
    pub(crate) max_bytes: u64,
    /// At least 1, at most [`MAX_FILES`].
    pub(crate) files: usize,
}

/// The files of one stream.
#[derive(Debug)]
pub(crate) struct Log {
    limits: Limits,
    name: &'static CStr,
    /// The one being written; `None` when it could not be made.
    file: Option<i32>,
    size: u64,
    /// Where it starts in the whole stream.
    start: u64,
    /// Where the older ones end, the oldest first.
    ends: [u64; MAX_FILES],
    n_ends: usize,
}

impl Log {
    /// Goes on at the end of an open file. `ends` are those of the older ones, the oldest first.
    pub(crate) fn new(
        limits: Limits,
        name: &'static CStr,
        file: i32,
        ends: impl Iterator<Item = u64>,
    ) -> Outcome<'static, Self> {
        if limits.max_bytes == 0 || !(1..=MAX_FILES).contains(&limits.files) {
            return Err(DAMAGED);
        }
        let mut log = Self {
            limits,
            name,
            file: Some(file),
            size: io::seek_end(file)?,
            start: 0,
            ends: [0; MAX_FILES],
            n_ends: 0,
        };
        for end in ends.take(MAX_FILES) {
            log.ends[log.n_ends] = end;
            log.n_ends += 1;
            log.start = end;
        }
        Ok(log)
    }

    /// The file to write to and how much it has room for; rotates when it is full. `None` while there is no file.
    pub(crate) fn room(&mut self) -> Option<(i32, u64)> {
        if self.size >= self.limits.max_bytes && self.file.is_some() {
            self.retire();
        }
        if self.file.is_none() {
            self.file = io::create_at(fd::DIRECTORY, self.name);
            self.size = 0;
        }
        let room = self.limits.max_bytes.checked_sub(self.size)?;
        self.file.filter(|_| room > 0).map(|file| (file, room))
    }

    /// Takes note of what was written to the file.
    pub(crate) fn wrote(&mut self, n_bytes: u64) {
        self.size += n_bytes;
    }

    /// Renames the file that is full, and removes the oldest ones. When it cannot be renamed it stays, full.
    fn retire(&mut self) {
        let Some(file) = self.file else { return };
        let end = self.start + self.size;
        let mut buffer = older::BUFFER;
        let Some(name) = older::name(self.name.to_bytes(), end, &mut buffer) else {
            return;
        };
        if !io::rename_at(fd::DIRECTORY, self.name, name) {
            return;
        }
        if self.limits.files == 1 {
            // Only its name is kept: it says where the next one starts.
            io::truncate(file);
        }
        sys::close(file);
        self.file = None;
        self.start = end;
        while self.n_ends >= (self.limits.files - 1).max(1) {
            self.remove_oldest();
        }
        self.ends[self.n_ends] = end;
        self.n_ends += 1;
    }

    fn remove_oldest(&mut self) {
        let mut buffer = older::BUFFER;
        if let Some(name) = older::name(self.name.to_bytes(), self.ends[0], &mut buffer) {
            io::remove_at(fd::DIRECTORY, name);
        }
        self.ends.copy_within(1..self.n_ends, 0);
        self.n_ends -= 1;
    }
}

//! The trace of a run: every input and output of every core, a line each.
//!
//! Two runs of one seed must have the same trace to the letter; so the hash covers all of it. Making the text costs a
//! quarter of a run: where nobody compares the hash, nor reads the text, there is none.

use std::fmt::{self, Write};

use proffer_types::Timestamp;

/// FNV-1a: stable across machines and compilers, which the standard hasher does not promise.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Takes the lines of a trace as they come.
pub type Reader = Box<dyn FnMut(&str)>;

pub(crate) struct Trace {
    /// Absent where nobody asks for it.
    hash: Option<u64>,
    n_lines: u64,
    line: String,
    reader: Option<Reader>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({:016x?}, {} lines)", self.hash, self.n_lines)
    }
}

impl Trace {
    pub(crate) fn new(hashes: bool, reader: Option<Reader>) -> Self {
        Self {
            hash: hashes.then_some(OFFSET),
            n_lines: 0,
            line: String::new(),
            reader,
        }
    }

    pub(crate) fn line(&mut self, now: Timestamp, text: fmt::Arguments<'_>) {
        self.n_lines += 1;
        if self.hash.is_none() && self.reader.is_none() {
            return;
        }
        self.line.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.line, "{:>9} {text}", now.0);
        let add = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        self.hash = self.hash.map(|hash| self.line.bytes().fold(hash, add));
        if let Some(reader) = &mut self.reader {
            reader(&self.line);
        }
    }

    pub(crate) fn hash(&self) -> Option<u64> {
        self.hash
    }

    pub(crate) fn n_lines(&self) -> u64 {
        self.n_lines
    }
}

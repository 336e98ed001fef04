//! Looks at write-ahead logs before RocksDB does, which takes everything up to the first record that is damaged, and
//! drops the rest without a word. That is right for the end of a log, where a power loss leaves half of a write that
//! nobody was told of; it is not where whole records follow: those were acknowledged.
//!
//! A log is blocks of 32 KiB of records: `masked CRC-32C (4) | length (2) | type (1) | payload`, little-endian; a record
//! does not cross a block (RocksDB's wiki, "Write Ahead Log File Format").

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;

/// A whole payload, and its first, middle and last part.
const TYPES: std::ops::RangeInclusive<u8> = 1..=4;

/// Where a log is damaged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) log: PathBuf,
    pub(super) at: usize,
}

/// The first place from which on acknowledged records would be dropped.
pub(super) fn damage(directory: &Path) -> io::Result<Option<Damage>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            logs.push(path);
        }
    }
    logs.sort();
    for log in logs {
        if let Some(at) = hole(&fs::read(&log)?) {
            return Ok(Some(Damage { log, at }));
        }
    }
    Ok(None)
}

/// Where something that is no record lies before one that is.
fn hole(log: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < log.len() {
        let rest = BLOCK_BYTES - at % BLOCK_BYTES;
        at += match record(log, at) {
            Some(length) => length,
            // Too little of a block is left for any.
            None if rest < HEADER_BYTES => rest,
            None => return has_record(log, at + 1).then_some(at),
        };
    }
    None
}

fn has_record(log: &[u8], from: usize) -> bool {
    (from..log.len()).any(|at| record(log, at).is_some())
}

/// The length of the record at a place, with its header, if it is whole.
fn record(log: &[u8], at: usize) -> Option<usize> {
    let block = (BLOCK_BYTES - at % BLOCK_BYTES).min(log.len() - at);
    let (header, payload) = log[at..at + block].split_at_checked(HEADER_BYTES)?;
    let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
    let payload = payload.get(..length).filter(|_| TYPES.contains(&header[6]))?;
    let sum = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    (masked(crc32c(header[6], payload)) == sum).then_some(HEADER_BYTES + length)
}

/// The polynomial of Castagnoli, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    let mut byte = 0;
    while at < table.len() {
        let mut sum: u32 = byte;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg());
            bit += 1;
        }
        table[at] = sum;
        at += 1;
        byte += 1;
    }
    table
}

fn crc32c(first: u8, rest: &[u8]) -> u32 {
    let add = |sum: u32, byte: &u8| TABLE[usize::from(sum.to_le_bytes()[0] ^ byte)] ^ (sum >> 8);
    !rest.iter().fold(add(u32::MAX, &first), add)
}

/// As RocksDB stores it.
fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_castagnoli() {
        assert_eq!(crc32c(b'1', b"23456789"), 0xe306_9283);
    }
}

//! The exit record: how the payload's first process ended, in 32 bytes written at once.
//!
//! `magic (8) | version (4) | wait status (4) | wall time in µs (8) | FNV-1a of the 24 bytes before (8)`, little-endian.

/// The length of a record.
pub const LEN: usize = 32;

const MAGIC: [u8; 8] = *b"PROFEXIT";
const VERSION: u32 = 1;

/// How the payload's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// As waitpid(2) gives it.
    pub wait_status: i32,
    /// From the start of the payload to its end.
    pub wall_time_us: u64,
}

impl Record {
    /// The record as it lies in the file.
    #[must_use]
    pub fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.wait_status.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.wall_time_us.to_le_bytes());
        let sum = fnv1a(&bytes[..24]);
        bytes[24..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads a record; `None` when the bytes are not a whole, undamaged record of this version.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.try_into().ok()?;
        let status = i32::from_le_bytes(*bytes[12..].first_chunk()?);
        let wall_time_us = u64::from_le_bytes(*bytes[16..].first_chunk()?);
        let record = Self {
            wait_status: status,
            wall_time_us,
        };
        (record.to_bytes() == *bytes).then_some(record)
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_it_was_written_and_no_flipped_bit_goes_unseen() {
        let record = Record {
            wait_status: 9,
            wall_time_us: 1_234_567,
        };
        let bytes = record.to_bytes();
        assert_eq!(Record::from_bytes(&bytes), Some(record));
        for bit in 0..LEN * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::from_bytes(&damaged), None, "bit {bit}");
        }
        assert_eq!(Record::from_bytes(&bytes[..31]), None);
    }
}

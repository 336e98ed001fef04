//! The names of older output: a file is renamed to `<name>.<end>` when it is full.
//!
//! `end` is the offset in the whole stream at which the file ends and the next one starts, in 20 digits, so that names in
//! order are output in order. It makes names and sizes say everything: a file starts at its end less its size, and
//! the one being written where the newest older one ends. Since a rename happens or does not, that holds whenever and
//! whoever is killed.

use core::ffi::CStr;

/// The most files of one stream, the one being written among them.
pub const MAX_FILES: usize = 100;

/// The longest name of a stream's file, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// `u64::MAX` has as many.
const DIGITS: usize = 20;

/// Room for the name of an older file and the NUL after it.
pub type Buffer = [u8; MAX_NAME_BYTES + 1 + DIGITS + 1];

/// An empty buffer.
pub const BUFFER: Buffer = [0; MAX_NAME_BYTES + 1 + DIGITS + 1];

/// Writes the name of an older file; `None` when that of the stream's file is too long.
pub fn name<'a>(of: &[u8], end: u64, buffer: &'a mut Buffer) -> Option<&'a CStr> {
    if of.len() > MAX_NAME_BYTES {
        return None;
    }
    *buffer = BUFFER;
    buffer[..of.len()].copy_from_slice(of);
    buffer[of.len()] = b'.';
    let mut left = end;
    for digit in buffer[of.len() + 1..][..DIGITS].iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    CStr::from_bytes_until_nul(buffer).ok()
}

/// Where an older file of the stream ends; `None` for any other file.
#[must_use]
pub fn end(of: &[u8], file: &[u8]) -> Option<u64> {
    let digits = file.strip_prefix(of)?.strip_prefix(b".")?;
    if digits.len() != DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_file_is_told_by_its_name_and_no_other_is() {
        let mut buffer = BUFFER;
        for offset in [0, 7, 10_485_760, u64::MAX] {
            let name = name(b"stdout", offset, &mut buffer).unwrap().to_bytes();
            assert_eq!(end(b"stdout", name), Some(offset));
            assert_eq!(end(b"stderr", name), None);
        }
        assert_eq!(
            name(b"stdout", 42, &mut buffer),
            Some(c"stdout.00000000000000000042")
        );
        for other in [
            "stdout",
            "stdout.1",
            "stdout.+0000000000000000042",
            "stdout.99999999999999999999",
        ] {
            assert_eq!(end(b"stdout", other.as_bytes()), None, "{other}");
        }
        assert_eq!(name(&[b'x'; MAX_NAME_BYTES + 1], 0, &mut buffer), None);
    }
}

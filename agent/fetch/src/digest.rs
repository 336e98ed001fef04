//! Sha256 of files, as 64 hex digits.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

/// Read at once: large enough that the system calls do not count.
const BUFFER_BYTES: usize = 128 << 10;

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Copies a file to its end, and tells its digest.
pub(crate) fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; BUFFER_BYTES]);
    loop {
        let n_read = from.read(&mut buffer)?;
        let Some(read) = buffer.get(..n_read).filter(|read| !read.is_empty()) else {
            return Ok(hex(&hash.finalize()));
        };
        hash.update(read);
        to.write_all(read)?;
    }
}

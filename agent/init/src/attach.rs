//! What attached clients say to pid 1: input for the payload, and the size of its terminal.
//!
//! A client connects to a unix socket of the container (`SOCK_SEQPACKET`), and each packet is a tag and what follows
//! it. There are no answers: output is in the files, and the end of the connection is the end of the container.

/// Followed by input, at most [`MAX_INPUT_BYTES`].
pub const INPUT: u8 = b'I';
/// The end of the input. A terminal has none: there it is a character.
pub const END: u8 = b'E';
/// Followed by rows and columns, two bytes each, little-endian.
pub const RESIZE: u8 = b'W';

/// What a terminal takes in one line.
pub const MAX_INPUT_BYTES: usize = 4096;

/// The most clients at once: people who look at one task. One too many is disconnected.
pub const MAX_CLIENTS: usize = 8;

/// A packet for a terminal of that size.
#[must_use]
pub fn resize(rows: u16, columns: u16) -> [u8; 5] {
    let ([a, b], [c, d]) = (rows.to_le_bytes(), columns.to_le_bytes());
    [RESIZE, a, b, c, d]
}

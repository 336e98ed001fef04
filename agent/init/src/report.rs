//! The reports init writes while it starts a container: the pid of pid 1, then perhaps one failure, then the end.
//!
//! A pid is `P` and four bytes. A failure is `E`, the opcode, four bytes of errno, two bytes of length, and what the
//! step was done to. They come from two processes, in either order.

use alloc::string::String;

use crate::program::Op;

/// The first byte of a pid's report.
pub const PID: u8 = b'P';
/// The first byte of a failure's report.
pub const FAILURE: u8 = b'E';
/// Of a longer subject only the first bytes are reported, so that a failure is one write the pipe does not split.
pub const MAX_SUBJECT_BYTES: usize = 504;

/// Everything init said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The host's pid of pid 1.
    pub pid: Option<u32>,
    pub failure: Option<Failure>,
}

/// The step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `None` when the program itself was damaged.
    pub op: Option<Op>,
    pub errno: i32,
    /// The path or program it failed on; may be empty.
    pub subject: String,
}

impl Report {
    /// Reads what init wrote, whole or cut off.
    #[must_use]
    pub fn parse(mut bytes: &[u8]) -> Self {
        let mut report = Self::default();
        while let Some((tag, rest)) = bytes.split_first() {
            match (*tag, rest) {
                (PID, [a, b, c, d, rest @ ..]) => {
                    report.pid = Some(u32::from_le_bytes([*a, *b, *c, *d]));
                    bytes = rest;
                }
                (FAILURE, [op, a, b, c, d, low, high, rest @ ..]) => {
                    let len = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
                    let (subject, rest) = rest.split_at(len);
                    report.failure = Some(Failure {
                        op: Op::from_code(*op),
                        errno: i32::from_le_bytes([*a, *b, *c, *d]),
                        subject: String::from_utf8_lossy(subject).into_owned(),
                    });
                    bytes = rest;
                }
                _ => break,
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_read_with_its_subject_even_if_it_overtakes_the_pid() {
        let mut bytes = *b"E?\x02\0\0\0\x06\0nosuchP\x2a\0\0\0";
        bytes[1] = Op::Execute as u8;
        let report = Report::parse(&bytes);
        assert_eq!(report.pid, Some(42));
        let failure = report.failure.unwrap();
        assert_eq!(
            (failure.op, failure.errno, failure.subject.as_str()),
            (Some(Op::Execute), 2, "nosuch")
        );
    }

    #[test]
    fn a_report_that_was_cut_off_says_what_it_can() {
        assert_eq!(Report::parse(b"P\x2a\0"), Report::default());
        assert_eq!(Report::parse(b""), Report::default());
    }
}

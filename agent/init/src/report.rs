//! The reports init writes while it starts a container: that the command is about to be executed, perhaps one failure, then
//! the end. The end alone says nothing: who is killed closes the pipe too.
//!
//! A failure is `E`, the opcode, four bytes of errno, two bytes of length, and what the step was done to. They come from two
//! processes.

use alloc::string::String;

use crate::program::Op;

/// All of the report that every step but the last has succeeded.
pub const EXECUTES: u8 = b'X';
/// The first byte of a failure's report.
pub const FAILURE: u8 = b'E';
/// Of a longer subject only the first bytes are reported, so that a failure is one write the pipe does not split.
pub const MAX_SUBJECT_BYTES: usize = 504;

/// Everything init said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether the command was about to be executed; it has been, where there is no failure.
    pub executes: bool,
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
                (EXECUTES, rest) => {
                    report.executes = true;
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
    fn a_failure_is_read_with_its_subject() {
        let mut bytes = *b"XE?\x02\0\0\0\x06\0nosuch";
        bytes[2] = Op::Execute as u8;
        let report = Report::parse(&bytes);
        assert!(report.executes);
        let failure = report.failure.unwrap();
        assert_eq!(
            (failure.op, failure.errno, failure.subject.as_str()),
            (Some(Op::Execute), 2, "nosuch")
        );
    }

    #[test]
    fn a_report_that_was_cut_off_says_what_it_can() {
        assert_eq!(Report::parse(b"E\x2a\0"), Report::default());
        assert_eq!(Report::parse(b""), Report::default());
    }
}

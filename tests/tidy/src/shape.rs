//! The shape of a file: it says first what it owns, and it stays short enough to be read.

use crate::tree::{SourceFile, rust_files};

/// Above this a file holds more than one concern; in every control plane we know one file swallowed the domain.
const MAX_LINES: usize = 600;

fn misshapen(files: &[SourceFile]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        if !file.text.starts_with("//! ") {
            complaints.push(format!("{}: does not start with a `//!` header", file.path));
        }
        let n_lines = file.text.lines().count();
        if n_lines > MAX_LINES {
            complaints.push(format!("{}: {n_lines} lines, at most {MAX_LINES}", file.path));
        }
    }
    complaints
}

#[test]
fn every_file_says_what_it_owns_and_is_short() {
    crate::assert_tidy(&misshapen(&rust_files()));
}

#[test]
fn a_file_without_header_and_a_long_file_are_reported() {
    let bare = SourceFile::synthetic("a.rs", "use std::fmt;\n");
    let long = SourceFile::synthetic("b.rs", &"//! x\n".repeat(MAX_LINES + 1));
    assert_eq!(misshapen(&[bare, long]).len(), 2);
}

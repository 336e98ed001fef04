//! No file names a path of the machine it was written on.

use crate::tree::{SourceFile, files};

/// Written in halves so that this file passes its own rule.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("../sha", "red"),
];

fn leaks(files: &[SourceFile]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            for path in MACHINE_PATHS.iter().filter(|path| line.contains(**path)) {
                complaints.push(format!("{}:{}: names `{path}`", file.path, index + 1));
            }
        }
    }
    complaints
}

#[test]
fn no_file_names_a_path_of_the_machine_it_was_written_on() {
    crate::assert_tidy(&leaks(&files()));
}

#[test]
fn a_machine_path_is_reported_and_a_framework_is_not() {
    let text = concat!("cd /wo", "rk/main\n", "frame", "work/session/\n");
    assert_eq!(leaks(&[SourceFile::synthetic("Makefile", text)]).len(), 1);
}

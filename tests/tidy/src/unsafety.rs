//! `unsafe` has two homes: the crate that carries out launch plans, and the program that is pid 1.

use crate::tree::{SourceFile, rust_files};

const HOMES: &[&str] = &["agent/linux/", "agent/init/"];

fn strays(files: &[SourceFile]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files
        .iter()
        .filter(|file| !HOMES.iter().any(|home| file.path.starts_with(home)))
    {
        for (index, line) in file.text.lines().enumerate() {
            if holds_word(code(line), concat!("un", "safe")) {
                complaints.push(format!(
                    "{}:{}: the keyword outside {HOMES:?}",
                    file.path,
                    index + 1
                ));
            }
        }
    }
    complaints
}

/// A line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

fn holds_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|part| part == word)
}

#[test]
fn unsafe_code_stays_in_its_homes() {
    crate::assert_tidy(&strays(&rust_files()));
}

#[test]
fn a_stray_is_reported_and_a_lint_name_or_comment_is_not() {
    let block = concat!("let x = un", "safe { f() };\n");
    let comment = concat!("// un", "safe\n");
    let lint = "#![deny(unsafe_code)]\n";
    let at = |path| SourceFile::synthetic(path, &format!("{comment}{lint}{block}"));
    assert_eq!(
        strays(&[at("cli/src/main.rs"), at("agent/linux/src/lib.rs")]).len(),
        1
    );
}

//! Marks of unfinished or silenced work: none is kept.

use crate::tree::{SourceFile, rust_files};

/// Text that must not appear, and what to do instead. Written in halves so that this file passes its own rule.
const MARKERS: &[(&str, &str)] = &[
    (
        concat!("#[", "ignore"),
        "a test that cannot run prints `skipped: why`",
    ),
    (concat!("to", "do!("), "finish it"),
    (concat!("unim", "plemented!("), "finish it"),
    (concat!("TO", "DO"), "finish it, or open an issue"),
    (concat!("FIX", "ME"), "fix it"),
    (concat!("XX", "X:"), "fix it"),
];

fn marks(files: &[SourceFile]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            for (marker, instead) in MARKERS.iter().filter(|(marker, _)| line.contains(marker)) {
                complaints.push(format!("{}:{}: `{marker}`: {instead}", file.path, index + 1));
            }
        }
        complaints.extend(silenced(file));
    }
    complaints
}

/// Lints switched off without saying why, in attributes that may span lines.
fn silenced(file: &SourceFile) -> Vec<String> {
    let mut complaints = Vec::new();
    for opening in [concat!("[al", "low("), concat!("[exp", "ect(")] {
        for (at, _) in file.text.match_indices(opening) {
            let rest = &file.text[at..];
            let attribute = &rest[..rest.find(")]").unwrap_or(rest.len())];
            if !attribute.contains("reason") {
                let line = file.text[..at].lines().count().max(1);
                complaints.push(format!("{}:{line}: {opening}..)] without a reason", file.path));
            }
        }
    }
    complaints
}

#[test]
fn nothing_is_left_unfinished_or_silenced_without_a_reason() {
    crate::assert_tidy(&marks(&rust_files()));
}

#[test]
fn each_marker_and_a_bare_allow_are_reported() {
    let text: String = MARKERS.iter().map(|(marker, _)| format!("{marker}\n")).collect();
    assert_eq!(
        marks(&[SourceFile::synthetic("a.rs", &text)]).len(),
        MARKERS.len()
    );
    let bare = concat!("#[al", "low(dead_code)]\n");
    let reasoned = concat!("#[al", "low(\n    dead_code,\n    reason = \"generated\"\n)]\n");
    let complaints = marks(&[SourceFile::synthetic("a.rs", &format!("{reasoned}{bare}"))]);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
}

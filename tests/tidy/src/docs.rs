//! What README.md and docs tell people to type exists: targets of `make`, subcommands of `proffer`.

use std::collections::BTreeSet;

use crate::tree::{SourceFile, files, read};

/// The targets a Makefile defines.
fn targets(makefile: &str) -> BTreeSet<&str> {
    let rules = makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', '#', ' ', '.']))
        .filter_map(|line| line.split_once(':'));
    rules
        .filter(|(_, rest)| !rest.starts_with('='))
        .flat_map(|(names, _)| names.split_whitespace())
        .collect()
}

/// The subcommands of the binary: each has a file of its own.
fn subcommands(files: &[SourceFile]) -> BTreeSet<&str> {
    let inner = files
        .iter()
        .filter_map(|file| file.path.strip_prefix("cli/src/commands/"));
    inner.filter_map(|name| name.strip_suffix(".rs")).collect()
}

/// What follows a program's name wherever a page tells people to run it: at the start of a code line or in backticks.
fn told<'a>(page: &'a str, program: &str) -> Vec<&'a str> {
    let (quoted, plain) = (format!("`{program} "), format!("{program} "));
    let inline = page
        .match_indices(&quoted)
        .map(|(at, found)| &page[at + found.len()..]);
    let mut in_code = false;
    let lines = page.lines().filter_map(|line| {
        let line = line.trim_start();
        in_code ^= line.starts_with("```");
        line.trim_start_matches("$ ")
            .strip_prefix(plain.as_str())
            .filter(|_| in_code)
    });
    inline
        .chain(lines)
        .map(first_word)
        .filter(|word| !word.is_empty())
        .collect()
}

/// The first word; nothing when that is a flag or a placeholder.
fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    let word = &text[..end.unwrap_or(text.len())];
    if word.starts_with('-') || word.chars().all(|c| c.is_ascii_uppercase()) {
        ""
    } else {
        word
    }
}

fn dead_ends(pages: &[SourceFile], program: &str, known: &BTreeSet<&str>) -> Vec<String> {
    let mut complaints = Vec::new();
    for page in pages {
        for word in told(&page.text, program) {
            if !known.contains(word) {
                complaints.push(format!(
                    "{}: `{program} {word}`: there is no such thing",
                    page.path
                ));
            }
        }
    }
    complaints
}

fn pages() -> Vec<SourceFile> {
    let mut pages = files();
    pages.retain(|file| file.path.ends_with(".md"));
    pages
}

#[test]
fn every_make_target_the_docs_name_exists() {
    crate::assert_tidy(&dead_ends(&pages(), "make", &targets(&read("Makefile"))));
}

#[test]
fn every_subcommand_the_docs_name_exists() {
    crate::assert_tidy(&dead_ends(&pages(), "proffer", &subcommands(&files())));
}

#[test]
fn a_target_that_is_gone_is_reported() {
    let makefile = "X := 1\nall demo: dep\n\tmake hidden: no\n.PHONY: phony\n";
    let text =
        "Run `make demo`.\n```\n$ make bench BENCH=x\nmake all\n```\nwe make do\n`make -j2`, `make TARGET`\n";
    let page = SourceFile::synthetic("README.md", text);
    assert_eq!(
        dead_ends(&[page], "make", &targets(makefile)),
        ["README.md: `make bench`: there is no such thing"]
    );
}

#[test]
fn a_subcommand_without_a_file_is_reported() {
    let files = [SourceFile::synthetic("cli/src/commands/ps.rs", "")];
    let page = SourceFile::synthetic("README.md", "`proffer ps` and `proffer top`");
    assert_eq!(
        dead_ends(&[page], "proffer", &subcommands(&files)),
        ["README.md: `proffer top`: there is no such thing"]
    );
}

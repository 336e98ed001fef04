//! What README.md and docs tell people to type exists.

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

/// What follows `make` wherever a page tells people to run it: at the start of a code line or in backticks.
fn told(page: &str) -> Vec<&str> {
    let starts = page.match_indices("`make ").map(|(at, found)| at + found.len());
    let mut at_line = Vec::new();
    let mut in_code = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if in_code {
            at_line.extend(line.trim_start().trim_start_matches("$ ").strip_prefix("make "));
        }
    }
    starts
        .map(|at| first_word(&page[at..]))
        .chain(at_line.into_iter().map(first_word))
        .filter(|word| !word.is_empty())
        .collect()
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
        .next()
        .unwrap_or("")
}

fn dead_ends(pages: &[SourceFile], makefile: &str) -> Vec<String> {
    let targets = targets(makefile);
    let mut complaints = Vec::new();
    for page in pages {
        for target in told(&page.text)
            .into_iter()
            .filter(|target| !targets.contains(target))
        {
            complaints.push(format!(
                "{}: `make {target}`: the Makefile has no such target",
                page.path
            ));
        }
    }
    complaints
}

#[test]
fn every_make_target_the_docs_name_exists() {
    let pages: Vec<SourceFile> = files()
        .into_iter()
        .filter(|file| file.path.ends_with(".md"))
        .collect();
    crate::assert_tidy(&dead_ends(&pages, &read("Makefile")));
}

#[test]
fn a_target_that_is_gone_is_reported() {
    let makefile = "X := 1\nall demo: dep\n\tmake hidden: no\n.PHONY: phony\n";
    let page = SourceFile::synthetic(
        "README.md",
        "Run `make demo`.\n```\n$ make bench BENCH=x\nmake all\n```\nwe make do\n",
    );
    assert_eq!(
        dead_ends(&[page], makefile),
        ["README.md: `make bench`: the Makefile has no such target"]
    );
}

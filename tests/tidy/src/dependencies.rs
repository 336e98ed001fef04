//! Every crate taken from outside has its row in docs/dependencies.md, which says why this one.

use std::collections::BTreeSet;

use toml::Table;

use crate::tree::read;

/// The outside crates of `[workspace.dependencies]`.
fn outside_crates(manifest: &str) -> Vec<String> {
    let manifest: Table = manifest.parse().expect("the root manifest is TOML");
    let dependencies = manifest["workspace"]["dependencies"]
        .as_table()
        .expect("dependencies is a table");
    let outside = dependencies
        .iter()
        .filter(|(_, value)| value.get("path").is_none());
    outside.map(|(name, _)| name.clone()).collect()
}

/// The crates the page's table explains: the first cell of each row, separated by commas.
fn explained(page: &str) -> BTreeSet<&str> {
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.split('|').next());
    rows.flat_map(|cell| cell.split(','))
        .map(|name| name.trim().trim_matches('`'))
        .collect()
}

fn unexplained(manifest: &str, page: &str) -> Vec<String> {
    let explained = explained(page);
    let missing = outside_crates(manifest)
        .into_iter()
        .filter(|name| !explained.contains(name.as_str()));
    missing
        .map(|name| format!("docs/dependencies.md: no row for {name}"))
        .collect()
}

#[test]
fn every_outside_crate_has_a_row_that_says_why() {
    crate::assert_tidy(&unexplained(&read("Cargo.toml"), &read("docs/dependencies.md")));
}

#[test]
fn a_crate_without_a_row_is_reported() {
    let manifest = "[workspace.dependencies]\nours = { path = \"x\" }\nserde = \"1\"\nserde_json = \"1\"\n";
    assert_eq!(
        unexplained(manifest, "| `serde_json`, toml | they are there |"),
        ["docs/dependencies.md: no row for serde"]
    );
}

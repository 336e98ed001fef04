//! The files of the repository: what git tracks, and what it would track if it were added now.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One file that is text.
pub(crate) struct SourceFile {
    /// From the repository's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// A made-up file, for a rule's negative test.
    pub(crate) fn synthetic(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }
}

/// The repository's root: this package sits two folders below it.
pub(crate) fn root() -> PathBuf {
    // Asked when it runs: a target directory outlives the checkout it was built from.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    Path::new(&package).join("../..")
}

/// The text of a file that has to be there.
#[track_caller]
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every text file of the repository, ordered by path; binary files are left out.
pub(crate) fn files() -> Vec<SourceFile> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(listing.status.success(), "git ls-files failed");
    let listing = String::from_utf8(listing.stdout).expect("paths are UTF-8");
    let mut paths: Vec<&str> = listing.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    let read = |path: &str| {
        let text = std::fs::read_to_string(root().join(path)).ok()?;
        Some(SourceFile {
            path: path.to_owned(),
            text,
        })
    };
    paths.into_iter().filter_map(read).collect()
}

/// The Rust files among [`files`].
pub(crate) fn rust_files() -> Vec<SourceFile> {
    files()
        .into_iter()
        .filter(|file| file.path.ends_with(".rs"))
        .collect()
}

#[test]
fn the_listing_holds_this_very_file() {
    assert!(
        rust_files()
            .iter()
            .any(|file| file.path == "tests/tidy/src/tree.rs")
    );
}

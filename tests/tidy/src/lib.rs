//! The rules of docs/architecture.md as ordinary tests, one rule a file.
//!
//! A rule is a pure function from facts about the tree to a list of complaints; its test feeds it the real tree
//! and wants no complaint, and a second test feeds it a broken one and wants exactly that complaint.
#![cfg(test)]

mod dependencies;
mod docs;
mod imports;
mod machine_paths;
mod manifests;
mod markers;
mod metadata;
mod purity;
mod shape;
mod tree;
mod unsafety;

/// Fails with every complaint on a line of its own.
#[track_caller]
fn assert_tidy(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

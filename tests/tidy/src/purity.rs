//! Pure crates: no IO, clock, thread, async, or ambient randomness.
//!
//! Clippy checks calls (a pure crate carries the long clippy.toml); here their copies are compared, and what a pure
//! crate may depend on from outside is listed. The crates that reach the kernel stay in one place.

use std::collections::BTreeSet;

use crate::metadata::{Kind, Package, packages};
use crate::tree;

const PURE: &[&str] = &[
    "proffer-types",
    "proffer-wire",
    "proffer-allocator",
    "proffer-master-core",
    "proffer-agent-core",
    "proffer-container",
    "proffer-session",
    "proffer-batch-core",
    "proffer-service-core",
    "proffer-edge-core",
    "proffer-autoscaler-core",
    "proffer-store-api",
    "proffer-sim",
];

/// What pure crates may take from outside: none of these does IO, reads a clock or draws entropy by itself.
const PURE_MAY_USE: &[&str] = &[
    "thiserror",
    // A code over bytes in memory.
    "hmac",
    "sha2",
    "rand",
    "rand_chacha",
    "regex",
    "indexmap",
    "prost",
    "seccompiler",
    "serde",
    "serde_json",
    // Without its feature `std` it has neither a clock nor files; the time zones are compiled in.
    "jiff",
    "croner",
    "roaring",
    "base64",
];

/// What their build scripts may take from outside: what makes Rust of our protos, without a system's protoc.
const PURE_MAY_BUILD_WITH: &[&str] = &["prost-build", "protox"];

/// Outside crate, and the only packages that may name it.
const CONFINED: &[(&str, &[&str])] = &[
    ("nix", &["proffer-linux", "proffer-privileged-tests"]),
    ("cgroups-rs", &["proffer-linux"]),
    ("rocksdb", &["proffer-store"]),
    (
        "anyhow",
        &[
            "proffer",
            "proffer-bench",
            "proffer-cluster-tests",
            "proffer-privileged-tests",
        ],
    ),
];

fn impurities(packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages
        .iter()
        .filter(|package| PURE.contains(&package.name.as_str()))
    {
        for dep in package.dependencies.iter().filter(|dep| !dep.ours) {
            let (allowed, verb) = match dep.kind {
                Kind::Normal => (PURE_MAY_USE, "use"),
                Kind::Build => (PURE_MAY_BUILD_WITH, "build with"),
                Kind::Dev => continue,
            };
            if !allowed.contains(&dep.name.as_str()) {
                complaints.push(format!(
                    "{} is pure and must not {verb} `{}`",
                    package.name, dep.name
                ));
            }
        }
    }
    complaints
}

fn escapes(packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages {
        for dep in &package.dependencies {
            let confined = CONFINED.iter().find(|(name, _)| *name == dep.name);
            if confined.is_some_and(|(_, homes)| !homes.contains(&package.name.as_str())) {
                complaints.push(format!(
                    "{} must not use `{}`: it has one home",
                    package.name, dep.name
                ));
            }
        }
    }
    complaints
}

/// Folder and text of each pure crate's clippy.toml, where there is one.
fn uneven(copies: &[(String, Option<String>)]) -> Vec<String> {
    let Some(model) = copies.iter().find_map(|(_, text)| text.as_ref()) else {
        return vec!["no pure crate has a clippy.toml".to_owned()];
    };
    let odd = copies.iter().filter(|(_, text)| text.as_ref() != Some(model));
    odd.map(|(folder, _)| format!("{folder}/clippy.toml is missing or differs from the other pure crates'"))
        .collect()
}

#[test]
fn pure_crates_use_only_listed_outside_crates() {
    crate::assert_tidy(&impurities(&packages()));
}

#[test]
fn crates_that_reach_the_kernel_or_the_disk_have_one_home() {
    crate::assert_tidy(&escapes(&packages()));
}

#[test]
fn every_pure_crate_carries_the_same_clippy_toml() {
    let packages = packages();
    let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    assert!(
        PURE.iter().all(|name| names.contains(name)),
        "PURE names a package that is gone"
    );
    let copy = |package: &Package| {
        let path = tree::root().join(&package.folder).join("clippy.toml");
        (package.folder.clone(), std::fs::read_to_string(path).ok())
    };
    let pure = packages
        .iter()
        .filter(|package| PURE.contains(&package.name.as_str()));
    crate::assert_tidy(&uneven(&pure.map(copy).collect::<Vec<_>>()));
}

#[test]
fn an_impure_crate_is_reported() {
    let dep = |name: &str| crate::metadata::Dependency {
        name: name.to_owned(),
        kind: Kind::Normal,
        ours: false,
    };
    let core = Package {
        name: "proffer-session".to_owned(),
        folder: String::new(),
        dependencies: vec![dep("tokio"), dep("rand"), dep("nix")],
    };
    assert_eq!(impurities(std::slice::from_ref(&core)).len(), 2);
    let of_kind = |kind| crate::metadata::Dependency {
        kind,
        ..dep("reqwest")
    };
    let build = Package {
        dependencies: vec![of_kind(Kind::Build), of_kind(Kind::Dev)],
        ..core.clone()
    };
    assert_eq!(
        impurities(&[build]),
        ["proffer-session is pure and must not build with `reqwest`"]
    );
    assert_eq!(
        escapes(&[core]),
        ["proffer-session must not use `nix`: it has one home"]
    );
    let copies = [
        ("a".to_owned(), Some("x".to_owned())),
        ("b".to_owned(), Some("y".to_owned())),
        ("c".to_owned(), None),
    ];
    assert_eq!(uneven(&copies).len(), 2);
}

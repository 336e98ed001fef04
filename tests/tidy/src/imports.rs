//! Who may import whom: the arrows of docs/architecture.md, and nothing else.
//!
//! Tests may import what they like, so dev-dependencies are free; everything that is shipped is not.

use crate::metadata::{Dependency, Kind, Package, packages};

/// Package, and the packages of this workspace it may depend on.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("wire", &["types"]),
    ("grpc", &["wire"]),
    ("allocator", &["types"]),
    ("master-core", &["types", "allocator"]),
    (
        "master",
        &[
            "types",
            "wire",
            "grpc",
            "allocator",
            "master-core",
            "store-api",
            "store",
        ],
    ),
    ("container", &["types"]),
    ("agent-core", &["types", "container"]),
    ("linux", &["types", "container", "init"]),
    ("init", &[]),
    ("image", &["types"]),
    ("network", &["types", "linux"]),
    ("fetch", &["types"]),
    (
        "agent",
        &[
            "types",
            "wire",
            "grpc",
            "container",
            "agent-core",
            "linux",
            "image",
            "network",
            "fetch",
        ],
    ),
    ("session", &["types"]),
    ("sdk", &["types", "wire", "grpc", "session", "store-api", "store"]),
    ("batch-core", &["types", "wire", "session"]),
    ("batch", &["types", "wire", "grpc", "sdk", "batch-core"]),
    ("service-core", &["types", "wire", "session"]),
    ("service", &["types", "wire", "grpc", "sdk", "service-core"]),
    ("edge-core", &["types"]),
    ("edge", &["types", "wire", "grpc", "edge-core"]),
    ("autoscaler-core", &["types"]),
    ("autoscaler", &["types", "wire", "grpc", "autoscaler-core"]),
    ("store-api", &[]),
    ("store", &["wire", "store-api"]),
    (
        "sim",
        &[
            "types",
            "allocator",
            "master-core",
            "agent-core",
            "container",
            "session",
            "batch-core",
            "service-core",
            "store-api",
        ],
    ),
    (
        "fuzz",
        &[
            "types",
            "wire",
            "allocator",
            "master-core",
            "agent-core",
            "image",
            "init",
            "network",
            "service-core",
            "store",
        ],
    ),
    (
        "privileged-tests",
        &["types", "container", "linux", "init", "agent"],
    ),
    ("cluster-tests", &["types", "wire", "grpc", "sdk", "linux"]),
    (
        "bench",
        &[
            "types",
            "wire",
            "grpc",
            "allocator",
            "container",
            "linux",
            "network",
            "master-core",
            "session",
            "batch-core",
            "service-core",
            "sdk",
            "cluster-tests",
        ],
    ),
    ("tidy", &[]),
];

/// The binary sits on top of everything.
const TOP: &str = "proffer";

fn short(name: &str) -> &str {
    name.strip_prefix("proffer-").unwrap_or(name)
}

fn wrong_arrows(packages: &[Package]) -> Vec<String> {
    packages
        .iter()
        .filter(|package| package.name != TOP)
        .flat_map(wrong_arrows_of)
        .collect()
}

fn wrong_arrows_of(package: &Package) -> Vec<String> {
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == short(&package.name)) else {
        return vec![format!(
            "{}: no room for it in docs/architecture.md and MAY_IMPORT",
            package.name
        )];
    };
    let shipped = |dependency: &&Dependency| dependency.ours && dependency.kind != Kind::Dev;
    let wrong = package
        .dependencies
        .iter()
        .filter(shipped)
        .filter(|dep| !allowed.contains(&short(&dep.name)));
    wrong
        .map(|dep| {
            format!(
                "{} -> {}: this arrow is not allowed, only {allowed:?}",
                package.name, dep.name
            )
        })
        .collect()
}

#[test]
fn no_package_imports_against_the_plan() {
    crate::assert_tidy(&wrong_arrows(&packages()));
}

#[test]
fn an_arrow_from_a_core_to_its_shell_is_reported() {
    let dependency = |name: &str, kind| Dependency {
        name: name.to_owned(),
        kind,
        ours: true,
    };
    let core = Package {
        name: "proffer-master-core".to_owned(),
        folder: "master/core".to_owned(),
        dependencies: vec![
            dependency("proffer-types", Kind::Normal),
            dependency("proffer-master", Kind::Normal),
        ],
    };
    let complaints = wrong_arrows(&[core]);
    assert_eq!(complaints.len(), 1);
    assert!(
        complaints[0].starts_with("proffer-master-core -> proffer-master:"),
        "{complaints:?}"
    );
}

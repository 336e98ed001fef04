//! The workspace as `cargo metadata` sees it: packages and the dependencies they declare.

use std::process::Command;

use serde_json::Value;

use crate::tree::root;

/// When a dependency is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

/// One declared dependency.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Whether it is a package of this workspace.
    pub(crate) ours: bool,
}

/// One package of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its folder, from the repository's root.
    pub(crate) folder: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// Every package of the workspace.
pub(crate) fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let workspace = text(&metadata["workspace_root"]);
    let packages = metadata["packages"].as_array().expect("packages is a list");
    packages.iter().map(|value| package(value, workspace)).collect()
}

fn package(value: &Value, workspace: &str) -> Package {
    let manifest = text(&value["manifest_path"]);
    let folder = manifest
        .strip_prefix(workspace)
        .and_then(|path| path.strip_suffix("/Cargo.toml"))
        .expect("members lie inside the workspace");
    let dependencies = value["dependencies"].as_array().expect("dependencies is a list");
    Package {
        name: text(&value["name"]).to_owned(),
        folder: folder.trim_start_matches('/').to_owned(),
        dependencies: dependencies.iter().map(dependency).collect(),
    }
}

fn dependency(value: &Value) -> Dependency {
    Dependency {
        name: text(&value["name"]).to_owned(),
        kind: match value["kind"].as_str() {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some(_) => Kind::Dev,
        },
        ours: value["path"].is_string(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

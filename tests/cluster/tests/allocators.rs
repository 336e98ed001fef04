//! An allocator from outside the workspace: built into a master of its own, chosen by name, serving a real cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{Cluster, skipped, text};
use serde_json::Value;

fn root() -> PathBuf {
    // Asked when it runs: a target directory outlives the checkout it was built from.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    Path::new(&package).join("../..")
}

/// The crate, compiled by rustc alone against what cargo built of the workspace: cargo itself would take the crate's
/// dependencies for another workspace's, and build all of Proffer once more.
struct External {
    /// Libraries by crate name.
    libraries: BTreeMap<String, PathBuf>,
    /// Where native libraries are.
    native: Vec<String>,
    out: tempfile::TempDir,
}

impl External {
    fn new() -> Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let build = Command::new(cargo)
            .args(["build", "--offline", "-p", "proffer", "--message-format", "json"])
            .current_dir(root())
            .output()?;
        ensure!(build.status.success(), "{}", text(&build.stderr));
        let mut external = Self {
            libraries: BTreeMap::new(),
            native: Vec::new(),
            out: tempfile::tempdir()?,
        };
        for line in text(&build.stdout).lines() {
            external.learn(&serde_json::from_str(line)?);
        }
        Ok(external)
    }

    /// Takes note of what cargo built.
    fn learn(&mut self, message: &Value) {
        let texts = |value: &Value| -> Vec<String> {
            let items = value.as_array().into_iter().flatten();
            items.filter_map(|item| Some(item.as_str()?.to_owned())).collect()
        };
        if message["reason"] == "build-script-executed" {
            self.native.extend(texts(&message["linked_paths"]));
        }
        let files = texts(&message["filenames"]);
        let library = files.into_iter().find(|file| file.ends_with(".rlib"));
        if let (Some(name), Some(library)) = (message["target"]["name"].as_str(), library) {
            self.libraries.insert(name.replace('-', "_"), library.into());
        }
    }

    /// Compiles one file of the crate against these libraries.
    fn compile(&self, file: &str, out: &str, args: &[&str], libraries: &[&str]) -> Result<PathBuf> {
        let out = self.out.path().join(out);
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc
            .args(["--edition", "2024", "-C", "strip=debuginfo"])
            .args(args)
            .arg(root().join("tests/external-allocator").join(file))
            .arg("-o")
            .arg(&out);
        for name in libraries {
            let path = self
                .libraries
                .get(*name)
                .with_context(|| format!("no library {name}"))?;
            rustc.arg("--extern").arg(format!("{name}={}", path.display()));
            let dir = path.parent().context("a library without a directory")?;
            for dir in [dir.to_owned(), dir.join("deps")] {
                rustc.arg("-L").arg(format!("dependency={}", dir.display()));
            }
        }
        for path in &self.native {
            rustc.args(["-L", path]);
        }
        let output = rustc.output()?;
        ensure!(output.status.success(), "{file}: {}", text(&output.stderr));
        Ok(out)
    }
}

/// Has cargo find everything the crate's own manifest names, in the versions of the workspace.
fn check_manifest() -> Result<()> {
    let manifest = root().join("tests/external-allocator/Cargo.toml");
    fs::copy(root().join("Cargo.lock"), manifest.with_file_name("Cargo.lock"))?;
    let rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .arg("-vV")
        .output()?;
    let rustc = text(&rustc.stdout);
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: "));
    let metadata = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--offline", "--format-version", "1"])
        // What no build here needs was never fetched.
        .args([
            "--filter-platform",
            host.context("rustc does not say where it is")?,
        ])
        .arg("--manifest-path")
        .arg(&manifest)
        .output()?;
    ensure!(metadata.status.success(), "{}", text(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout)?;
    let members = metadata["workspace_members"].as_array().context("no members")?;
    ensure!(members.len() == 1, "it is a workspace of its own: {members:?}");
    Ok(())
}

#[test]
fn an_allocator_of_somebody_elses_conforms_and_places_a_real_task() -> Result<()> {
    check_manifest()?;
    let mut external = External::new()?;
    let library = ["--crate-type", "lib", "--crate-name", "mine"];
    let library = external.compile("src/lib.rs", "libmine.rlib", &library, &["proffer_allocator"])?;
    external.libraries.insert("mine".to_owned(), library);
    let suite = external.compile(
        "tests/conformance.rs",
        "suite",
        &["--test"],
        &["proffer_allocator", "mine"],
    )?;
    let suite = Command::new(suite).output()?;
    ensure!(
        suite.status.success(),
        "{}{}",
        text(&suite.stdout),
        text(&suite.stderr)
    );

    let mine = external.compile("src/main.rs", "mine", &[], &["proffer", "mine"])?;
    let unknown = Command::new(&mine)
        .args(["master", "--allocator", "yours", "--data-dir"])
        .arg(external.out.path().join("unknown"))
        .output()?;
    let stderr = text(&unknown.stderr);
    assert_eq!(unknown.status.code(), Some(2), "{stderr}");
    let names = "no allocator `yours`; there are drf, random, fifo, priority, mine";
    assert!(stderr.contains(names), "{stderr}");

    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start_with(&mine, &["--allocator", "mine"])?;
    let run = cluster.run(&["run", "--", "sh", "-c", "echo placed; exit 3"])?;
    let (code, printed) = (run.status.code(), text(&run.stdout));
    assert_eq!(
        (code, printed.as_str()),
        (Some(3), "placed\n"),
        "{}",
        text(&run.stderr)
    );
    let log = fs::read_to_string(cluster.data_dir().join("master.log"))?;
    ensure!(
        log.contains("allocator=\"mine\""),
        "another allocator serves:\n{log}"
    );
    Ok(())
}

#[test]
fn the_page_on_allocators_shows_what_is_built() -> Result<()> {
    let page = fs::read_to_string(root().join("docs/allocators.md"))?;
    for file in ["lib.rs", "main.rs"] {
        let source = fs::read_to_string(root().join("tests/external-allocator/src").join(file))?;
        let indent = |line: &str| {
            if line.is_empty() {
                "\n".to_owned()
            } else {
                format!("    {line}\n")
            }
        };
        let shown: String = source.lines().map(indent).collect();
        assert!(
            page.contains(&shown),
            "docs/allocators.md does not show tests/external-allocator/src/{file}"
        );
    }
    Ok(())
}

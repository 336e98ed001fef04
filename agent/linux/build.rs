//! Builds proffer-init, static and small, for this crate to embed.
//!
//! A nested `cargo build`, since only a call of its own can have flags and a profile of its own. What the outer build
//! exports does not reach it, and it takes its one dependency from the same lock file and cache.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Nothing to load at every launch and no relocations to write: pages stay shared between all containers. Nothing of a C
/// library either, not even its start; and as few pages as it takes.
const RUSTFLAGS: [&str; 12] = [
    "-C",
    "target-feature=+crt-static",
    "-C",
    "relocation-model=static",
    "-C",
    "link-arg=-nostartfiles",
    "-C",
    "link-arg=-nostdlib",
    "-C",
    "link-arg=-Wl,-z,noseparate-code",
    "-C",
    "link-arg=-Wl,-z,norelro",
];

/// Variables of the outer build that would change the inner one.
const LEAKING: [&str; 14] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_MAKEFLAGS",
    "MAKEFLAGS",
    "CARGO_INCREMENTAL",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
];

/// Small, and without the machinery to unwind.
const PROFILE: [(&str, &str); 6] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let init = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../init");
    for watched in ["src", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", init.join(watched).display());
    }
    let target_dir = PathBuf::from(env::var("OUT_DIR")?).join("init");
    let target = env::var("TARGET")?;
    // From the local cache if it is all there, as it is once the outer build has resolved.
    let built = build(&init, &target_dir, &target, true)? || build(&init, &target_dir, &target, false)?;
    if !built {
        return Err("proffer-init did not build (see above)".into());
    }
    let binary = target_dir.join(&target).join("release/proffer-init");
    println!("cargo::rustc-env=PROFFER_INIT={}", binary.display());
    Ok(())
}

fn build(init: &Path, target_dir: &Path, target: &str, offline: bool) -> Result<bool, Box<dyn Error>> {
    let mut cargo = Command::new(env::var("CARGO")?);
    for name in LEAKING {
        cargo.env_remove(name);
    }
    cargo
        .envs(PROFILE)
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\x1f"))
        .args([
            "build",
            "--release",
            "--quiet",
            "--locked",
            "--bin",
            "proffer-init",
            "--features",
            "bare",
        ])
        .args(["--target", target])
        .arg("--manifest-path")
        .arg(init.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target_dir);
    if offline {
        cargo.arg("--offline");
    }
    Ok(cargo.status()?.success())
}

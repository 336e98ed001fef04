//! Compiles the protos' messages with a pure-Rust compiler, so that no `protoc` is needed.

use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    let mut files: Vec<PathBuf> = fs::read_dir(root.join("proffer/v1"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    prost_build::Config::new()
        .btree_map(["."])
        .compile_fds(protox::compile(&files, [&root])?)?;
    println!("cargo:rerun-if-changed={}", root.join("proffer").display());
    Ok(())
}

//! Compiles the protos' messages with a pure-Rust compiler, so that no `protoc` is needed.

use std::fs;
use std::path::PathBuf;

/// From the package's folder, where cargo runs this.
const ROOT: &str = "..";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files: Vec<PathBuf> = fs::read_dir(format!("{ROOT}/proffer/v1"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    prost_build::Config::new()
        .btree_map(["."])
        .compile_fds(protox::compile(&files, [ROOT])?)?;
    println!("cargo:rerun-if-changed={ROOT}/proffer");
    Ok(())
}

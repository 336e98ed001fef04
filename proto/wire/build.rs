//! Compiles the protos with a pure-Rust compiler, so that no `protoc` is needed.

use std::path::PathBuf;
use std::{env, fs};

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    let mut files: Vec<PathBuf> = fs::read_dir(root.join("proffer/v1"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let descriptors = protox::compile(&files, [&root])?;
    fs::write(
        PathBuf::from(env::var("OUT_DIR")?).join("proffer.binpb"),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .btree_map(".")
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed={}", root.join("proffer").display());
    Ok(())
}

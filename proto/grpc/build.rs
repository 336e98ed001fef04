//! Compiles the services of the protos; their messages are those of `proffer-wire`.

use std::path::PathBuf;
use std::{env, fs};

use prost::Message as _;

/// From the package's folder, where cargo runs this.
const ROOT: &str = "..";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files: Vec<PathBuf> = fs::read_dir(format!("{ROOT}/proffer/v1"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let descriptors = protox::compile(&files, [ROOT])?;
    fs::write(
        PathBuf::from(env::var("OUT_DIR")?).join("proffer.binpb"),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .extern_path(".proffer.v1", "::proffer_wire::v1")
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed={ROOT}/proffer");
    Ok(())
}

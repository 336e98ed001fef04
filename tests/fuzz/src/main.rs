//! Writes the seeds of a target as files, to begin a search with: `proffer-fuzz TARGET DIRECTORY`.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use proffer_fuzz::TARGETS;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let known = |name: &str| TARGETS.iter().find(|target| target.name == name);
    let [name, directory] = arguments.as_slice() else {
        eprintln!("usage: proffer-fuzz TARGET DIRECTORY");
        return ExitCode::from(2);
    };
    let Some(target) = known(name) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("proffer-fuzz: no target `{name}`; there are {}", names.join(", "));
        return ExitCode::from(2);
    };
    match write(&(target.seeds)(), Path::new(directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proffer-fuzz: {directory}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(seeds: &[Vec<u8>], directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for (n, seed) in seeds.iter().enumerate() {
        fs::write(directory.join(format!("seed-{n}")), seed)?;
    }
    Ok(())
}

//! `proffer registry backup`.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use proffer_master::Backup;
use proffer_wire::v1;

use super::{Place, contents, now};
use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;

/// Save the registry to a file, as it is at one moment; the master goes on meanwhile
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// A file that is not there yet
    file: PathBuf,
    /// Not from the master, but from a data directory that no master uses, or from etcd://HOST:PORT[/PREFIX]
    #[arg(long, env = "PROFFER_FROM", value_name = "STORE")]
    from: Option<Place>,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn backup(args: BackupArgs) -> Result<u8> {
    let bytes = match &args.from {
        Some(place) => {
            let store = place.open().await?;
            let backup = Backup::take(&*store, now()).await;
            backup.with_context(|| place.to_string())?.to_bytes()
        }
        None => fetch(&args.master).await?,
    };
    // What came over the network is looked at like any other file.
    let backup = Backup::from_bytes(&bytes)?;
    save(&args.file, &bytes).with_context(|| args.file.display().to_string())?;
    eprintln!("saved {} to {}", contents(&backup), args.file.display());
    Ok(0)
}

async fn fetch(master: &MasterArgs) -> Result<Vec<u8>> {
    let cluster = Cluster::connect(master).await?;
    let answer = cluster
        .operator()
        .backup_registry(v1::BackupRegistryRequest {})
        .await;
    let mut pieces = answer.map_err(|status| refused(&status))?.into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.message().await.map_err(|status| refused(&status))? {
        bytes.extend(piece.data);
        if bytes.len() as u64 > super::MAX_FILE_BYTES {
            bail!("the master sends more than any registry is");
        }
    }
    Ok(bytes)
}

/// Whole and durable under its name, or not there.
fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().context("is not a file's name")?;
    let mut part = name.to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = directory.join(part);
    // Names and addresses of everything: nobody else's to read.
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)?;
    let saved = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        // Unlike rename(2) this replaces nothing.
        .and_then(|()| std::fs::hard_link(&part, path));
    // What is left of it is of no use.
    let _ = std::fs::remove_file(&part);
    match saved {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!("is there already"),
        saved => saved?,
    }
    File::open(directory)?.sync_all()?;
    Ok(())
}

//! `proffer registry`.

mod backup;
mod inspect;
mod restore;
mod transfer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use proffer_master::Backup;
use proffer_store::{AddressError, Etcd, EtcdAddress, Rocks, Store};
use proffer_types::Timestamp;

/// More than any registry: thousands of agents take a few MiB.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Save, restore or move what masters keep: agents, frameworks and roles
#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Move(transfer::MoveArgs),
    Inspect(inspect::InspectArgs),
}

pub(super) async fn registry(command: RegistryCommand) -> Result<u8> {
    match command {
        RegistryCommand::Backup(args) => backup::backup(args).await,
        RegistryCommand::Restore(args) => restore::restore(args).await,
        RegistryCommand::Move(args) => transfer::transfer(args).await,
        RegistryCommand::Inspect(args) => inspect::inspect(args).await,
    }
}

/// Where a registry is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The data directory of a single master.
    Directory(PathBuf),
    Etcd(EtcdAddress),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("etcd:") {
            let address = text.parse().map_err(|error: AddressError| error.to_string())?;
            return Ok(Self::Etcd(address));
        }
        match text.contains("://") {
            true => Err(format!("`{text}` is neither a directory nor etcd://HOST:PORT")),
            false => Ok(Self::Directory(text.into())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Etcd(address) => write!(f, "{address}"),
        }
    }
}

impl Place {
    /// Opens what is there, which must be something.
    async fn open(&self) -> Result<Arc<dyn Store>> {
        Ok(match self {
            Self::Directory(path) => Arc::new(Rocks::open_existing(path.clone()).await?),
            Self::Etcd(address) => Arc::new(Etcd::open(address.clone()).await?),
        })
    }

    /// Opens what is there, and makes a directory.
    async fn make(&self) -> Result<Arc<dyn Store>> {
        Ok(match self {
            Self::Directory(path) => Arc::new(Rocks::open(path.clone()).await?),
            Self::Etcd(_) => self.open().await?,
        })
    }
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::default().after(since_epoch.unwrap_or_default())
}

fn read_file(path: &Path) -> Result<Backup> {
    let n_bytes = std::fs::metadata(path)
        .with_context(|| path.display().to_string())?
        .len();
    anyhow::ensure!(
        n_bytes <= MAX_FILE_BYTES,
        "{} is too large for a backup",
        path.display()
    );
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Backup::from_bytes(&bytes).with_context(|| path.display().to_string())
}

/// What is in it, in a few words.
fn contents(backup: &Backup) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    format!(
        "{}, {}, {}",
        count(backup.n_agents, "agent"),
        count(backup.n_frameworks, "framework"),
        count(backup.n_roles, "role")
    )
}

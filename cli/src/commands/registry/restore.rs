//! `proffer registry restore`.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use clap::Args;
use humantime::format_rfc3339_seconds;
use proffer_master::BackupError;

use super::{Place, contents, read_file};

/// Put a registry from a file into a store; stop the masters on that store first
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// What `proffer registry backup` saved
    file: PathBuf,
    /// A master's data directory, made when there is none, or etcd://HOST:PORT[,HOST:PORT..][/PREFIX]
    store: Place,
    /// Drop what the store holds now
    #[arg(long, env = "PROFFER_REPLACE")]
    replace: bool,
}

pub(super) async fn restore(args: RestoreArgs) -> Result<u8> {
    let backup = read_file(&args.file)?;
    let store = args.store.make().await?;
    let done = backup.restore(&*store, args.replace).await;
    let where_to = match &done {
        Err(BackupError::NotEmpty { .. }) => format!("{} (--replace drops what it holds)", args.store),
        Err(_) | Ok(()) => args.store.to_string(),
    };
    done.context(where_to)?;
    let taken = format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(backup.taken.0));
    eprintln!("restored {} as of {taken} into {}", contents(&backup), args.store);
    Ok(0)
}

//! `proffer registry inspect`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use proffer_master::Backup;
use serde::Serialize;

use super::{Place, now, read_file};
use crate::output::{Answer, OutputArgs, show};

/// Check a backup or a store, and show what is in it
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// What `proffer registry backup` saved, a data directory that no master uses, or etcd://HOST:PORT[/PREFIX]
    registry: Place,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Serialize)]
struct Contents {
    /// When it was saved, or read.
    taken_ms: u64,
    /// Starts of masters so far.
    term: u64,
    agents: usize,
    frameworks: usize,
    roles: usize,
}

impl Answer for Contents {
    fn text(&self, _width: usize) -> String {
        format!(
            "agents\t{}\nframeworks\t{}\nroles\t{}\nterm\t{}\n",
            self.agents, self.frameworks, self.roles, self.term
        )
    }
}

pub(super) async fn inspect(args: InspectArgs) -> Result<u8> {
    show(args.output, async || {
        let backup = read(&args.registry).await?;
        Ok(Contents {
            taken_ms: backup.taken.0,
            term: backup.term,
            agents: backup.n_agents,
            frameworks: backup.n_frameworks,
            roles: backup.n_roles,
        })
    })
    .await
}

async fn read(place: &Place) -> Result<Backup> {
    match place {
        Place::Directory(path) if path.is_file() => read_file(&PathBuf::from(path)),
        Place::Directory(_) | Place::Etcd(_) => {
            let store = place.open().await?;
            Backup::take(&*store, now())
                .await
                .with_context(|| place.to_string())
        }
    }
}

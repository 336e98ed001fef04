//! The service files that a command is given.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::spec::{self, ServiceFile};

#[derive(Debug, Args)]
pub(super) struct FilesArgs {
    /// A service file in YAML; `-` is stdin
    #[arg(
        short = 'f',
        long = "file",
        env = "PROFFER_FILE",
        value_name = "FILE",
        required = true
    )]
    files: Vec<PathBuf>,
}

impl FilesArgs {
    /// Reads all of them, before anything is done with one.
    pub(super) fn read(&self) -> Result<Vec<v1::ServiceSpec>> {
        let read = |path: &PathBuf| Ok(spec::read::<ServiceFile>(path)?.into());
        self.files.iter().map(read).collect()
    }
}

//! Why an autoscaler does not start.

use std::io;
use std::path::PathBuf;

use proffer_autoscaler_core::ConfigError;
use thiserror::Error;

/// What is wrong with an autoscaler's settings, or with what is there.
#[derive(Debug, Error)]
pub enum AutoscalerError {
    #[error("no master is named")]
    NoMaster,
    #[error("`{0}` is not the address of a master, `host:port`")]
    MasterAddress(String),
    #[error("the shapes of agents")]
    Config(#[from] ConfigError),
    #[error("the provider {0} is not an executable file")]
    Provider(PathBuf),
    #[error("cannot use {path}")]
    Dir { path: PathBuf, source: io::Error },
    #[error("another autoscaler uses {0}")]
    InUse(PathBuf),
    #[error(
        "{path} is damaged; without it machines on their way are forgotten, and an agent too many may be added"
    )]
    Damaged {
        path: PathBuf,
        source: serde_json::Error,
    },
}

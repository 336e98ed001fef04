//! `proffer autoscaler`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use proffer_autoscaler::Settings;

use crate::daemon::until_signal;
use crate::failure::WrongUse;
use crate::spec::{AutoscalerFile, Source, parse};

/// Run the autoscaler of agents: adds agents for what waits for room, and removes those that run nothing
#[derive(Debug, Args)]
pub(crate) struct AutoscalerArgs {
    /// Addresses of the masters, `host:port`, separated by commas
    #[arg(
        long,
        env = "PROFFER_MASTER",
        default_value = "127.0.0.1:5050",
        value_delimiter = ',',
        value_name = "ADDRESS"
    )]
    master: Vec<String>,
    /// The executable that is called as `PROVIDER add SHAPE` and `PROVIDER remove AGENT`
    #[arg(long, env = "PROFFER_PROVIDER", value_name = "FILE")]
    provider: PathBuf,
    /// A YAML file with the shapes of agents that can be added
    #[arg(long, env = "PROFFER_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// What has to outlive a restart, and what the provider prints; one autoscaler a directory, and one a cluster
    #[arg(long, env = "PROFFER_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
}

pub(super) async fn autoscaler(args: AutoscalerArgs) -> Result<u8> {
    let source = Source::read(&args.config)?;
    let file: AutoscalerFile = parse(&source.file, &source.text)?;
    let config = file.config();
    let wrong = |error| WrongUse(format!("{}: {error}", source.file));
    config.check().map_err(wrong)?;
    let settings = Settings {
        masters: args.master,
        provider: args.provider,
        provider_timeout: file.provider_timeout(),
        data_dir: args.data_dir,
        poll: file.poll(),
        config,
    };
    until_signal(|shutdown| proffer_autoscaler::run(settings, shutdown)).await
}

//! `proffer agent`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use proffer_types::{Attribute, Resources};

use crate::daemon::until_signal;
use crate::failure::WrongUse;

/// Run an agent: offers this machine's resources and runs tasks in containers
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// Addresses of the masters, `host:port`, separated by commas
    #[arg(
        long,
        env = "PROFFER_MASTER",
        default_value = "127.0.0.1:5050",
        value_delimiter = ',',
        value_name = "ADDRESS"
    )]
    master: Vec<String>,
    /// Checkpoints, sandboxes and the agent's identity; one agent a directory
    #[arg(
        long,
        env = "PROFFER_DATA_DIR",
        required_unless_present = "config",
        value_name = "DIR"
    )]
    data_dir: Option<PathBuf>,
    /// Where the agent's API listens: logs, metrics; port 0 takes a free one
    #[arg(
        long,
        env = "PROFFER_LISTEN",
        default_value = "127.0.0.1:5051",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// The address others reach the API under; absent means where it listens
    #[arg(long, env = "PROFFER_ADVERTISE", value_name = "ADDRESS")]
    advertise: Option<String>,
    /// What to offer, such as `cpus:8;mem:16GiB;disk:100GiB;ports:[31000-32000]`; what is not named is detected
    #[arg(
        long,
        env = "PROFFER_RESOURCES",
        default_value = "",
        hide_default_value = true,
        value_name = "RESOURCES"
    )]
    resources: Resources,
    /// Facts that schedulers may ask for, such as `rack:r1;disk:ssd`
    #[arg(long, env = "PROFFER_ATTRIBUTES", value_delimiter = ';', value_parser = attribute, value_name = "ATTRIBUTES")]
    attributes: Vec<Attribute>,
    /// The name of this machine; absent means its own
    #[arg(long, env = "PROFFER_HOSTNAME", value_name = "NAME")]
    hostname: Option<String>,
    /// End all tasks when the agent is asked to stop; without it they go on, and the next agent takes them back
    #[arg(long, env = "PROFFER_KILL_TASKS_ON_STOP")]
    kill_tasks_on_stop: bool,
    /// Listen off loopback although nobody has to prove who they are
    #[arg(long, env = "PROFFER_INSECURE_LISTEN")]
    insecure_listen: bool,
    /// A TOML file with these flags under the same names; a flag or environment variable goes before it
    #[arg(long, env = "PROFFER_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

fn attribute(text: &str) -> Result<Attribute, String> {
    match text.trim().split_once(':') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok(Attribute {
            name: name.to_owned(),
            value: value.to_owned(),
        }),
        Some(_) | None => Err(format!("`{text}` is not `name:value`")),
    }
}

impl AgentArgs {
    /// The daemon's own form of these flags.
    pub(crate) fn config(self) -> Result<proffer_agent::Config> {
        let data_dir = self
            .data_dir
            .ok_or_else(|| WrongUse("--data-dir is missing".to_owned()))?;
        Ok(proffer_agent::Config {
            advertise: self.advertise,
            resources: self.resources,
            attributes: self.attributes,
            hostname: self.hostname,
            insecure_listen: self.insecure_listen,
            kill_tasks_on_stop: self.kill_tasks_on_stop,
            ..proffer_agent::Config::new(self.master, self.listen, data_dir)
        })
    }
}

pub(super) async fn agent(args: AgentArgs) -> Result<u8> {
    let config = args.config()?;
    until_signal(|shutdown| proffer_agent::run(config, shutdown)).await
}

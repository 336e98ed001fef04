//! `proffer agent`.

mod images;
mod network;
mod security;
mod upkeep;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use proffer_agent::{CountedDevices, DiskQuota, FilePolicy, Pool, ProjectIds, ReconfigurationPolicy};
use proffer_types::{Attribute, FaultDomain, Resources};

use self::images::ImageArgs;
use self::network::NetworkArgs;
use self::security::SecurityArgs;
pub(super) use self::upkeep::{AgentCommand, upkeep};
use crate::daemon::until_signal;
use crate::failure::WrongUse;
use crate::spec::{Bytes, Span};

/// Run an agent, which offers this machine's resources and runs tasks in containers; or take agents out of use
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct AgentArgs {
    #[command(subcommand)]
    pub(super) command: Option<AgentCommand>,
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
    /// What to offer, such as `cpus:8;mem:16GiB;disk:100GiB;net_mbps:1000;ports:[31000-32000]`; what is not named
    /// is detected. `mem(prod):4GiB` is reserved to role prod; a name that is given so is not detected.
    /// net_mbps is counted, not enforced
    #[arg(
        long,
        env = "PROFFER_RESOURCES",
        default_value = "",
        hide_default_value = true,
        value_name = "RESOURCES"
    )]
    resources: Resources,
    /// Cpus to offer beyond --resources, such as `cpus:2`, for tasks that take only the time nobody else wants
    #[arg(
        long,
        env = "PROFFER_REVOCABLE",
        default_value = "",
        hide_default_value = true,
        value_name = "RESOURCES"
    )]
    revocable: Resources,
    /// Devices to offer, each to one task at a time, such as `gpus=/dev/nvidia0,/dev/nvidia1`: as many `gpus` among the
    /// resources. Several lists are separated by semicolons
    #[arg(
        long,
        env = "PROFFER_AGENT_DEVICE",
        value_delimiter = ';',
        value_name = "NAME=PATHS"
    )]
    device: Vec<CountedDevices>,
    /// Where this machine is, `region/zone`: machines of one zone fail together now and then
    #[arg(long, env = "PROFFER_DOMAIN", value_parser = domain, value_name = "REGION/ZONE")]
    domain: Option<FaultDomain>,
    /// Facts that schedulers may ask for, such as `rack:r1;disk:ssd`
    #[arg(long, env = "PROFFER_ATTRIBUTES", value_delimiter = ';', value_parser = attribute, value_name = "ATTRIBUTES")]
    attributes: Vec<Attribute>,
    /// The name of this machine; absent means its own
    #[arg(long, env = "PROFFER_HOSTNAME", value_name = "NAME")]
    hostname: Option<String>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    images: ImageArgs,
    #[command(flatten)]
    security: SecurityArgs,
    /// How much of these facts may differ from the agent's last start while it has tasks: equal means nothing, additive
    /// that there may be more resources, more attributes, a domain where there was none and another address. What is
    /// detected may always differ
    #[arg(
        long,
        env = "PROFFER_RECONFIGURATION_POLICY",
        default_value = "additive",
        value_name = "equal|additive"
    )]
    reconfiguration_policy: ReconfigurationPolicy,
    /// End all tasks when the agent is asked to stop; without it they go on, and the next agent takes them back
    #[arg(long, env = "PROFFER_KILL_TASKS_ON_STOP")]
    kill_tasks_on_stop: bool,
    /// Listen off loopback although nobody has to prove who they are
    #[arg(long, env = "PROFFER_INSECURE_LISTEN")]
    insecure_listen: bool,
    #[command(flatten)]
    network: NetworkArgs,
    /// A TOML file with these flags under the same names; a flag or environment variable goes before it
    #[arg(long, env = "PROFFER_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// What tasks may have of this host's files, and for how long theirs are kept.
#[derive(Debug, Args)]
struct FileArgs {
    /// Files and directories of this host that tasks may mount, with all below them, separated by commas. Without it
    /// no volume of a host path is mounted
    #[arg(
        long,
        env = "PROFFER_ALLOW_HOST_PATH",
        value_delimiter = ',',
        value_name = "PATH"
    )]
    allow_host_path: Vec<PathBuf>,
    /// Files and directories of this host that tasks may fetch by file:// URIs, likewise
    #[arg(
        long,
        env = "PROFFER_ALLOW_FETCH_PATH",
        value_delimiter = ',',
        value_name = "PATH"
    )]
    allow_fetch_path: Vec<PathBuf>,
    /// A directory with a file for each secret that tasks may ask for by name; best in memory, such as systemd's
    /// $CREDENTIALS_DIRECTORY
    #[arg(long, env = "PROFFER_SECRETS", value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// A program that prints the secret whose name it is given, asked for those that --secrets does not have
    #[arg(long, env = "PROFFER_SECRET_RESOLVER", value_name = "PROGRAM")]
    secret_resolver: Option<PathBuf>,
    /// The most that files take which were fetched for one task and are kept for others
    #[arg(
        long,
        env = "PROFFER_FETCH_CACHE",
        default_value = "2GiB",
        value_name = "SIZE"
    )]
    fetch_cache: Bytes,
    /// The most that the files of a task may take which asks for no disk; without it nothing bounds them
    #[arg(long, env = "PROFFER_DEFAULT_DISK", value_name = "SIZE")]
    default_disk: Option<Bytes>,
    /// Who holds tasks to their disk: the file system of --data-dir by its project quotas, or the agent by measuring; auto
    /// takes the former where they can be had
    #[arg(
        long,
        env = "PROFFER_DISK_QUOTA",
        default_value = "auto",
        value_parser = disk_quota,
        value_name = "auto|project|measured"
    )]
    disk_quota: DiskQuota,
    /// Project ids for what tasks have on the disk. Nobody but agents should use them on the file system of --data-dir
    #[arg(
        long,
        env = "PROFFER_PROJECT_IDS",
        default_value = "1879048192-1880096767",
        value_parser = project_ids,
        value_name = "FIRST-LAST"
    )]
    project_ids: ProjectIds,
    /// How long the files of an ended task are kept on an empty disk; the fuller it is, the shorter
    #[arg(long, env = "PROFFER_GC_DELAY", default_value = "7d", value_name = "DURATION")]
    gc_delay: Span,
    /// The part of the disk, from 0 to 1, that files of ended tasks make way for
    #[arg(
        long,
        env = "PROFFER_GC_DISK_HEADROOM",
        default_value = "0.1",
        value_parser = part,
        value_name = "PART"
    )]
    gc_disk_headroom: f64,
}

impl FileArgs {
    fn policy(self) -> FilePolicy {
        FilePolicy {
            allowed_host_paths: self.allow_host_path,
            allowed_fetch_paths: self.allow_fetch_path,
            secrets: self.secrets,
            secret_resolver: self.secret_resolver,
            fetch_cache_bytes: self.fetch_cache.0,
            default_disk: self.default_disk.map(|bytes| bytes.0),
            disk_quota: self.disk_quota,
            project_ids: self.project_ids,
            gc_delay: self.gc_delay.0,
            gc_disk_headroom: self.gc_disk_headroom,
        }
    }
}

fn disk_quota(text: &str) -> Result<DiskQuota, String> {
    match text {
        "auto" => Ok(DiskQuota::Auto),
        "project" => Ok(DiskQuota::Project),
        "measured" => Ok(DiskQuota::Measured),
        _ => Err("it is none of auto, project and measured".to_owned()),
    }
}

fn project_ids(text: &str) -> Result<ProjectIds, String> {
    let ids = text.split_once('-').and_then(|(first, last)| {
        let id = |text: &str| text.trim().parse().ok();
        ProjectIds::new(id(first)?, id(last)?)
    });
    ids.ok_or_else(|| "it is not `first-last`, two numbers of which the first is above 0".to_owned())
}

fn part(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(part) if (0.0..=1.0).contains(&part) => Ok(part),
        Ok(_) | Err(_) => Err("it is not a number from 0 to 1".to_owned()),
    }
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

/// The longest region or zone, in bytes: that of an id.
const MAX_DOMAIN_BYTES: usize = 255;

fn domain(text: &str) -> Result<FaultDomain, String> {
    let good = |name: &&str| {
        let is_plain = name
            .chars()
            .all(|c| !c.is_control() && !c.is_whitespace() && c != '/');
        is_plain && (1..=MAX_DOMAIN_BYTES).contains(&name.len())
    };
    let (region, zone) = text.split_once('/').unwrap_or_default();
    match [region, zone].iter().all(good) {
        true => Ok(FaultDomain {
            region: region.to_owned(),
            zone: zone.to_owned(),
        }),
        false => Err("it is not `region/zone`, two names without blanks or slashes".to_owned()),
    }
}

impl AgentArgs {
    /// The daemon's own form of these flags.
    pub(crate) fn config(self) -> Result<proffer_agent::Config> {
        let data_dir = self
            .data_dir
            .ok_or_else(|| WrongUse("--data-dir is missing".to_owned()))?;
        let devices = Pool::new(self.device).map_err(|error| WrongUse(format!("--device: {error}")))?;
        Ok(proffer_agent::Config {
            advertise: self.advertise,
            resources: self.resources,
            revocable: self.revocable,
            devices,
            domain: self.domain,
            attributes: self.attributes,
            hostname: self.hostname,
            insecure_listen: self.insecure_listen,
            kill_tasks_on_stop: self.kill_tasks_on_stop,
            reconfiguration_policy: self.reconfiguration_policy,
            files: self.files.policy(),
            network: self.network.config(),
            images: self.images.config(),
            security: self.security.policy(),
            ..proffer_agent::Config::new(self.master, self.listen, data_dir)
        })
    }
}

/// What comes before the runtime, and its threads.
pub(super) fn prepare(args: AgentArgs) -> Result<proffer_agent::Config> {
    let mut config = args.config()?;
    proffer_agent::rootless::enter(&mut config)?;
    Ok(config)
}

pub(super) async fn agent(config: proffer_agent::Config) -> Result<u8> {
    until_signal(|shutdown| proffer_agent::run(config, shutdown)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_ids_are_a_range_without_the_id_of_no_project() {
        assert_eq!(
            project_ids("5000-10000"),
            Ok(ProjectIds::new(5000, 10000).unwrap())
        );
        assert_eq!(project_ids("1879048192-1880096767"), Ok(ProjectIds::default()));
        for bad in ["", "5", "0-5", "6-5", "5-", "-5", "5-4294967296", "a-b"] {
            assert!(project_ids(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_domain_is_a_region_and_a_zone() {
        let expected = FaultDomain {
            region: "eu".to_owned(),
            zone: "eu-1".to_owned(),
        };
        assert_eq!(domain("eu/eu-1"), Ok(expected));
        for bad in ["", "eu", "/", "eu/", "/a", "eu/a/b", "eu/a b", &"x/".repeat(200)] {
            assert!(domain(bad).is_err(), "{bad:?}");
        }
    }
}

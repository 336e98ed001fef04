//! The start and the end of an agent.
//!
//! Everything that can be refused is refused before anything is changed: addresses, the port, the directory,
//! the host.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proffer_agent_core::{Agent, Output, Recovered, TaskView};
use proffer_container::IdMap;
use proffer_grpc::leader::Masters;
use proffer_image::{ImageStore, LayerForm};
use proffer_linux::Containerizer;
use proffer_network::{Networks, Tag};
use proffer_types::agent_link::RegisteredOperation;
use proffer_types::{AgentInfo, Attribute, ResourceName, Resources};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::checkpoint::Checkpoints;
use crate::clock::Clock;
use crate::configs::Configs;
use crate::containers::{Containers, chain};
use crate::data_dir::DataDir;
use crate::disk::{Disk, Projects};
use crate::driver::{Driver, MAX_COMMANDS_QUEUED};
use crate::executors::Executors;
use crate::metrics::Metrics;
use crate::perform::Performer;
use crate::provision::{Provisioner, image};
use crate::reconfiguration::Facts;
use crate::shared::Shared;
use crate::{AgentError, Config, api, host, link, sandbox};

/// How long what is under way may take when the agent ends; then it is cut off.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs an agent until `shutdown`, or until it cannot go on. Must be called on a tokio runtime with IO and
/// time enabled.
pub async fn run(mut config: Config, shutdown: CancellationToken) -> Result<(), AgentError> {
    match proffer_linux::raise_descriptor_limit() {
        Ok(limit) => debug!(limit, "descriptors that this agent may have"),
        Err(error) => warn!(%error, "cannot raise the limit of descriptors"),
    }
    let masters = link::masters(&config.masters)?;
    let (listener, address) = listen(&config).await?;
    let data_dir = Arc::new(DataDir::open(&config.data_dir)?);
    let clock = Clock::start();
    let checkpoints = Checkpoints::new(Arc::clone(&data_dir), clock);
    let kept = checkpoints.recover_resources()?;
    let resources = host::resources(&config, &kept.changed, data_dir.root())?;
    let hostname = config.hostname.take().unwrap_or_else(host::name);
    let facts = check_facts(&checkpoints, &config, &hostname, &resources)?;
    let resources = proffer_agent_core::restore(&resources, &kept.changed)?;
    let containerizer = Containerizer::new(&proffer_linux::Config {
        cgroup_root: data_dir.cgroup_root(),
        cgroup_mount: config.cgroup_mount.clone(),
    })?;
    let rootless = containerizer.host_facts().rootless;
    let networks = networks(&data_dir, &config, rootless.is_some()).await?;
    let pool = std::mem::take(&mut config.devices);
    let ids = host::ids(config.security.id_map, rootless)?;
    config.security.id_map = Some(ids);
    let images = open_images(&data_dir, &config, rootless.map(|_| ids))?;
    let offered_ports = resources
        .ranges(&ResourceName::Ports)
        .cloned()
        .unwrap_or_default();
    let files = &config.files;
    let projects = Projects::open(&data_dir, files.disk_quota, files.project_ids)?;
    let disk = Disk::new(Arc::clone(&data_dir), files.default_disk, projects);
    let configs = Configs::new(masters.clone(), data_dir.configs());
    let provisioner = Provisioner::new(
        Arc::clone(&data_dir),
        disk.clone(),
        &config.files,
        &config.security,
        networks.clone(),
        images.clone(),
        configs.clone(),
        pool,
        offered_ports,
    )?;
    let info = AgentInfo {
        address: config
            .advertise
            .take()
            .unwrap_or_else(|| reachable(address, &hostname)),
        hostname,
        resources,
        attributes: attributes(std::mem::take(&mut config.attributes), &disk),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cgroups: containerizer.host_facts().cgroups().to_owned(),
        domain: config.domain.take(),
        can_suspend: containerizer.can_freeze(),
    };
    checkpoints.save_facts(&facts)?;
    info!(%address, data_dir = %data_dir.root().display(), resources = %info.resources, cgroups = info.cgroups, disk_quota = disk.held_by(), "agent listening");
    if let Some(listening) = config.listening.take() {
        // Nobody waiting is nobody's loss.
        let _ = listening.send(address);
    }
    let parts = Parts {
        listener,
        data_dir,
        clock,
        checkpoints,
        operations: kept.operations,
        containerizer,
        provisioner,
        networks,
        images,
        disk,
        configs,
        collection: sandbox::Collection {
            delay: config.files.gc_delay,
            disk_headroom: config.files.gc_disk_headroom,
        },
        masters,
        info,
    };
    parts.run(config.kill_tasks_on_stop, shutdown).await
}

/// An agent that may start.
struct Parts {
    listener: TcpListener,
    data_dir: Arc<DataDir>,
    clock: Clock,
    checkpoints: Checkpoints,
    operations: Vec<RegisteredOperation>,
    containerizer: Containerizer,
    provisioner: Provisioner,
    networks: Networks,
    images: ImageStore,
    disk: Disk,
    configs: Configs,
    collection: sandbox::Collection,
    masters: Masters,
    info: AgentInfo,
}

impl Parts {
    async fn run(self, kill_tasks_on_stop: bool, shutdown: CancellationToken) -> Result<(), AgentError> {
        let clock = self.clock;
        let checkpoints = self.checkpoints;
        let (agent, recovered) = recover(&checkpoints, clock, self.info, self.operations)?;
        let shared = Arc::new(Shared::new(&agent));
        let metrics = Arc::new(Metrics::new());
        metrics.found_damaged(self.data_dir.n_damaged());
        let (driver_tx, driver_rx) = mpsc::channel(MAX_COMMANDS_QUEUED);
        let executor_tx = driver_tx.clone();
        // Ends what goes on after the driver: the API answers while tasks are being killed.
        let end = CancellationToken::new();
        let _end_guard = end.clone().drop_guard();
        let disk = self.disk;
        let has_container =
            |task: &TaskView<'_>| !task.latest.state.is_terminal() && task.info.executor.is_none();
        for task in agent.tasks().filter(has_container) {
            if let Err(error) = disk.watch(task.container_id, task.key, task.group, task.info) {
                warn!(task = %task.key, error, "a task is not held to its disk");
            }
        }
        let containers = Containers::new(
            self.containerizer,
            self.provisioner,
            disk.clone(),
            Arc::clone(&self.data_dir),
            Arc::clone(&metrics),
            driver_tx.clone(),
            end.clone(),
        );
        let removal = containers.clone();
        tokio::task::spawn_blocking(move || removal.remove_volumes());
        let executors = agent.executors().map(|(_, container_id)| container_id);
        let known = agent.tasks().map(|task| task.container_id);
        let known: Vec<_> = known.chain(executors).collect();
        containers.destroy_orphans(&known).await;

        let state = api::State {
            shared: Arc::clone(&shared),
            metrics: Arc::clone(&metrics),
            data_dir: Arc::clone(&self.data_dir),
            images: self.images.clone(),
            info: agent.info().clone(),
            driver: driver_tx.clone(),
            end: end.clone(),
        };
        let mut served = tokio::spawn(api::serve(self.listener, state, containers.clone()));
        tokio::spawn(disk.run(driver_tx.clone(), end.clone()));
        tokio::spawn(link::run(self.masters, random_seed()?, driver_tx, end.clone()));
        let (configs, follower, ended) = (self.configs, containers.clone(), end.clone());
        tokio::spawn(async move { ended.run_until_cancelled(configs.follow(follower)).await });
        tokio::spawn(image::collect(self.images.clone(), end.clone()));
        tokio::spawn(sandbox::collect(
            self.collection,
            Arc::clone(&self.data_dir),
            Arc::clone(&shared),
            Arc::clone(&metrics),
            end.clone(),
        ));

        let executors = Executors::new(
            Arc::clone(&self.data_dir),
            containers.clone(),
            executor_tx,
            end.clone(),
        );
        let driver = Driver {
            agent,
            clock,
            performer: Performer::new(checkpoints, containers.clone(), executors),
            shared,
            metrics,
            kill_tasks_on_stop,
        };
        let result = tokio::select! {
            result = Box::pin(driver.run(recovered, driver_rx, shutdown)) => result,
            served = &mut served => served.unwrap_or_else(|error| {
                Err(AgentError::Api { source: std::io::Error::other(error) })
            }),
        };
        stop(&containers, &self.networks).await;
        end.cancel();
        if !served.is_finished() && tokio::time::timeout(STOP_TIMEOUT, &mut served).await.is_err() {
            warn!("cutting off what still uses the API");
            served.abort();
        }
        self.data_dir.release();
        result
    }
}

/// What the operator says of this agent, and by what tasks are held to their disk, unless the operator says that, too.
fn attributes(mut stated: Vec<Attribute>, disk: &Disk) -> Vec<Attribute> {
    const DISK_QUOTA: &str = "disk_quota";
    if !stated.iter().any(|attribute| attribute.name == DISK_QUOTA) {
        stated.push(Attribute {
            name: DISK_QUOTA.to_owned(),
            value: disk.held_by().to_owned(),
        });
    }
    stated
}

/// Holds what the agent is told now against what it was told before. Returns it, to be kept once the agent starts.
fn check_facts(
    checkpoints: &Checkpoints,
    config: &Config,
    hostname: &str,
    total: &Resources,
) -> Result<Facts, AgentError> {
    let facts = Facts {
        hostname: hostname.to_owned(),
        address: config
            .advertise
            .clone()
            .unwrap_or_else(|| config.listen.to_string()),
        domain: config.domain.clone(),
        attributes: config.attributes.clone(),
        stated: config.resources.plus(&config.devices.resources()),
        total: total.clone(),
    };
    let policy = config.reconfiguration_policy;
    if let Some(before) = checkpoints.recover_facts() {
        let differences = policy.differences(&before, &facts);
        if !differences.is_empty() {
            return Err(AgentError::Reconfigured { policy, differences });
        }
    }
    Ok(facts)
}

async fn networks(data_dir: &DataDir, config: &Config, is_rootless: bool) -> Result<Networks, AgentError> {
    let config = config.network.clone();
    let opened = Networks::open(proffer_network::Config {
        tag: Tag::new(data_dir.hash()),
        is_rootless,
        records: data_dir.networks(),
        bridge_subnet: config.bridge_subnet,
        set_ip_forward: config.set_ip_forward,
        cni_config_dir: config.cni_config_dir,
        cni_plugin_dirs: config.cni_plugin_dirs,
    });
    Ok(opened.await?)
}

/// `shifted`: the ids that files of images have, where mounts cannot map them.
fn open_images(
    data_dir: &DataDir,
    config: &Config,
    shifted: Option<IdMap>,
) -> Result<ImageStore, AgentError> {
    let form = match shifted {
        None => LayerForm::Root,
        Some(IdMap { first, count }) => LayerForm::Shifted { first, count },
    };
    let images = proffer_image::Config {
        form,
        ..config.images.clone()
    };
    Ok(ImageStore::open(&data_dir.images(), images)?)
}

async fn listen(config: &Config) -> Result<(TcpListener, SocketAddr), AgentError> {
    proffer_grpc::net::check_listen(config.listen, config.insecure_listen)?;
    if !config.listen.ip().is_loopback() {
        warn!(address = %config.listen, "listening without authentication: whoever reaches this address can read every task's output");
    }
    let refuse = |source| AgentError::Listen {
        address: config.listen,
        source,
    };
    let listener = TcpListener::bind(config.listen).await.map_err(refuse)?;
    let address = listener.local_addr().map_err(refuse)?;
    Ok((listener, address))
}

/// Where others reach a listening address.
fn reachable(address: SocketAddr, hostname: &str) -> String {
    if address.ip().is_unspecified() {
        format!("{hostname}:{}", address.port())
    } else {
        address.to_string()
    }
}

fn recover(
    checkpoints: &Checkpoints,
    clock: Clock,
    info: AgentInfo,
    operations: Vec<RegisteredOperation>,
) -> Result<(Agent, Output), AgentError> {
    let mut found = Recovered {
        operations,
        ..checkpoints.recover()?
    };
    found.before_reboot = checkpoints.before_reboot(&host::boot_id()?, &found)?;
    if !found.tasks.is_empty() {
        info!(n_tasks = found.tasks.len(), "taking tasks back");
    }
    let config = proffer_agent_core::Config { info };
    Ok(Agent::recover(clock.now(), config, random_seed()?, found))
}

/// The core's only randomness: ids of updates and containers must not repeat between starts.
fn random_seed() -> Result<u64, AgentError> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .map_err(|source| AgentError::Detect {
            what: "random numbers",
            source: source.into(),
        })?;
    Ok(u64::from_le_bytes(bytes))
}

/// Waits for removals under way; with nobody on it the agent's bridge goes too, and with nobody in it its cgroup.
async fn stop(containers: &Containers, networks: &Networks) {
    let settled = async {
        containers.settle().await;
        if let Err(error) = networks.remove_unused().await {
            warn!(error = chain(&error), "cannot remove the agent's bridge");
        }
        containers.remove_root().await;
    };
    if tokio::time::timeout(STOP_TIMEOUT, settled).await.is_err() {
        warn!("containers were not removed in time; the next start tries again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_advertised_by_host_name() {
        let advertised = |address: &str| reachable(address.parse().unwrap(), "node-1");
        assert_eq!(advertised("0.0.0.0:5051"), "node-1:5051");
        assert_eq!(advertised("127.0.0.1:5051"), "127.0.0.1:5051");
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_and_nothing_is_made() {
        let used = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("agent");
        let config = Config::new(
            vec!["127.0.0.1:1".to_owned()],
            used.local_addr().unwrap(),
            data_dir.clone(),
        );
        let error = run(config, CancellationToken::new()).await.unwrap_err();
        assert!(matches!(error, AgentError::Listen { .. }), "{error}");
        assert!(!data_dir.exists());
    }
}

//! Provisioning: what a container needs before it is launched, made in stages, and taken back when it is gone.
//!
//! Every stage has a file of its own. It leaves its traces under names made of the container's id (below
//! `containers/<id>`, in the directory of its group, in the kernel), so that taking back needs no memory: what an agent
//! that was killed left behind is found by the next one and released in the same way.

mod devices;
mod fetch;
mod groups;
pub(crate) mod image;
mod network;
pub(crate) mod owner;
mod sandbox;
mod secrets;
mod security;
mod volumes;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proffer_agent_core::{ContainerId, TaskKey};
use proffer_container::{ContainerConfig, Pool};
use proffer_fetch::Fetcher;
use proffer_image::ImageStore;
use proffer_network::Networks;
use proffer_types::{ExecutorId, GroupId, Ranges, TaskInfo};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::configs::Configs;
use crate::data_dir::{DataDir, remove};
use crate::disk::Disk;
use crate::secrets::Secrets;
use crate::{AgentError, FilePolicy, SecurityPolicy};
use devices::Devices;
pub(crate) use devices::OWN as OWN_DEVICE;
use groups::Groups;
use security::Security;

/// The most calls of stages at once, as of launches: more only wait for each other in the file system, each on a thread of
/// its own.
const MAX_BLOCKING_CALLS: usize = 8;

/// A container to be prepared.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) container_id: ContainerId,
    pub(crate) key: TaskKey,
    pub(crate) group: Option<GroupId>,
    pub(crate) info: TaskInfo,
    /// Whether the sandbox is the one of the task's last container, and stays as it is.
    pub(crate) keeps_sandbox: bool,
    /// Present for an executor: its key names its files, it has no task id, and its socket is there already.
    pub(crate) executor: Option<ExecutorId>,
}

/// What a launch is planned from.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) config: ContainerConfig,
    /// Where the container is reached; empty in its host's network.
    pub(crate) addresses: Vec<IpAddr>,
}

/// Takes what there is to say while a container is prepared; only the newest counts.
#[derive(Debug)]
pub(crate) struct Progress(watch::Sender<String>);

impl Progress {
    /// The two ends: one for the stages, and one for whoever reports.
    pub(crate) fn new() -> (Self, watch::Receiver<String>) {
        let (tx, rx) = watch::channel(String::new());
        (Self(tx), rx)
    }

    /// Says how far it is, such as `pulling image: 3 of 5 layers, 40 of 120 MiB`.
    pub(crate) fn say(&self, text: impl Into<String>) {
        self.0.send_replace(text.into());
    }
}

/// What a stage works with, beside the request.
#[derive(Debug, Clone)]
struct Stage {
    data_dir: Arc<DataDir>,
    disk: Disk,
    /// Work that goes on when [`Provisioner::prepare`] is dropped, and that a release waits for.
    work: TaskTracker,
    turns: Arc<Semaphore>,
}

impl Stage {
    /// The scratch of a container, made where it is not there.
    fn scratch(&self, container_id: ContainerId) -> Result<PathBuf, String> {
        let made = self.data_dir.make_container(container_id);
        made.map_err(|error| {
            let dir = self.data_dir.container(container_id);
            format!("cannot create the directory `{}`: {error}", dir.display())
        })
    }

    /// Does what blocks on a thread of its own; it is finished even if nobody waits for it any more.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&DataDir) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let data_dir = Arc::clone(&self.data_dir);
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let done = self.work.spawn_blocking(move || {
            let _turn = turn;
            call(&data_dir)
        });
        let done = done.await;
        done.unwrap_or_else(|error| Err(format!("preparing the container did not finish: {error}")))
    }
}

/// Prepares and releases the containers of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Provisioner {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    data_dir: Arc<DataDir>,
    disk: Disk,
    groups: Groups,
    devices: Devices,
    /// What no task sees of this host.
    hidden: Vec<PathBuf>,
    allowed_host_paths: Vec<PathBuf>,
    security: Security,
    secrets: Secrets,
    configs: Configs,
    fetcher: Fetcher,
    fetches: Semaphore,
    networks: Networks,
    images: ImageStore,
    offered_ports: Ranges,
    /// Tells that a container was released.
    freed: Notify,
    work: Mutex<BTreeMap<ContainerId, TaskTracker>>,
    turns: Arc<Semaphore>,
}

impl Provisioner {
    #[expect(clippy::too_many_arguments, reason = "each is a part of the agent of its own")]
    pub(crate) fn new(
        data_dir: Arc<DataDir>,
        disk: Disk,
        policy: &FilePolicy,
        security: &SecurityPolicy,
        networks: Networks,
        images: ImageStore,
        configs: Configs,
        pool: Pool,
        offered_ports: Ranges,
    ) -> Result<Self, AgentError> {
        let fetcher = Fetcher::open(proffer_fetch::Config {
            cache_dir: data_dir.fetched(),
            cache_bytes: policy.fetch_cache_bytes,
            allowed_paths: policy.allowed_fetch_paths.clone(),
            limits: proffer_fetch::Limits::DEFAULT,
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                groups: Groups::new(Arc::clone(&data_dir), disk.clone()),
                images,
                devices: Devices::new(pool, Arc::clone(&data_dir)),
                hidden: hidden(&data_dir, policy),
                disk,
                data_dir,
                allowed_host_paths: policy.allowed_host_paths.clone(),
                security: Security::new(security)?,
                secrets: Secrets::new(policy.secrets.clone(), policy.secret_resolver.clone()),
                configs,
                fetcher,
                fetches: Semaphore::new(fetch::MAX_FETCHES),
                networks,
                offered_ports,
                freed: Notify::new(),
                work: Mutex::default(),
                turns: Arc::new(Semaphore::new(MAX_BLOCKING_CALLS)),
            }),
        })
    }

    /// Makes a container a member of its group, if it has one. Quick; to be called for all members of a group before
    /// the first of them can end, since the group ends with its last one.
    pub(crate) fn enter(&self, container_id: ContainerId, group: Option<&GroupId>) -> Result<(), String> {
        match group {
            Some(group) => self.inner.groups.join(container_id, group),
            None => Ok(()),
        }
    }

    /// Prepares a container that has been entered, stage by stage. When it fails, or is dropped before it is done, a
    /// release must follow.
    pub(crate) async fn prepare(&self, request: &Request, progress: &Progress) -> Result<Prepared, String> {
        let stage = self.stage(request.container_id);
        progress.say("making the sandbox");
        let mut prepared = sandbox::prepare(&stage, &self.inner.hidden, request).await?;
        self.inner.security.prepare(&mut prepared.config)?;
        image::prepare(&stage, &self.inner.images, request, &mut prepared, progress).await?;
        sandbox::give(&stage, request, &prepared).await?;
        let inner = &self.inner;
        let (allowed, secrets) = (&inner.allowed_host_paths, &inner.secrets);
        volumes::prepare(
            &stage,
            allowed,
            secrets,
            &inner.images,
            request,
            &mut prepared,
            progress,
        )
        .await?;
        secrets::prepare(secrets, request, &mut prepared).await?;
        let (container_id, task_id) = (request.container_id, &request.info.id);
        inner
            .configs
            .prepare(container_id, task_id, &mut prepared, progress)
            .await?;
        let (fetcher, fetches) = (&inner.fetcher, &inner.fetches);
        inner.devices.prepare(&stage, request, &mut prepared).await?;
        fetch::prepare(&stage, fetcher, fetches, request, &prepared, progress).await?;
        let (networks, offered, freed) = (&inner.networks, &inner.offered_ports, &inner.freed);
        network::prepare(&stage, networks, offered, freed, request, &mut prepared).await?;
        Ok(prepared)
    }

    /// Where a container that was prepared is reached.
    pub(crate) fn addresses(&self, container_id: ContainerId) -> Vec<IpAddr> {
        self.inner.networks.addresses(&container_id.to_string())
    }

    fn stage(&self, container_id: ContainerId) -> Stage {
        Stage {
            data_dir: Arc::clone(&self.inner.data_dir),
            disk: self.inner.disk.clone(),
            work: self.inner.work().entry(container_id).or_default().clone(),
            turns: Arc::clone(&self.inner.turns),
        }
    }

    /// Takes back what was prepared for a container, once nothing of it runs any more. Releasing what is not there
    /// succeeds.
    pub(crate) async fn release(&self, container_id: ContainerId) {
        let work = self.inner.work().get(&container_id).cloned();
        if let Some(work) = work {
            work.close();
            work.wait().await;
        }
        // Before the directories that its namespace is bound in.
        network::release(&self.inner.networks, container_id).await;
        let inner = Arc::clone(&self.inner);
        let released = tokio::task::spawn_blocking(move || inner.release(container_id)).await;
        if let Err(error) = released {
            warn!(%container_id, %error, "releasing a container did not finish");
        }
        self.inner.work().remove(&container_id);
        self.inner.devices.released();
        self.inner.freed.notify_waiters();
    }

    /// Releases what belongs to no known container. To be called before the first container of this agent is entered.
    pub(crate) async fn recover(&self, known: &[ContainerId]) {
        network::recover(&self.inner.networks, &self.inner.data_dir, known).await;
        for container_id in self.inner.data_dir.containers_found() {
            if !known.contains(&container_id) {
                info!(%container_id, "releasing what an earlier agent prepared");
                self.release(container_id).await;
            }
        }
        self.inner.configs.recover(known);
        image::recover(&self.inner.images, known);
        self.inner.groups.recover();
    }
}

/// The agent's own directory, and that of the secrets where it is there: what is not there need not be hidden.
fn hidden(data_dir: &DataDir, policy: &FilePolicy) -> Vec<PathBuf> {
    let secrets = policy.secrets.as_ref().and_then(|dir| dir.canonicalize().ok());
    std::iter::once(data_dir.root().to_owned())
        .chain(secrets)
        .collect()
}

impl Inner {
    fn work(&self) -> MutexGuard<'_, BTreeMap<ContainerId, TaskTracker>> {
        // Every change is one call on the map, so a thread that panicked left it whole.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, container_id: ContainerId) {
        image::release(&self.images, container_id);
        self.configs.release(container_id);
        let dir = self.data_dir.container(container_id);
        if !dir.exists() {
            return;
        }
        // Before its directory, which tells the group.
        self.groups.leave(container_id);
        network::unbind(&dir);
        self.disk.unbind(&dir);
        if let Err(error) = remove(&dir) {
            warn!(path = %dir.display(), %error, "cannot remove a container's files; the next start tries again");
        }
    }
}

#[cfg(test)]
mod tests;

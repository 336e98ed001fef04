//! Containers: from the core's orders to calls of the containerizer, and back.
//!
//! Each container has one task that launches it, waits for its end on a pidfd, and tells the driver. Calls
//! block, so they run on the blocking pool, a few at a time.

mod blocking;
mod freezer;
mod signals;
mod tokens;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proffer_agent_core::{Command, ContainerEnd, ContainerId, Process, TaskKey};
use proffer_container::User;
use proffer_image::resolve_user;
use proffer_linux::{Containerizer, Exec, ExecError, ExecRequest, Launched};
use proffer_types::{ContainerSpec, Resources, Statistics, TaskExit, TaskInfo};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use crate::checks::{self, Checks, Execute};
use crate::data_dir::DataDir;
use crate::disk::{Disk, exceeded};
use crate::driver::Input;
use crate::metrics::Metrics;
use crate::provision::{Progress, Provisioner, Request};
use crate::{sandbox, volumes};
use freezer::Orders;
use tokens::Tokens;

/// The most launches and removals at once. They are kernel work: more than this only queue in it, each on a
/// thread of its own.
const MAX_BLOCKING_CALLS: usize = 8;

/// How often the removal of a container is tried; the sweep at the next start does the rest.
const DESTROY_ATTEMPTS: u32 = 5;

/// The wait before the second removal; doubles.
const DESTROY_RETRY: Duration = Duration::from_millis(200);

/// Between two looks at a container that cannot be looked at: a shortage may last, and each look costs next to nothing.
const LOOK_RETRY: Duration = Duration::from_millis(500);

/// How long a start waits for containers that no checkpoint knows: a killed process is gone in milliseconds, unless it
/// is stuck in the kernel, and then no wait is long enough.
const ORPHANS_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two reports of what a preparation is at. A launch that is faster than this reports nothing.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// All containers of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Containers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    containerizer: Containerizer,
    provisioner: Provisioner,
    disk: Disk,
    data_dir: Arc<DataDir>,
    metrics: Arc<Metrics>,
    driver: mpsc::Sender<Input>,
    permits: Semaphore,
    removals: TaskTracker,
    /// Aborts preparations.
    launching: Tokens,
    checking: Tokens,
    freezing: Orders,
    /// Ends all waiting when the agent ends; its containers go on.
    end: CancellationToken,
}

/// Why a container was not launched.
#[derive(Debug)]
struct NotLaunched {
    error: String,
    exit: Option<TaskExit>,
}

impl From<String> for NotLaunched {
    fn from(error: String) -> Self {
        Self { error, exit: None }
    }
}

/// The container's name in the kernel.
pub(crate) fn name(container_id: ContainerId) -> proffer_container::ContainerId {
    match proffer_container::ContainerId::new(container_id.to_string()) {
        Ok(name) => name,
        Err(error) => unreachable!("16 hex digits are a container id: {error}"),
    }
}

impl Containers {
    pub(crate) fn new(
        containerizer: Containerizer,
        provisioner: Provisioner,
        disk: Disk,
        data_dir: Arc<DataDir>,
        metrics: Arc<Metrics>,
        driver: mpsc::Sender<Input>,
        end: CancellationToken,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                containerizer,
                provisioner,
                disk,
                data_dir,
                metrics,
                driver,
                permits: Semaphore::new(MAX_BLOCKING_CALLS),
                removals: TaskTracker::new(),
                launching: Tokens::default(),
                checking: Tokens::default(),
                freezing: Orders::default(),
                end,
            }),
        }
    }

    /// Launches a container, when nothing is left of the one it replaces. `Preparing` may follow, then `Launched` or
    /// `LaunchFailed`, then `Exited`.
    pub(crate) fn launch(&self, request: Request, replaces: Option<ContainerId>) {
        let this = self.clone();
        let container_id = request.container_id;
        // Not later: a member of its group could end before.
        let Request { key, group, info, .. } = &request;
        let entered = this.inner.provisioner.enter(container_id, group.as_ref());
        let entered = entered.and_then(|()| this.inner.disk.watch(container_id, key, group.as_ref(), info));
        let aborted = this.inner.launching.begin(container_id);
        self.spawn(async move {
            if let Some(old) = replaces {
                this.clone().remove(old).await;
            }
            let started = Instant::now();
            let launched = match entered {
                Ok(()) => this.prepare_and_launch(&request, &aborted).await,
                Err(error) => Some(Err(error.into())),
            };
            this.inner.launching.end(container_id);
            match launched {
                Some(Ok((launched, addresses))) => {
                    this.inner.metrics.launched(started.elapsed());
                    this.launched(container_id, &launched, addresses).await;
                    this.watch(container_id, launched.pidfd).await;
                }
                Some(Err(NotLaunched { error, exit })) => {
                    this.inner.metrics.launch_failed();
                    this.inner.disk.forget(container_id);
                    this.inner.provisioner.release(container_id).await;
                    let failed = Command::LaunchFailed {
                        container_id,
                        error,
                        exit,
                    };
                    this.tell(failed).await;
                }
                None => {}
            }
        });
    }

    async fn prepare_and_launch(
        &self,
        request: &Request,
        aborted: &CancellationToken,
    ) -> Option<Result<(Launched, Vec<IpAddr>), NotLaunched>> {
        let container_id = request.container_id;
        let (progress, said) = Progress::new();
        let prepared = tokio::select! {
            prepared = self.inner.provisioner.prepare(request, &progress) => prepared,
            () = aborted.cancelled() => Err("the launch was aborted".to_owned()),
            never = self.report(container_id, said) => match never {},
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Some(Err(error.into())),
        };
        let addresses = prepared.addresses.clone();
        let launched = self.blocking(move |inner| inner.launch(&prepared)).await?;
        Some(launched.map(|launched| (launched, addresses)))
    }

    /// Reports what a preparation is at, from time to time.
    async fn report(&self, container_id: ContainerId, mut said: watch::Receiver<String>) -> Infallible {
        loop {
            tokio::time::sleep(REPORT_INTERVAL).await;
            if said.has_changed().unwrap_or(false) {
                let message = said.borrow_and_update().clone();
                self.tell(Command::Preparing {
                    container_id,
                    message,
                })
                .await;
            }
        }
    }

    /// Ends a preparation. A launch that is past it goes on.
    pub(crate) fn abort(&self, container_id: ContainerId) {
        self.inner.launching.end(container_id);
    }

    /// Begins the checks of a container that runs. They end with it.
    pub(crate) fn check(
        &self,
        container_id: ContainerId,
        process: Option<Process>,
        info: &TaskInfo,
        running_for: Duration,
    ) {
        let stopped = self.inner.checking.begin(container_id);
        let checks = checks::of(info, running_for);
        let thawed = self.inner.freezing.settled(container_id);
        let this = self.clone();
        self.spawn(async move {
            if let Some(thawed) = thawed {
                thawed.wait().await;
            }
            let network = match process {
                Some(process) => this.blocking(move |_| checks::Network::of(process)).await,
                None => None,
            };
            // Its end is told by its watcher.
            let Some(Some(network)) = network else { return };
            let tell = |which, ok| {
                this.tell(Command::CheckResult {
                    container_id,
                    which,
                    ok,
                })
            };
            let checks = Checks {
                checks,
                network,
                execute: this.execute(container_id),
            };
            stopped.run_until_cancelled(checks.run(tell)).await;
        });
    }

    /// Starts commands in a container, for its checks.
    fn execute(&self, container_id: ContainerId) -> Execute {
        let this = self.clone();
        Arc::new(move |argv| {
            let this = this.clone();
            Box::pin(async move {
                let request = ExecRequest {
                    argv,
                    ..ExecRequest::default()
                };
                let call = move |inner: &Inner| inner.containerizer.exec(&name(container_id), request);
                match this.blocking(call).await {
                    Some(started) => started.map_err(|error| chain(&error)),
                    None => Err("the command was not started".to_owned()),
                }
            })
        })
    }

    /// Takes a container back; `Exited` follows when it ends, or at once. Signals may follow the return.
    pub(crate) async fn adopt(&self, container_id: ContainerId, process: Option<Process>) {
        let call = move |inner: &Inner| inner.adopt(container_id, process);
        let Some(adopted) = self.insist(container_id, call).await else {
            return;
        };
        let this = self.clone();
        self.spawn(async move {
            let Some(launched) = adopted else {
                return this.ended(container_id).await;
            };
            if process.is_none() {
                let addresses = this.inner.provisioner.addresses(container_id);
                this.launched(container_id, &launched, addresses).await;
            }
            this.watch(container_id, launched.pidfd).await;
        });
    }

    async fn launched(&self, container_id: ContainerId, launched: &Launched, addresses: Vec<IpAddr>) {
        let process = Process {
            pid: launched.pid,
            start_time: launched.start_time,
        };
        self.tell(Command::Launched {
            container_id,
            process,
            addresses,
        })
        .await;
    }

    /// Gives a container that runs other limits. Answers whether all of them are in force.
    pub(crate) async fn resize(
        &self,
        container_id: ContainerId,
        spec: ContainerSpec,
        resources: Resources,
    ) -> Result<bool, String> {
        let resized = self.blocking(move |inner| {
            inner.disk.bound(container_id, resources.disk_bytes())?;
            let (name, host) = (name(container_id), inner.containerizer.host_facts());
            let limits =
                proffer_container::resize(&name, &spec, &resources, host).map_err(|error| chain(&error))?;
            let resized = inner.containerizer.resize(&name, &limits);
            resized.map_err(|error| chain(&error))
        });
        resized
            .await
            .unwrap_or_else(|| Err("the limits were not set".to_owned()))
    }

    /// Holds a container to its disk that was launched by an earlier agent.
    pub(crate) fn watch_disk(&self, container_id: ContainerId, key: &TaskKey, info: &TaskInfo) {
        if let Err(error) = self.inner.disk.watch(container_id, key, None, info) {
            warn!(%container_id, error, "a container is not held to its disk");
        }
    }

    /// What the kernel counts for containers; without those that do not run.
    pub(crate) async fn statistics<T: Send + 'static>(
        &self,
        of: Vec<(T, ContainerId)>,
    ) -> Vec<(T, Statistics)> {
        let read = move |inner: &Inner| {
            let read = of.into_iter().filter_map(|(of, container_id)| {
                let read = inner.containerizer.statistics(&name(container_id));
                let read =
                    read.inspect_err(|error| debug!(%container_id, error = chain(error), "no statistics"));
                let statistics = Statistics {
                    disk_bytes: inner.disk.n_bytes(container_id),
                    ..read.ok()?
                };
                Some((of, statistics))
            });
            read.collect()
        };
        self.blocking(read).await.unwrap_or_default()
    }

    /// Whom `user[:group]` is, by the files of a container that runs.
    pub(crate) async fn user(&self, container_id: ContainerId, who: String) -> Result<User, tonic::Status> {
        let gone = || tonic::Status::failed_precondition(chain(&ExecError::Gone));
        let resolve = move |inner: &Inner| {
            let root = inner.containerizer.root(&name(container_id))?;
            Some(resolve_user(&[root], &who))
        };
        let found = self.blocking(resolve).await.flatten().ok_or_else(gone)?;
        let found =
            found.map_err(|error| tonic::Status::invalid_argument(format!("user: {}", chain(&error))))?;
        Ok(User {
            uid: found.uid,
            gid: found.gid,
            groups: found.groups,
        })
    }

    /// Executes a command in a container that runs.
    pub(crate) async fn exec(
        &self,
        container_id: ContainerId,
        request: ExecRequest,
    ) -> Result<Exec, ExecError> {
        let call = move |inner: &Inner| inner.containerizer.exec(&name(container_id), request);
        self.blocking(call).await.unwrap_or(Err(ExecError::Gone))
    }

    /// Removes what is left of a container. The files of its task are kept, for `retention` at most.
    pub(crate) fn destroy(
        &self,
        container_id: ContainerId,
        key: Option<TaskKey>,
        retention: Option<Duration>,
    ) {
        if let Some(key) = key {
            sandbox::keep(&self.inner.data_dir.task_dir(&key), retention);
        }
        self.inner.removals.spawn(self.clone().remove(container_id));
    }

    async fn remove(self, container_id: ContainerId) {
        self.inner.disk.forget(container_id);
        self.clone().destroy_name(name(container_id)).await;
        self.inner.provisioner.release(container_id).await;
    }

    async fn destroy_name(self, name: proffer_container::ContainerId) {
        let mut wait = DESTROY_RETRY;
        for attempt in 1..=DESTROY_ATTEMPTS {
            let of = name.clone();
            let destroyed = self.blocking(move |inner| inner.containerizer.destroy(&of)).await;
            match destroyed {
                Some(Err(error)) if attempt == DESTROY_ATTEMPTS => {
                    error!(container_id = %name, %error, "cannot remove a container; the next start tries again");
                }
                Some(Err(error)) => {
                    warn!(container_id = %name, %error, "cannot remove a container yet");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Some(Ok(())) | None => return,
            }
        }
    }

    /// Removes containers that no checkpoint knows, and then what was prepared for them and for others that never
    /// ran. To be called before the first launch.
    pub(crate) async fn destroy_orphans(&self, known: &[ContainerId]) {
        let names: Vec<_> = known.iter().map(|id| name(*id)).collect();
        match self.blocking(|inner| inner.containerizer.list()).await {
            Some(Ok(found)) => {
                let orphans = TaskTracker::new();
                for orphan in found.into_iter().filter(|id| !names.contains(id)) {
                    warn!(container_id = %orphan, "removing a container that no checkpoint knows");
                    let removal = self
                        .inner
                        .removals
                        .track_future(self.clone().destroy_name(orphan));
                    orphans.spawn(removal);
                }
                orphans.close();
                if tokio::time::timeout(ORPHANS_TIMEOUT, orphans.wait())
                    .await
                    .is_err()
                {
                    warn!("containers that no checkpoint knows take long to be removed");
                }
            }
            Some(Err(error)) => warn!(%error, "cannot list containers"),
            None => {}
        }
        self.inner.provisioner.recover(known).await;
    }

    /// Waits for removals under way.
    pub(crate) async fn settle(&self) {
        self.inner.removals.close();
        self.inner.removals.wait().await;
    }

    /// Removes the files of destroyed volumes, which may take long. Blocks.
    pub(crate) fn remove_volumes(&self) {
        let disk = &self.inner.disk;
        volumes::remove(&self.inner.data_dir, |volume| disk.unbind(volume));
    }

    /// Removes the agent's own cgroup, when no container is left in it.
    pub(crate) async fn remove_root(&self) {
        let remove = |inner: &Inner| match inner.containerizer.list() {
            Ok(left) if left.is_empty() => inner.containerizer.remove_root(),
            Ok(_) | Err(_) => Ok(()),
        };
        if let Some(Err(error)) = self.blocking(remove).await {
            warn!(%error, "cannot remove the agent's cgroup");
        }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let end = self.inner.end.clone();
        tokio::spawn(async move { end.run_until_cancelled(work).await });
    }

    async fn watch(&self, container_id: ContainerId, pidfd: OwnedFd) {
        if let Err(error) = readable(pidfd).await {
            // Without a pidfd its end cannot be waited for, so it is brought about.
            error!(%container_id, %error, "cannot wait for a container, killing it");
            self.clone().destroy_name(name(container_id)).await;
        }
        self.ended(container_id).await;
    }

    async fn ended(&self, container_id: ContainerId) {
        self.inner.checking.end(container_id);
        self.inner.freezing.end(container_id);
        let read = self
            .insist(container_id, move |inner| inner.end(container_id))
            .await;
        let (end, usage) = read.unwrap_or((ContainerEnd::Unknown, None));
        if end != ContainerEnd::Exit(TaskExit::Code(0))
            && let Some(message) = self.inner.disk.over_at_end(container_id)
        {
            self.tell(exceeded(container_id, message)).await;
        }
        self.tell(Command::Exited {
            container_id,
            end,
            usage,
        })
        .await;
    }

    /// Looks at a container until that can be done: for want of descriptors or memory nothing is concluded about it.
    /// `None` as for [`Self::blocking`].
    async fn insist<T: Send + 'static>(
        &self,
        container_id: ContainerId,
        look: impl Fn(&Inner) -> io::Result<T> + Copy + Send + 'static,
    ) -> Option<T> {
        loop {
            match self.blocking(look).await? {
                Ok(seen) => return Some(seen),
                Err(error) => {
                    warn!(%container_id, error = chain(&error), "cannot look at a container yet");
                    tokio::time::sleep(LOOK_RETRY).await;
                }
            }
        }
    }

    async fn tell(&self, command: Command) {
        // The driver is gone only when the agent ends.
        let _ = self.inner.driver.send(Input::Command(command)).await;
    }

    /// Runs a call on the blocking pool; `None` when the runtime is shutting down or the call panicked.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Option<T> {
        let _permit = self.inner.permits.acquire().await.ok()?;
        let inner = Arc::clone(&self.inner);
        let result = tokio::task::spawn_blocking(move || call(&inner)).await;
        result
            .inspect_err(|error| error!(%error, "a container call did not finish"))
            .ok()
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

async fn readable(pidfd: OwnedFd) -> std::io::Result<()> {
    #[expect(
        deprecated,
        reason = "its successor asks for a promise that only the crates next to the kernel may make; an OwnedFd moved in keeps it"
    )]
    let pidfd = AsyncFd::with_interest(pidfd, Interest::READABLE)?;
    pidfd.readable().await.map(drop)
}

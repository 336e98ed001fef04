//! Executors: their sockets, what they say, and what they are told.
//!
//! Each has a directory with a socket in it, which its container sees, read-only; so whoever connects is that executor. The
//! socket is made before the container is launched, and made anew when an agent takes the container back.

mod connection;
mod service;
mod socket;
mod worker;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proffer_agent_core::{Command, ConnectionId, ContainerId, ExecutorNews, ExecutorOrder, TaskKey};
use proffer_types::{AgentId, ContainerSpec, ExecutorInfo, Resources, TaskInfo};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::containers::Containers;
use crate::data_dir::DataDir;
use crate::driver::Input;
use crate::provision::Request;
use connection::Connections;
use worker::Worker;

/// Orders that wait for one executor: the most tasks an agent holds, launched, killed and acknowledged several times over.
/// One whose orders pile up further is killed.
const MAX_ORDERS: usize = 1 << 16;

/// All executors of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Executors {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    data_dir: Arc<DataDir>,
    containers: Containers,
    driver: mpsc::Sender<Input>,
    /// Ends everything when the agent ends.
    end: CancellationToken,
    next_connection: AtomicU64,
    all: Mutex<BTreeMap<ContainerId, One>>,
}

/// One executor.
#[derive(Debug)]
struct One {
    orders: mpsc::Sender<ExecutorOrder>,
    /// Ends its socket and its worker.
    end: CancellationToken,
}

impl Executors {
    pub(crate) fn new(
        data_dir: Arc<DataDir>,
        containers: Containers,
        driver: mpsc::Sender<Input>,
        end: CancellationToken,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                data_dir,
                containers,
                driver,
                end,
                next_connection: AtomicU64::new(1),
                all: Mutex::default(),
            }),
        }
    }

    /// Carries an order out, or hands it to the executor's worker.
    pub(crate) async fn order(&self, container_id: ContainerId, order: ExecutorOrder) {
        match order {
            ExecutorOrder::Launch {
                key,
                info,
                agent_id,
                resources,
            } => self.launch(container_id, key, info, agent_id, resources),
            ExecutorOrder::Adopt {
                key,
                info,
                agent_id,
                resources,
            } => self.adopt(container_id, &key, &info, agent_id, resources).await,
            ExecutorOrder::Destroy { key } => {
                if let Some(one) = self.all().remove(&container_id) {
                    one.end.cancel();
                }
                self.inner.containers.destroy(container_id, Some(key), None);
            }
            ExecutorOrder::Resize { .. } | ExecutorOrder::Tell { .. } | ExecutorOrder::Disconnect { .. } => {
                self.queue(container_id, order);
            }
        }
    }

    fn launch(
        &self,
        container_id: ContainerId,
        key: TaskKey,
        info: Arc<ExecutorInfo>,
        agent_id: AgentId,
        resources: Resources,
    ) {
        if let Err(error) = self.open(container_id, info.container.clone(), Some(&resources)) {
            let command = Command::LaunchFailed {
                container_id,
                error,
                exit: None,
            };
            let driver = self.inner.driver.clone();
            // The driver itself is here, and must not wait for itself.
            tokio::spawn(async move { driver.send(Input::Command(command)).await });
            return;
        }
        let request = Request {
            container_id,
            info: as_task(&key, &info, agent_id, resources),
            key,
            group: None,
            keeps_sandbox: false,
            executor: Some(info.id.clone()),
        };
        self.inner.containers.launch(request, None);
    }

    async fn adopt(
        &self,
        container_id: ContainerId,
        key: &TaskKey,
        info: &ExecutorInfo,
        agent_id: AgentId,
        resources: Resources,
    ) {
        if let Err(error) = self.open(container_id, info.container.clone(), None) {
            // It does not come back in time, and is ended for that.
            error!(%container_id, error, "cannot listen for an executor");
        }
        let info = as_task(key, info, agent_id, resources);
        self.inner.containers.watch_disk(container_id, key, &info);
        self.inner.containers.adopt(container_id, None).await;
    }

    /// Makes the socket of an executor, and serves it. `limits` is what its container has, where that is known.
    fn open(
        &self,
        container_id: ContainerId,
        spec: ContainerSpec,
        limits: Option<&Resources>,
    ) -> Result<(), String> {
        let dir = self.inner.data_dir.executor(container_id);
        let listener = socket::listen(&dir).map_err(|error| {
            format!(
                "cannot make the socket of an executor in `{}`: {error}",
                dir.display()
            )
        })?;
        let end = self.inner.end.child_token();
        let connections = Arc::new(Connections::default());
        let (orders, queue) = mpsc::channel(MAX_ORDERS);
        let worker = Worker {
            container_id,
            spec,
            limits: limits.cloned(),
            containers: self.inner.containers.clone(),
            connections: Arc::clone(&connections),
            driver: self.inner.driver.clone(),
        };
        let (work, worker) = (end.clone(), Box::pin(worker.run(queue)));
        tokio::spawn(async move { work.run_until_cancelled(worker).await });
        let reporter = Reporter {
            container_id,
            executors: self.clone(),
        };
        tokio::spawn(service::serve(listener, reporter, connections, end.clone()));
        if let Some(before) = self.all().insert(container_id, One { orders, end }) {
            before.end.cancel();
        }
        Ok(())
    }

    fn queue(&self, container_id: ContainerId, order: ExecutorOrder) {
        let all = self.all();
        let Some(one) = all.get(&container_id) else {
            debug!(%container_id, "no executor to be told");
            return;
        };
        if one.orders.try_send(order).is_err() {
            error!(%container_id, "orders of an executor pile up, killing it");
            self.inner
                .containers
                .signal(container_id, proffer_agent_core::Signal::Kill);
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ContainerId, One>> {
        // Every change is one call on the map, so a thread that panicked left it whole.
        self.inner.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An executor as those see it who know containers of tasks only.
fn as_task(key: &TaskKey, info: &ExecutorInfo, agent_id: AgentId, resources: Resources) -> TaskInfo {
    TaskInfo {
        container: info.container.clone(),
        ..TaskInfo::new(key.task_id.clone(), agent_id, resources, <[String; 0]>::default())
    }
}

/// Tells the driver what one executor says.
#[derive(Debug, Clone)]
struct Reporter {
    container_id: ContainerId,
    executors: Executors,
}

impl Reporter {
    fn next_connection(&self) -> ConnectionId {
        let next = &self.executors.inner.next_connection;
        ConnectionId(next.fetch_add(1, Ordering::Relaxed))
    }

    /// Fails when the agent ends.
    async fn tell(&self, connection: ConnectionId, news: ExecutorNews) -> Result<(), ()> {
        let command = Command::Executor {
            container_id: self.container_id,
            connection,
            news,
        };
        let told = self.executors.inner.driver.send(Input::Command(command)).await;
        told.map_err(drop)
    }
}

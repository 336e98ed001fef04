//! What is ordered for one executor, in order: its limits, and what it is told.
//!
//! Limits of several orders are set at once: the most of them before anything is told, the last of them after.

use std::sync::Arc;

use proffer_agent_core::{Command, ContainerId, ExecutorOrder};
use proffer_types::{ContainerSpec, Resources, StatusReason};
use proffer_wire::v1;
use tokio::sync::mpsc;
use tonic::Status;
use tracing::{debug, warn};

use super::connection::Connections;
use crate::containers::Containers;
use crate::driver::Input;

/// Orders taken at once: more would delay the first of them.
const MAX_BATCH: usize = 256;

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) container_id: ContainerId,
    pub(super) spec: ContainerSpec,
    /// What the container is limited to, where that is known.
    pub(super) limits: Option<Resources>,
    pub(super) containers: Containers,
    pub(super) connections: Arc<Connections>,
    pub(super) driver: mpsc::Sender<Input>,
}

impl Worker {
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<ExecutorOrder>) {
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
            // Tasks with all they may ask for lie in it.
            Box::pin(self.carry_out(std::mem::take(&mut batch))).await;
        }
    }

    async fn carry_out(&mut self, batch: Vec<ExecutorOrder>) {
        let mut sizes = Vec::new();
        for order in &batch {
            if let ExecutorOrder::Resize { resources } = order {
                sizes.push(resources.clone());
            }
        }
        if let Some(most) = most(self.limits.iter().chain(&sizes)) {
            self.resize(most).await;
        }
        for order in batch {
            match order {
                ExecutorOrder::Tell {
                    connection, event, ..
                } => {
                    self.connections
                        .send(connection, v1::ExecutorEvent::from(&event))
                        .await;
                }
                ExecutorOrder::Disconnect { connection, why } => {
                    self.connections
                        .close(connection, Status::failed_precondition(why));
                }
                ExecutorOrder::Resize { .. }
                | ExecutorOrder::Launch { .. }
                | ExecutorOrder::Adopt { .. }
                | ExecutorOrder::Destroy { .. } => {}
            }
        }
        if let Some(last) = sizes.into_iter().next_back() {
            self.resize(last).await;
        }
    }

    /// Sets limits that are not in force yet. An executor that cannot have what its tasks were promised is ended.
    async fn resize(&mut self, resources: Resources) {
        if self.limits.as_ref() == Some(&resources) {
            return;
        }
        let (container_id, spec) = (self.container_id, self.spec.clone());
        let resized = self
            .containers
            .resize(container_id, spec, resources.clone())
            .await;
        match resized {
            Ok(all) => {
                if !all {
                    debug!(%container_id, %resources, "an executor keeps memory of ended tasks");
                }
                self.limits = Some(resources);
            }
            Err(error) => {
                warn!(%container_id, %resources, error, "cannot set the limits of an executor");
                let command = Command::LimitExceeded {
                    container_id,
                    reason: StatusReason::ContainerLimitation,
                    message: format!("its executor could not be given `{resources}`: {error}"),
                };
                let _ = self.driver.send(Input::Command(command)).await;
            }
        }
    }
}

/// What is enough for each of several; `None` for none of them.
fn most<'a>(all: impl Iterator<Item = &'a Resources>) -> Option<Resources> {
    all.cloned().reduce(|most, one| {
        Resources::of(
            most.cpu_millis().max(one.cpu_millis()),
            most.mem_bytes().max(one.mem_bytes()),
            most.disk_bytes().max(one.disk_bytes()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_enough_for_several_orders_is_the_most_of_each_resource() {
        let sizes = ["cpus:1;mem:64MiB", "cpus:0.5;mem:128MiB;disk:1MiB"].map(|text| text.parse().unwrap());
        let most = most(sizes.iter()).map(|most| most.to_string());
        assert_eq!(most.as_deref(), Some("cpus:1;mem:128MiB;disk:1MiB"));
    }
}

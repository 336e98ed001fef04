//! All services, as a scheduler and as the commands of their owners.
//!
//! A command changes everything it has to before it returns, or nothing. Any task of the framework that is
//! not the latest of a slot is surplus, and killed when it is heard of alive: so a replica that was cut off
//! and replaced ends when its agent comes back.

use std::collections::{BTreeMap, BTreeSet};

use proffer_session::{Context, RecoverError, Scheduler};
use proffer_types::{FrameworkId, KillPolicy, Offer, Resources, Role, TaskState, TaskStatus, Timestamp};
use thiserror::Error;

use crate::service::Service;
use crate::spec::{ServiceSpec, SpecError, check_fit, check_replicas};
use crate::task_id::Parts;
use crate::view::ServiceView;
use crate::{explain, offers, records};

/// The service scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// What the framework is subscribed in.
    roles: BTreeSet<Role>,
    pub(crate) services: BTreeMap<String, Service>,
    /// The greatest start number of all services that were deleted.
    start_floor: u64,
    pub(crate) cluster: Cluster,
    /// Whether the master was asked for no more offers.
    pub(crate) suppressed: bool,
}

/// What we know of the cluster; not durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cluster {
    pub(crate) connected: bool,
    pub(crate) n_agents: u32,
    /// Empty as long as none is known.
    pub(crate) largest: Vec<Resources>,
}

/// What an apply did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    pub created: bool,
    pub version: u64,
}

/// Why a service was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyError {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("service `{0}` is being deleted; apply it again when it is gone")]
    Deleting(String),
}

/// Why a service was not scaled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScaleError {
    #[error(transparent)]
    NoSuchService(#[from] NoSuchServiceError),
    #[error(transparent)]
    Replicas(SpecError),
    #[error("service `{0}` is being deleted")]
    Deleting(String),
}

/// Nothing has that name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no service `{0}`")]
pub struct NoSuchServiceError(String);

impl Services {
    /// No services yet; `roles` are those of the framework.
    #[must_use]
    pub fn new(roles: BTreeSet<Role>) -> Self {
        Self {
            roles,
            services: BTreeMap::new(),
            start_floor: 0,
            cluster: Cluster::default(),
            suppressed: false,
        }
    }

    /// Creates a service or changes it to match. The same again changes nothing; another number of replicas
    /// is a scale; anything else is a new version, and replaces the replicas one at a time.
    pub fn apply(&mut self, spec: ServiceSpec, cx: &mut Context<'_>) -> Result<Applied, ApplyError> {
        spec.check()?;
        self.check_role(&spec)?;
        let name = spec.name.clone();
        let old = self.services.get_mut(&name);
        if old.as_ref().is_some_and(|service| service.deleting) {
            return Err(ApplyError::Deleting(name));
        }
        let same_task = old
            .as_ref()
            .is_some_and(|old| old.spec.role == spec.role && old.spec.task == spec.task);
        if !same_task {
            check_fit(&name, &spec.task.resources, &self.cluster.largest)?;
        }
        let created = old.is_none();
        match old {
            Some(service) if service.spec == spec => {}
            Some(service) if same_task => service.scale(spec.replicas, cx),
            Some(service) => service.change(spec, cx),
            None => {
                let service = Service::create(spec, self.start_floor, cx);
                self.services.insert(name.clone(), service);
            }
        }
        let version = self.services.get(&name).map_or(0, |service| service.version);
        self.settle(true, cx);
        Ok(Applied { created, version })
    }

    /// Changes the number of replicas: more are started, or the highest slots are stopped.
    pub fn scale(&mut self, name: &str, replicas: u32, cx: &mut Context<'_>) -> Result<(), ScaleError> {
        let service = self.service_mut(name)?;
        check_replicas(name, replicas).map_err(ScaleError::Replicas)?;
        if service.deleting {
            return Err(ScaleError::Deleting(name.to_owned()));
        }
        if service.spec.replicas != replicas {
            service.scale(replicas, cx);
            self.settle(true, cx);
        }
        Ok(())
    }

    /// Stops all replicas; the service is forgotten when the last one has ended. Twice is as good as once.
    pub fn delete(&mut self, name: &str, cx: &mut Context<'_>) -> Result<(), NoSuchServiceError> {
        let service = self.service_mut(name)?;
        if !service.deleting {
            service.delete(cx);
        }
        self.forget_if_over(name, cx);
        self.settle(false, cx);
        Ok(())
    }

    /// All services, by name.
    #[must_use]
    pub fn list(&self) -> Vec<ServiceView> {
        self.services.values().map(ServiceView::of).collect()
    }

    /// One service.
    pub fn get(&self, name: &str) -> Result<ServiceView, NoSuchServiceError> {
        self.service(name).map(ServiceView::of)
    }

    /// Why replicas of a service are not running, in full sentences, most important first.
    pub fn explain(&self, name: &str, now: Timestamp) -> Result<Vec<String>, NoSuchServiceError> {
        let service = self.service(name)?;
        Ok(explain::explain(service, &self.cluster, now))
    }

    fn check_role(&self, spec: &ServiceSpec) -> Result<(), SpecError> {
        if self.roles.contains(&spec.role) {
            return Ok(());
        }
        let roles: Vec<_> = self.roles.iter().map(|role| format!("`{role}`")).collect();
        Err(SpecError::Role {
            name: spec.name.clone(),
            role: spec.role.clone(),
            roles: roles.join(", "),
        })
    }

    fn service(&self, name: &str) -> Result<&Service, NoSuchServiceError> {
        self.services
            .get(name)
            .ok_or_else(|| NoSuchServiceError(name.to_owned()))
    }

    fn service_mut(&mut self, name: &str) -> Result<&mut Service, NoSuchServiceError> {
        self.services
            .get_mut(name)
            .ok_or_else(|| NoSuchServiceError(name.to_owned()))
    }

    fn forget_if_over(&mut self, name: &str, cx: &mut Context<'_>) {
        if self.services.get(name).is_none_or(|service| !service.is_over()) {
            return;
        }
        if let Some(service) = self.services.remove(name)
            && service.start_floor > self.start_floor
        {
            self.start_floor = service.start_floor;
            cx.put(records::FLOOR_KEY, records::floor(self.start_floor));
        }
        cx.delete(records::service_key(name));
    }

    fn n_waiting(&self) -> usize {
        self.services
            .values()
            .map(|service| service.index.waiting.len())
            .sum()
    }

    /// Asks for offers when something began to wait, and for none when nothing does.
    fn settle(&mut self, began_to_wait: bool, cx: &mut Context<'_>) {
        let waiting = self.n_waiting() > 0;
        if waiting && (began_to_wait || self.suppressed) {
            self.suppressed = false;
            cx.revive();
        } else if !waiting && !self.suppressed {
            self.suppressed = true;
            cx.suppress();
        }
    }

    /// Does what changes the waiting slots, then settles.
    fn settle_after(&mut self, cx: &mut Context<'_>, change: impl FnOnce(&mut Self, &mut Context<'_>)) {
        let before = self.n_waiting();
        change(self, cx);
        self.settle(self.n_waiting() > before, cx);
    }

    /// Kills a task that is not the latest of a slot, unless it is ended, cut off or being killed.
    fn surplus(status: &TaskStatus, cx: &mut Context<'_>) {
        match status.state {
            TaskState::Staging | TaskState::Starting | TaskState::Running => {
                cx.kill(&status.task_id, KillPolicy::default());
            }
            TaskState::Killing
            | TaskState::Unreachable
            | TaskState::Unknown
            | TaskState::Finished
            | TaskState::Failed
            | TaskState::Killed
            | TaskState::Error
            | TaskState::Lost
            | TaskState::Dropped
            | TaskState::Gone
            | TaskState::GoneByOperator => {}
        }
    }
}

impl Scheduler for Services {
    fn recover(&mut self, records: &[(String, Vec<u8>)]) -> Result<(), RecoverError> {
        let recovered = records::read(records)?;
        *self = Self {
            services: recovered.services,
            start_floor: recovered.start_floor,
            ..Self::new(std::mem::take(&mut self.roles))
        };
        Ok(())
    }

    fn subscribed(&mut self, cx: &mut Context<'_>, _framework_id: &FrameworkId) {
        self.cluster.connected = true;
        self.settle(false, cx);
    }

    fn disconnected(&mut self, _cx: &mut Context<'_>) {
        self.cluster.connected = false;
    }

    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) {
        offers::place(&mut self.services, offers, cx);
        self.settle(false, cx);
    }

    fn update(&mut self, cx: &mut Context<'_>, status: &TaskStatus) {
        let Some(parts) = Parts::parse(&status.task_id) else {
            return Self::surplus(status, cx);
        };
        self.settle_after(cx, |this, cx| {
            let service = this.services.get_mut(parts.service);
            if !service.is_some_and(|service| service.update(parts, status, cx)) {
                Self::surplus(status, cx);
            }
            this.forget_if_over(parts.service, cx);
        });
    }

    fn shapes(&mut self, _cx: &mut Context<'_>, n_agents: u32, largest: &[Resources]) {
        self.cluster.n_agents = n_agents;
        self.cluster.largest = largest.to_vec();
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        self.settle_after(cx, |this, cx| {
            this.services.values_mut().for_each(|service| service.tick(cx));
        });
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.services.values().filter_map(Service::next_deadline).min()
    }
}

//! All services, as a scheduler and as the commands of their owners.
//!
//! A command changes everything it has to before it returns, or nothing. Any task of the framework that is
//! not the latest of a slot is surplus, and killed when it is heard of alive: so a replica that was cut off
//! and replaced ends when its agent comes back, though it was asked to already when it was given up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_session::{Context, RecoverError, Scheduler};
use proffer_types::{
    AgentId, FrameworkId, InverseOffer, KillPolicy, KnownAgent, Offer, OfferId, Resources, Role, TaskState,
    TaskStatus, Timestamp,
};
use thiserror::Error;

use crate::autoscale::Autoscaler;
use crate::configs::{ConfigError, Configs, Key};
use crate::demand::Stated;
use crate::discovery::{ApplyVirtualError, Discovery, Policies, Pool};
use crate::leaving::Leaving;
use crate::losses::Losses;
use crate::service::Service;
use crate::spec::{Mode, ServiceSpec, SpecError, check_fit, check_replicas};
use crate::task_id::Parts;
use crate::view::ServiceView;
use crate::{explain, offers, records};

/// The most services: each has a command and an environment to keep, of up to 64 KiB.
pub const MAX_SERVICES: usize = 1000;
/// The most replicas of all services together: at some 500 bytes each, with its status, 50 MB.
pub const MAX_TOTAL_REPLICAS: usize = 100_000;
/// The most roles of all services together: the master takes no more of one framework.
pub const MAX_ROLES: usize = 64;

/// The service scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// Those of the services since the start, and the default one.
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) services: BTreeMap<String, Service>,
    /// The greatest start number of all services that were deleted.
    start_floor: u64,
    pub(crate) cluster: Cluster,
    /// What the master was asked for, by role. Not durable.
    pub(crate) stated: BTreeMap<Role, Stated>,
    pub(crate) discovery: Discovery,
    pub(crate) autoscaler: Autoscaler,
    pub(crate) configs: Configs,
}

/// What we know of the cluster; not durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cluster {
    pub(crate) connected: bool,
    pub(crate) n_agents: u32,
    /// Empty as long as none is known.
    pub(crate) largest: Vec<Resources>,
    pub(crate) losses: Losses,
    pub(crate) leaving: Leaving,
    /// All that the master told of, and those that were offered.
    pub(crate) agents: BTreeMap<AgentId, KnownAgent>,
}

/// What an apply did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    pub created: bool,
    pub version: u64,
}

/// What an apply is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) is_new_version: bool,
}

/// Why a service was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyError {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("service `{0}` is being deleted; apply it again when it is gone")]
    Deleting(String),
    #[error(transparent)]
    Full(#[from] FullError),
    #[error(transparent)]
    Virtual(#[from] ApplyVirtualError),
    #[error("service `{service}` cannot run: {error}")]
    Config { service: String, error: ConfigError },
    #[error("role `{0}` would be one more than the {MAX_ROLES} that all services together may be in")]
    Roles(Role),
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
    #[error(
        "service `{name}` scales by itself from {min} to {max} replicas; change that, or leave `scaling` out, in its file"
    )]
    ByItself { name: String, min: u32, max: u32 },
    #[error(transparent)]
    Full(#[from] FullError),
}

/// There is no room for that many.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FullError {
    #[error("there are {MAX_SERVICES} services, and no room for another")]
    Services,
    #[error("all services together would have {0} replicas, at most {MAX_TOTAL_REPLICAS} are allowed")]
    Replicas(usize),
}

/// Nothing has that name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no service `{0}`")]
pub struct NoSuchServiceError(String);

impl NoSuchServiceError {
    /// As much of the name as helps to recognise it.
    fn new(name: &str) -> Self {
        Self(name.chars().take(80).collect())
    }
}

impl Services {
    /// A scheduler without services, whose virtual services will have addresses of that pool. With the key it makes tokens of
    /// tasks, unless its records have one.
    #[must_use]
    pub fn new(pool: Pool, key: Key) -> Self {
        Self {
            roles: BTreeSet::from([Role::default()]),
            services: BTreeMap::new(),
            start_floor: 0,
            cluster: Cluster::default(),
            stated: BTreeMap::new(),
            discovery: Discovery {
                pool,
                ..Discovery::default()
            },
            autoscaler: Autoscaler::default(),
            configs: Configs::new(key),
        }
    }

    /// Creates a service or changes it to match. The same again changes nothing; another role or task is a new version, which
    /// a deployment brings; the rest holds at once.
    pub fn apply(&mut self, spec: ServiceSpec, cx: &mut Context<'_>) -> Result<Applied, ApplyError> {
        spec.check()?;
        let spec = self.settled(spec);
        let change = self.check_apply(&spec, &BTreeSet::new())?;
        let name = spec.name.clone();
        let created = !self.services.contains_key(&name);
        if let Some(change) = change {
            self.enter(&spec.role)?;
            let is_exposed = !spec.expose.is_empty();
            let shape = self.next_shape();
            let pins = self.configs.pins(&spec.task.container);
            match self.services.get_mut(&name) {
                Some(service) if change.is_new_version => service.change(spec, shape, pins, cx),
                Some(service) => service.set(spec, cx),
                None => {
                    let service = Service::create(spec, shape, pins, self.start_floor, cx);
                    self.services.insert(name.clone(), service);
                }
            }
            self.forget_revisions(cx);
            self.touch_selecting(&name);
            if !self.discovery.virtuals.contains_key(&name) {
                self.set_address(&name, is_exposed, cx);
            }
            self.arm(cx.now());
            self.state_demand(cx);
        }
        let version = self.services.get(&name).map_or(0, |service| service.version);
        Ok(Applied { created, version })
    }

    /// What an apply of a checked spec is about; nothing when all is as it is wanted. Configs of `assumed` are there by then.
    pub(crate) fn check_apply(
        &self,
        spec: &ServiceSpec,
        assumed: &BTreeSet<String>,
    ) -> Result<Option<Change>, ApplyError> {
        let name = &spec.name;
        let old = self.services.get(name);
        if old.is_some_and(|service| service.deleting) {
            return Err(ApplyError::Deleting(name.clone()));
        }
        if old.is_some_and(|service| service.spec == *spec) {
            return Ok(None);
        }
        if let Some(is) = old.map(|old| old.spec.mode).filter(|is| *is != spec.mode) {
            let name = name.clone();
            return Err(SpecError::OtherMode { name, is }.into());
        }
        let is_same = |old: &Service| old.spec.role == spec.role && old.spec.task == spec.task;
        let is_new_version = !old.is_some_and(is_same);
        if is_new_version {
            check_fit(name, &spec.task.resources, &self.cluster.largest)?;
            let checked = self.configs.check(&spec.task.container, assumed);
            checked.map_err(|error| ApplyError::Config {
                service: name.clone(),
                error,
            })?;
        }
        self.check_room(name, spec.replicas)?;
        self.check_names(name)?;
        if !spec.expose.is_empty() {
            if self.discovery.virtuals.contains_key(name) {
                return Err(ApplyVirtualError::Exposed(name.clone()).into());
            }
            self.check_address(name, true)?;
        }
        Ok(Some(Change { is_new_version }))
    }

    /// A shape that no version has yet.
    pub(crate) fn next_shape(&self) -> u64 {
        let versions = self
            .services
            .values()
            .flat_map(|service| service.versions.values());
        versions.map(|version| version.shape).max().unwrap_or(0) + 1
    }

    /// Changes the number of replicas: more are started, or the highest slots are stopped.
    pub fn scale(&mut self, name: &str, replicas: u32, cx: &mut Context<'_>) -> Result<(), ScaleError> {
        if self.service(name)?.deleting {
            return Err(ScaleError::Deleting(name.to_owned()));
        }
        if let Some(scaling) = &self.service(name)?.spec.scaling {
            let (min, max) = (scaling.min, scaling.max);
            let name = name.to_owned();
            return Err(ScaleError::ByItself { name, min, max });
        }
        check_replicas(name, replicas).map_err(ScaleError::Replicas)?;
        self.check_room(name, replicas)?;
        let service = self.service_mut(name)?;
        if service.spec.mode == Mode::Daemon {
            let name = name.to_owned();
            return Err(ScaleError::Replicas(SpecError::CountedDaemon { name }));
        }
        if service.spec.replicas != replicas {
            service.scale(replicas, cx);
            self.state_demand(cx);
        }
        Ok(())
    }

    /// Stops all replicas; the service is forgotten when the last one has ended. Twice is as good as once.
    pub fn delete(&mut self, name: &str, cx: &mut Context<'_>) -> Result<(), NoSuchServiceError> {
        let service = self.service_mut(name)?;
        if !service.deleting {
            service.delete(cx);
            service.touched = true;
            if !self.discovery.virtuals.contains_key(name) {
                self.set_address(name, false, cx);
            }
        }
        self.forget_if_over(name, cx);
        self.state_demand(cx);
        Ok(())
    }

    /// All services, by name.
    #[must_use]
    pub fn list(&self) -> Vec<ServiceView> {
        self.services.values().map(|service| self.view(service)).collect()
    }

    /// One service.
    pub fn get(&self, name: &str) -> Result<ServiceView, NoSuchServiceError> {
        self.service(name).map(|service| self.view(service))
    }

    fn view(&self, service: &Service) -> ServiceView {
        ServiceView::of(service, self.scaling_view(&service.spec))
    }

    /// Why replicas of a service are not running, in full sentences, most important first.
    pub fn explain(&self, name: &str, now: Timestamp) -> Result<Vec<String>, NoSuchServiceError> {
        let service = self.service(name)?;
        Ok(explain::explain(self, service, now))
    }

    pub(crate) fn check_room(&self, name: &str, replicas: u32) -> Result<(), FullError> {
        if self.services.len() >= MAX_SERVICES && !self.services.contains_key(name) {
            return Err(FullError::Services);
        }
        let others = self.services.iter().filter(|(other, _)| *other != name);
        let taken: usize = others.map(|(_, service)| service.slots.len()).sum();
        match taken.saturating_add(replicas as usize) {
            total if total > MAX_TOTAL_REPLICAS => Err(FullError::Replicas(total)),
            _ => Ok(()),
        }
    }

    /// Makes the role one of the framework's.
    fn enter(&mut self, role: &Role) -> Result<(), ApplyError> {
        if !self.roles.contains(role) && self.roles.len() >= MAX_ROLES {
            let used: BTreeSet<_> = self.services.values().flat_map(Service::roles).collect();
            self.roles
                .retain(|role| used.contains(role) || *role == Role::default());
            self.stated.retain(|role, _| self.roles.contains(role));
        }
        if !self.roles.contains(role) && self.roles.len() >= MAX_ROLES {
            return Err(ApplyError::Roles(role.clone()));
        }
        self.roles.insert(role.clone());
        Ok(())
    }

    pub(crate) fn service(&self, name: &str) -> Result<&Service, NoSuchServiceError> {
        self.services
            .get(name)
            .ok_or_else(|| NoSuchServiceError::new(name))
    }

    pub(crate) fn service_mut(&mut self, name: &str) -> Result<&mut Service, NoSuchServiceError> {
        self.services
            .get_mut(name)
            .ok_or_else(|| NoSuchServiceError::new(name))
    }

    /// Goes on with leaving agents that are drained, or whose maintenance windows come. Daemons leave last, and only who is
    /// drained: what moves from there may need them until then.
    fn leave(&mut self, cx: &mut Context<'_>) {
        let due = self.cluster.leaving.due(cx.now());
        if due.is_empty() {
            return;
        }
        self.services
            .values_mut()
            .for_each(|service| service.leave(due, cx));
        let mut last: BTreeSet<AgentId> = self.cluster.leaving.drained().cloned().collect();
        let moving = self.services.values().flat_map(Service::moving);
        moving.for_each(|agent| {
            last.remove(agent);
        });
        if !last.is_empty() {
            self.services
                .values_mut()
                .for_each(|service| service.end_on(&last, cx));
        }
    }

    fn forget_if_over(&mut self, name: &str, cx: &mut Context<'_>) {
        if self.services.get(name).is_none_or(|service| !service.is_over()) {
            return;
        }
        let Some(service) = self.services.remove(name) else {
            return;
        };
        if service.start_floor > self.start_floor {
            self.start_floor = service.start_floor;
            cx.put(records::FLOOR_KEY, records::floor(self.start_floor));
        }
        for number in service.versions.keys() {
            cx.delete(records::version_key(name, *number));
        }
        cx.delete(records::service_key(name));
        self.discovery.touched.insert(name.to_owned());
        self.touch_selecting(name);
        self.forget_scaling(name, cx);
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
        let key = recovered.token_key;
        *self = Self::new(self.discovery.pool, self.configs.key.clone());
        if let Some(key) = key {
            self.configs.key = key;
            self.configs.is_key_kept = true;
        }
        self.configs.known = recovered.configs;
        let roles = recovered.services.values().flat_map(Service::roles);
        self.roles.extend(roles.cloned());
        self.services = recovered.services;
        self.start_floor = recovered.start_floor;
        self.discovery.touched = recovered.virtuals.keys().cloned().collect();
        self.discovery.virtuals = recovered.virtuals;
        self.discovery.addresses = recovered.addresses;
        self.discovery.policies = Policies::recover(recovered.policies);
        self.autoscaler.logs = recovered.logs;
        Ok(())
    }

    fn subscribed(&mut self, cx: &mut Context<'_>, _framework_id: &FrameworkId) {
        self.cluster.connected = true;
        self.arm(cx.now());
        self.services.values_mut().for_each(|service| service.advance(cx));
        self.state_demand(cx);
    }

    fn disconnected(&mut self, _cx: &mut Context<'_>) {
        self.cluster.connected = false;
        self.cluster.losses.clear();
        self.cluster.leaving.clear();
        self.disarm();
        self.cluster.agents.clear();
    }

    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) {
        for offer in &offers {
            self.cluster.leaving.offered(offer, cx.now());
            let agents = self.cluster.agents.entry(offer.agent_id.clone());
            agents.or_insert_with(|| KnownAgent {
                id: offer.agent_id.clone(),
                info: offer.agent_info(),
                is_offered: true,
            });
        }
        offers::place(&mut self.services, &self.cluster, &self.configs, offers, cx);
        self.state_demand(cx);
    }

    fn update(&mut self, cx: &mut Context<'_>, status: &TaskStatus) {
        let Some(parts) = Parts::parse(&status.task_id) else {
            return Self::surplus(status, cx);
        };
        let service = self.services.get_mut(parts.service);
        if !service.is_some_and(|service| service.update(parts, status, cx)) {
            Self::surplus(status, cx);
        }
        self.forget_if_over(parts.service, cx);
        self.leave(cx);
        self.state_demand(cx);
    }

    fn inverse_offer(&mut self, cx: &mut Context<'_>, offer: &InverseOffer) {
        self.cluster.leaving.add(offer);
        cx.accept_inverse(&offer.id);
        self.leave(cx);
        self.state_demand(cx);
    }

    fn inverse_rescinded(&mut self, cx: &mut Context<'_>, offer: &OfferId) {
        self.cluster.leaving.remove(offer);
        let due = self.cluster.leaving.due(cx.now());
        self.services
            .values_mut()
            .for_each(|service| service.stay(due, cx));
        self.state_demand(cx);
    }

    fn agent_away(&mut self, cx: &mut Context<'_>, agent: &AgentId, away_for: Duration) {
        let millis = u64::try_from(away_for.as_millis()).unwrap_or(u64::MAX);
        let since = Timestamp(cx.now().0.saturating_sub(millis));
        let since = self.cluster.losses.add(agent, since);
        for (name, service) in self.services.iter().filter(|(_, service)| service.is_on(agent)) {
            let at = since.after(service.spec.lost_after());
            self.cluster.losses.expect(at, agent, name);
        }
    }

    fn agent_back(&mut self, _cx: &mut Context<'_>, agent: &AgentId) {
        self.cluster.losses.remove(agent);
    }

    fn agent_lost(&mut self, _cx: &mut Context<'_>, agent: &AgentId) {
        self.cluster.losses.remove(agent);
    }

    fn shapes(&mut self, cx: &mut Context<'_>, n_agents: u32, largest: &[Resources]) {
        self.cluster.n_agents = n_agents;
        self.cluster.largest = largest.to_vec();
        self.state_demand(cx);
    }

    fn wants_agents(&self) -> bool {
        true
    }

    fn agents(&mut self, cx: &mut Context<'_>, agents: &[KnownAgent], gone: &[AgentId]) {
        for agent in agents {
            self.cluster.agents.insert(agent.id.clone(), agent.clone());
        }
        for agent in gone {
            self.cluster.agents.remove(agent);
        }
        self.note_hosts(agents, gone);
        self.state_demand(cx);
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        self.services.values_mut().for_each(|service| service.tick(cx));
        while let Some((agent, name)) = self.cluster.losses.take(cx.now(), self.cluster.n_agents) {
            if let Some(service) = self.services.get_mut(&name) {
                service.lose(&agent, cx);
            }
        }
        self.leave(cx);
        self.autoscale(cx);
        self.state_demand(cx);
    }

    fn roles(&self) -> Option<&BTreeSet<Role>> {
        Some(&self.roles)
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let services = self.services.values().filter_map(Service::next_deadline);
        let cluster = [
            self.cluster.losses.next(),
            self.cluster.leaving.next(),
            self.next_look(),
        ];
        services.chain(cluster.into_iter().flatten()).min()
    }
}

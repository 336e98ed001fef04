//! A scheduler with its records and its clock, driven by text.
//!
//! After every step the records must give back the very scheduler that wrote them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use proffer_session::{Context, Output, Scheduler, Write};
use proffer_types::container::{Check, CheckKind};
use proffer_types::scheduler_link::Call;
use proffer_types::{
    AgentId, Attribute, ContainerSpec, FrameworkId, InverseOffer, KillPolicy, Limits, MasterId, Offer,
    OfferId, Operation, PlacementRules, Resources, Role, ShapeId, StatusReason, StatusSource, TaskId,
    TaskInfo, TaskState, TaskStatus, Timestamp, Unavailability,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::empty;
use crate::index::Index;
use crate::service::Service;
use crate::services::Cluster;
use crate::{
    Amount, Mode, ReplicaRule, ServiceSpec, ServiceTask, ServiceView, Services, Steer, UpdatePolicy,
    UpdateStrategy, VirtualPort,
};

mod places;

pub(super) use self::places::{known_of, replica_rule_of};
use self::places::{rules_of, shape_text};

pub(super) struct World {
    pub(super) services: Services,
    pub(super) now: Timestamp,
    pub(super) records: BTreeMap<String, Vec<u8>>,
    n_offers: u64,
    /// Of what is applied and offered from now on.
    role: Role,
    rules: PlacementRules,
    replica_rules: Vec<ReplicaRule>,
    lost_after: Option<Duration>,
    update: UpdatePolicy,
    has_checks: bool,
    /// Whether the tasks of services have a port, and under which they are exposed.
    has_port: bool,
    expose: Vec<VirtualPort>,
    labels: BTreeMap<String, String>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            services: empty(),
            now: Timestamp(1_000),
            records: BTreeMap::new(),
            n_offers: 0,
            role: Role::default(),
            rules: PlacementRules::default(),
            replica_rules: Vec::new(),
            lost_after: None,
            update: policy(),
            has_checks: false,
            has_port: false,
            expose: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    /// Runs one method, writes its records, and gives back its calls.
    pub(super) fn run<R>(
        &mut self,
        command: impl FnOnce(&mut Services, &mut Context<'_>) -> R,
    ) -> (R, Vec<Call>) {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let (mut output, mut held) = (Output::default(), Vec::new());
        let mut cx = Context::new(self.now, &mut rng, &mut output, &mut held);
        let result = command(&mut self.services, &mut cx);
        for write in output.writes {
            match write {
                Write::Put { key, value } => self.records.insert(key, value),
                Write::Delete { key } => self.records.remove(&key),
            };
        }
        assert_eq!(self.recovered(), self.durable(), "records and state differ");
        self.services.assert_consistent();
        (result, output.calls)
    }

    fn recovered(&self) -> Services {
        let mut recovered = self.services.clone();
        let records: Vec<_> = self.records.clone().into_iter().collect();
        recovered.recover(&records).unwrap();
        recovered
    }

    fn durable(&self) -> Services {
        self.services.without_soft_state()
    }

    /// Drops the scheduler and takes it up from its records.
    pub(super) fn restart(&mut self) {
        self.services = self.recovered();
    }

    pub(super) fn offer(&mut self, agent: &str, resources: Resources) -> Offer {
        self.n_offers += 1;
        Offer {
            id: MasterId::from_random(0).offer(self.n_offers),
            framework_id: framework_id(),
            agent_id: AgentId::new(agent).unwrap(),
            hostname: agent.to_owned(),
            address: "10.0.0.1:5051".to_owned(),
            role: self.role.clone(),
            resources,
            attributes: Vec::new(),
            domain: None,
            shapes: Vec::new(),
            gang: None,
            unavailability: None,
        }
    }

    /// A minute that begins so many seconds from now.
    fn window(&self, after: &str) -> Unavailability {
        Unavailability {
            start: self.now.after(Duration::from_secs(after.parse().unwrap())),
            duration: Duration::from_secs(60),
        }
    }

    fn inverse(&self, id: &str, agent: &str, after: &str) -> InverseOffer {
        InverseOffer {
            id: OfferId::new(id).unwrap(),
            framework_id: framework_id(),
            agent_id: AgentId::new(agent).unwrap(),
            hostname: agent.to_owned(),
            unavailability: self.window(after),
            is_drained: false,
            resources: Resources::new(),
        }
    }

    /// `A cpus:4;mem:4GiB,1*2,rack=r1,window=60`: an agent, what it offers, for two replicas of the first service, its
    /// attributes, in how many seconds its maintenance window begins.
    fn offer_of(&mut self, agent: &str, text: &str) -> Offer {
        let mut words = text.split(',');
        let resources = words.next().unwrap().parse().unwrap();
        let mut offer = self.offer(agent, resources);
        if let Some(known) = self.services.cluster.agents.get(&offer.agent_id) {
            offer.hostname = known.info.hostname.clone();
            offer.attributes = known.info.attributes.clone();
        }
        for word in words {
            if let Some((number, n)) = word.split_once('*') {
                let shape = ShapeId(number.parse().unwrap());
                offer.shapes.push((shape, n.parse().unwrap()));
            } else if let Some(after) = word.strip_prefix("window=") {
                offer.unavailability = Some(self.window(after));
            } else if let Some((name, value)) = word.split_once('=') {
                offer.attributes.push(Attribute {
                    name: name.to_owned(),
                    value: value.to_owned(),
                });
            }
        }
        offer
    }

    pub(super) fn subscribe(&mut self) -> Vec<Call> {
        self.run(|services, cx| services.subscribed(cx, &framework_id()))
            .1
    }

    pub(super) fn status(&mut self, task: &TaskId, state: TaskState) -> Vec<Call> {
        let status = status(task, state, self.now);
        self.run(|services, cx| services.update(cx, &status)).1
    }

    /// One line of a scenario; gives back what came of it.
    pub(super) fn line(&mut self, line: &str) -> String {
        let words: Vec<_> = line.split_whitespace().collect();
        let calls = match *words.as_slice() {
            ["subscribe"] => self.subscribe(),
            ["role", role] => {
                self.role = Role::new(role).unwrap();
                Vec::new()
            }
            ["disconnect"] => self.run(|services, cx| services.disconnected(cx)).1,
            ["restart"] => {
                self.restart();
                Vec::new()
            }
            ["shapes", ref shapes @ ..] => {
                let shapes: Vec<Resources> = shapes.iter().map(|shape| shape.parse().unwrap()).collect();
                let n_agents = u32::try_from(shapes.len()).unwrap();
                self.run(|services, cx| services.shapes(cx, n_agents, &shapes)).1
            }
            ["rules", ref rules @ ..] => {
                self.rules = rules_of(rules);
                self.replica_rules = rules.iter().filter_map(|rule| replica_rule_of(rule)).collect();
                Vec::new()
            }
            ["agents", ref agents @ ..] => {
                let agents: Vec<_> = agents.iter().map(|text| known_of(text)).collect();
                self.run(|services, cx| services.agents(cx, &agents, &[])).1
            }
            ["asks"] => {
                let shapes = self.services.demand(&self.role);
                let shapes: Vec<_> = shapes.iter().map(shape_text).collect();
                return shapes.join("; ");
            }
            ["apply", name, replicas, resources, ref command @ ..] => {
                let mut spec = spec(name, replicas.parse().unwrap(), resources, command);
                spec.role = self.role.clone();
                spec.task.rules = self.rules.clone();
                spec.task.replica_rules = self.replica_rules.clone();
                spec.lost_after = self.lost_after;
                spec.update = self.update;
                spec.labels = self.labels.clone();
                if self.has_port {
                    spec.task.container.network = super::discovery::network();
                    spec.expose = self.expose.clone();
                }
                if self.has_checks {
                    spec.task.container.health = Some(check());
                    spec.task.container.readiness = Some(check());
                }
                let (result, calls) = self.run(|services, cx| services.apply(spec, cx));
                return match result {
                    Ok(applied) if applied.created => told("created", &calls),
                    Ok(applied) => told(&format!("version {}", applied.version), &calls),
                    Err(error) => told(&error.to_string(), &calls),
                };
            }
            ["update", ref words @ ..] => {
                self.update = policy_of(words);
                Vec::new()
            }
            ["ports"] => {
                self.has_port = true;
                Vec::new()
            }
            ["expose", ref ports @ ..] => {
                self.expose = ports.iter().map(|port| super::discovery::port(port)).collect();
                Vec::new()
            }
            ["labels", ref labels @ ..] => {
                self.labels = super::discovery::labels(labels);
                Vec::new()
            }
            ["virtual", name, ref words @ ..] => {
                let of = super::discovery::virtual_service(name, words);
                let (result, calls) = self.run(|services, cx| services.apply_virtual(of, cx));
                return told(
                    &result.map_or_else(|error| error.to_string(), |_| "applied".into()),
                    &calls,
                );
            }
            ["unvirtual", name] => {
                let (result, calls) = self.run(|services, cx| services.delete_virtual(name, cx));
                return told(
                    &result.map_or_else(|error| error.to_string(), |()| String::new()),
                    &calls,
                );
            }
            ["changes"] => return super::discovery::show(self.services.take_changes()),
            ["problems", name] => {
                let view = self.services.get_virtual(name, self.now);
                return view.map_or_else(|error| error.to_string(), |view| view.problems.join("\n"));
            }
            ["checks"] => {
                self.has_checks = true;
                Vec::new()
            }
            ["pause", name] => return self.steer(name, Steer::Pause),
            ["resume", name] => return self.steer(name, Steer::Resume),
            ["promote", name] => return self.steer(name, Steer::Promote),
            ["again", name] => return self.steer(name, Steer::Restart),
            ["rollback", name] => return self.steer(name, Steer::Rollback(None)),
            ["rollback", name, to] => return self.steer(name, Steer::Rollback(to.parse().ok())),
            ["versions", name] => {
                let view = self.services.get(name).unwrap();
                let versions = view.versions.iter();
                let versions: Vec<_> = versions
                    .map(|version| format!("v{} {:?}", version.number, version.outcome))
                    .collect();
                return versions.join(", ");
            }
            ["daemon", name, resources, ref command @ ..] => {
                let mut spec = spec(name, 0, resources, command);
                spec.mode = Mode::Daemon;
                spec.update = self.update;
                spec.task.rules = self.rules.clone();
                spec.task.replica_rules = self.replica_rules.clone();
                let (result, calls) = self.run(|services, cx| services.apply(spec, cx));
                let result = result.map(|applied| format!("version {}", applied.version));
                return told(&result.unwrap_or_else(|error| error.to_string()), &calls);
            }
            ["scale", name, replicas] => {
                let replicas = replicas.parse().unwrap();
                let (result, calls) = self.run(|services, cx| services.scale(name, replicas, cx));
                return told(
                    &result.map_or_else(|error| error.to_string(), |()| String::new()),
                    &calls,
                );
            }
            ["delete", name] => {
                let (result, calls) = self.run(|services, cx| services.delete(name, cx));
                return told(
                    &result.map_or_else(|error| error.to_string(), |()| String::new()),
                    &calls,
                );
            }
            ["offer", ref offers @ ..] => {
                let offers = offers
                    .chunks(2)
                    .map(|pair| self.offer_of(pair[0], pair[1]))
                    .collect();
                self.run(|services, cx| services.offers(cx, offers)).1
            }
            ["lost-after", time] => {
                let time: u64 = time.parse().unwrap();
                self.lost_after = (time > 0).then(|| Duration::from_secs(time));
                Vec::new()
            }
            ["away", agent, time] => {
                let (agent, time) = (AgentId::new(agent).unwrap(), time.parse().unwrap());
                let time = Duration::from_secs(time);
                self.run(|services, cx| services.agent_away(cx, &agent, time)).1
            }
            ["inverse", id, agent, after] => {
                let offer = self.inverse(id, agent, after);
                self.run(|services, cx| services.inverse_offer(cx, &offer)).1
            }
            ["drains", id, agent, after] => {
                let offer = InverseOffer {
                    is_drained: true,
                    ..self.inverse(id, agent, after)
                };
                self.run(|services, cx| services.inverse_offer(cx, &offer)).1
            }
            ["rescind-inverse", id] => {
                let id = OfferId::new(id).unwrap();
                self.run(|services, cx| services.inverse_rescinded(cx, &id)).1
            }
            ["back", agent] => {
                let agent = AgentId::new(agent).unwrap();
                self.run(|services, cx| services.agent_back(cx, &agent)).1
            }
            ["wait", time] => {
                self.now = self.now.after(Duration::from_secs(time.parse().unwrap()));
                self.run(|services, cx| services.tick(cx)).1
            }
            ["tally"] => {
                let tallies = self.services.tallies(self.now);
                let tallies = tallies.iter().map(|of| {
                    let (namespace, name) = (&of.namespace, &of.name);
                    let n = format!("{} of {}, {} crash", of.available, of.wanted, of.crash_looping);
                    format!("{namespace}/{name} {n}, failed {}", of.deployment_failed)
                });
                return tallies.collect::<Vec<_>>().join("; ");
            }
            ["show"] => {
                let shown: Vec<_> = self.services.list().iter().map(show).collect();
                return shown.join("; ");
            }
            ["why", name] => return self.services.explain(name, self.now).unwrap().join("\n"),
            ["DRAINED", task] => {
                let mut status = status(&TaskId::new(task).unwrap(), TaskState::Killed, self.now);
                status.reason = Some(StatusReason::AgentDraining);
                self.run(|services, cx| services.update(cx, &status)).1
            }
            [word, task] if word.starts_with("WELL-") => {
                let mut status = status(&TaskId::new(task).unwrap(), TaskState::Running, self.now);
                status.condition.healthy = Some(true);
                status.condition.ready = Some(word == "WELL-READY");
                self.run(|services, cx| services.update(cx, &status)).1
            }
            [state, task] => {
                let state = TaskState::ALL.into_iter().find(|known| known.as_str() == state);
                self.status(&TaskId::new(task).unwrap(), state.unwrap())
            }
            _ => panic!("what is `{line}`?"),
        };
        told("", &calls)
    }

    fn steer(&mut self, name: &str, steer: Steer) -> String {
        let (result, calls) = self.run(|services, cx| services.steer(name, steer, cx));
        match result {
            Ok(version) => told(&format!("version {version}"), &calls),
            Err(error) => told(&error.to_string(), &calls),
        }
    }
}

fn check() -> Check {
    let second = Duration::from_secs(1);
    Check {
        kind: CheckKind::Command(vec!["true".to_owned()]),
        delay: Duration::ZERO,
        interval: second,
        timeout: second,
        grace: Duration::ZERO,
        failures: 1,
    }
}

/// At once available; otherwise as by default.
fn policy() -> UpdatePolicy {
    UpdatePolicy {
        min_healthy: Duration::ZERO,
        ..UpdatePolicy::default()
    }
}

/// `surge=1 unavailable=25% canary=1 healthy=5 deadline=60 by-hand blue-green no-rollback`.
pub(super) fn policy_of(words: &[&str]) -> UpdatePolicy {
    let mut policy = policy();
    let amount = |text: &str| match text.strip_suffix('%') {
        Some(percent) => Amount::Percent(percent.parse().unwrap()),
        None => Amount::Count(text.parse().unwrap()),
    };
    let seconds = |text: &str| Duration::from_secs(text.parse().unwrap());
    for word in words {
        match word.split_once('=') {
            Some(("surge", text)) => policy.max_surge = amount(text),
            Some(("unavailable", text)) => policy.max_unavailable = amount(text),
            Some(("canary", text)) => policy.canary = text.parse().unwrap(),
            Some(("healthy", text)) => policy.min_healthy = seconds(text),
            Some(("deadline", text)) => policy.deadline = seconds(text),
            None if *word == "by-hand" => policy.promote_by_hand = true,
            None if *word == "blue-green" => policy.strategy = UpdateStrategy::BlueGreen,
            None if *word == "no-rollback" => policy.auto_rollback = false,
            Some(_) | None => panic!("what is `{word}`?"),
        }
    }
    policy
}

impl Services {
    /// Compares every index with one built anew.
    fn assert_consistent(&self) {
        for service in self.services.values() {
            assert_eq!(service.index, Index::of(service.slots.values(), service.version));
        }
    }

    /// The state as a fresh recovery leaves it.
    fn without_soft_state(&self) -> Self {
        let mut services = self.clone();
        services.cluster = Cluster::default();
        services.stated.clear();
        services.discovery.edges = crate::discovery::Edges::default();
        services.discovery.policies = services.discovery.policies.as_recovered();
        services.discovery.touched = services.discovery.virtuals.keys().cloned().collect();
        services
            .services
            .values_mut()
            .for_each(|service| service.touched = true);
        services.disarm();
        let roles = services.services.values().flat_map(Service::roles).cloned();
        services.roles = roles.chain([Role::default()]).collect();
        services
    }
}

fn framework_id() -> FrameworkId {
    MasterId::from_random(0).framework(1)
}

pub(super) fn spec(name: &str, replicas: u32, resources: &str, command: &[&str]) -> ServiceSpec {
    let command = if command.is_empty() { &["server"] } else { command };
    ServiceSpec {
        name: name.to_owned(),
        role: Role::default(),
        mode: Mode::Replicated,
        replicas,
        task: ServiceTask {
            resources: resources.parse().unwrap(),
            container: ContainerSpec {
                command: command.iter().map(ToString::to_string).collect(),
                ..ContainerSpec::default()
            },
            kill_policy: KillPolicy::default(),
            limits: Limits::default(),
            rules: PlacementRules::default(),
            replica_rules: Vec::new(),
        },
        lost_after: None,
        update: policy(),
        disruption: Amount::Count(1),
        labels: BTreeMap::new(),
        expose: Vec::new(),
        shutdown_delay: None,
        scaling: None,
    }
}

pub(super) fn status(task: &TaskId, state: TaskState, timestamp: Timestamp) -> TaskStatus {
    TaskStatus {
        task_id: task.clone(),
        agent_id: None,
        state,
        source: StatusSource::Agent,
        reason: None,
        message: String::new(),
        timestamp,
        uuid: None,
        exit: None,
        usage: None,
        condition: proffer_types::TaskCondition::default(),
    }
}

fn show(service: &ServiceView) -> String {
    let mut text = format!("{} v{}", service.spec.name, service.version);
    for replica in &service.replicas {
        let task = replica.task_id.as_ref().map_or("-", TaskId::as_str);
        let joint = if replica.is_successor { " +" } else { "," };
        write!(text, "{joint} {task} v{} {:?}", replica.version, replica.state).unwrap();
    }
    text
}

fn told(result: &str, calls: &[Call]) -> String {
    let calls = calls.iter().map(tell);
    let told: Vec<_> = std::iter::once(result.to_owned())
        .filter(|result| !result.is_empty())
        .chain(calls)
        .collect();
    told.join("; ")
}

fn tell(call: &Call) -> String {
    match call {
        Call::Accept { operations, .. } => {
            let tasks: Vec<_> = launched(operations).collect();
            let ids: Vec<_> = tasks.iter().map(|task| task.id.as_str()).collect();
            format!("launch {} on {}", ids.join(" "), tasks[0].agent_id)
        }
        Call::Kill { task_id, .. } => format!("kill {task_id}"),
        Call::Suspend { task_id, .. } => format!("suspend {task_id}"),
        Call::Decline { filters, .. } => format!("decline {:?}", filters.refuse),
        Call::Demand { role, demand } => {
            let shapes = demand.iter().flat_map(|demand| &demand.shapes);
            let shapes: String = shapes
                .map(|shape| match &shape.agent {
                    Some(agent) => format!(" {agent}*{}", shape.count),
                    None => format!(" {}*{}", shape.id.0, shape.count),
                })
                .collect();
            format!("want {role}{shapes}")
        }
        Call::AcceptInverse { offers } => format!("accept inverse {}", offers[0]),
        Call::Subscribe { .. }
        | Call::DeclineInverse { .. }
        | Call::Update { .. }
        | Call::Revive { .. }
        | Call::Suppress { .. }
        | Call::Acknowledge { .. }
        | Call::AcknowledgeOperation { .. }
        | Call::Reconcile { .. }
        | Call::ReconcileOperations { .. }
        | Call::Teardown
        | Call::Ping => format!("{call:?}"),
    }
}

/// The tasks of an accept.
pub(super) fn launched(operations: &[Operation]) -> impl Iterator<Item = &TaskInfo> {
    operations.iter().flat_map(|operation| {
        let Operation::Launch(tasks) = operation else {
            panic!("nobody asked for {operation:?}");
        };
        tasks
    })
}

/// Runs a scenario of one command a line; what each did stands behind an arrow.
pub(super) fn scenario(text: &str) -> String {
    let mut world = World::new();
    let mut out = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let told = world.line(line);
        let told = told.replace('\n', "\n    ");
        writeln!(out, "{}", format!("{line} -> {told}").trim_end()).unwrap();
    }
    out
}

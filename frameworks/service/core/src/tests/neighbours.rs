//! Random runs with rules of where replicas run: no start breaks one, and all that can run runs in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_session::Scheduler;
use proffer_types::scheduler_link::Call;
use proffer_types::{AgentId, KnownAgent, Offer, Resources, Shape, TaskId, TaskInfo, TaskState, Timestamp};
use proptest::prelude::*;

use super::world::{World, known_of, launched, policy_of, replica_rule_of, spec};
use crate::task_id::Parts;
use crate::{PlaceKey, ReplicaRule, ReplicaState, RuleKind, Steer};

/// Each could hold all tasks there are.
const AGENTS: [&str; 6] = [
    "A,zone=a,host=h1",
    "B,zone=a,host=h1",
    "C,zone=a,host=h2",
    "D,zone=b,host=h3",
    "E,zone=c,host=h4",
    "F,host=h5",
];
const REQUEST: &str = "cpus:1;mem:64MiB";
/// Any replica finds a place by each of these, wherever the others are.
const RULES: [&str; 8] = [
    "",
    "unique:hostname",
    "spread:zone",
    "spread:zone:2 unique:hostname",
    "spread:hostname",
    "together:zone",
    "together:hostname spread:zone:9",
    "max",
];
/// Of the service `web`, beside the service `api`.
const BESIDE: [&str; 4] = ["", "near:api:zone", "near:api", "apart:api"];
const POLICIES: [&str; 4] = [
    "surge=1",
    "surge=0 unavailable=1",
    "surge=3 unavailable=1",
    "blue-green",
];

#[derive(Debug, Clone)]
enum Op {
    Api {
        replicas: u32,
        rules: usize,
        policy: usize,
        command: u8,
    },
    Web {
        replicas: u32,
        beside: usize,
        rules: usize,
        policy: usize,
    },
    Offers {
        first: usize,
    },
    Demand {
        first: usize,
    },
    Run {
        nth: usize,
    },
    End {
        nth: usize,
    },
    /// Taken out of use, and back.
    Use {
        agent: usize,
        is_offered: bool,
    },
    Wait {
        secs: u64,
    },
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let (rules, policy) = (0..RULES.len(), 0..POLICIES.len());
    let first = 0..AGENTS.len();
    prop_oneof![
        2 => (1..=3_u32, rules.clone(), policy.clone(), 0..2_u8)
            .prop_map(|(replicas, rules, policy, command)| Op::Api { replicas, rules, policy, command }),
        2 => (1..=3_u32, 0..BESIDE.len(), rules, policy)
            .prop_map(|(replicas, beside, rules, policy)| Op::Web { replicas, beside, rules, policy }),
        2 => first.clone().prop_map(|first| Op::Offers { first }),
        8 => first.clone().prop_map(|first| Op::Demand { first }),
        8 => (0..20_usize).prop_map(|nth| Op::Run { nth }),
        3 => (0..20_usize).prop_map(|nth| Op::End { nth }),
        2 => (first, any::<bool>()).prop_map(|(agent, is_offered)| Op::Use { agent, is_offered }),
        2 => (0..70_u64).prop_map(|secs| Op::Wait { secs }),
        1 => Just(Op::Restart),
    ]
}

struct Task {
    info: TaskInfo,
    running: bool,
    kill: bool,
}

struct Cluster {
    world: World,
    agents: BTreeMap<AgentId, KnownAgent>,
    tasks: BTreeMap<TaskId, Task>,
    demand: Vec<Shape>,
    refused: BTreeMap<AgentId, Timestamp>,
    /// Not looked at by [`Cluster::check`].
    ignored: BTreeSet<TaskId>,
}

impl Cluster {
    fn new() -> Self {
        let agents = AGENTS.map(known_of).into_iter();
        let mut cluster = Self {
            world: World::new(),
            agents: agents.map(|known| (known.id.clone(), known)).collect(),
            tasks: BTreeMap::new(),
            demand: Vec::new(),
            refused: BTreeMap::new(),
            ignored: BTreeSet::new(),
        };
        cluster.subscribe();
        cluster
    }

    fn subscribe(&mut self) {
        let calls = self.world.subscribe();
        self.take(calls, &[]);
        self.tell_agents();
    }

    fn tell_agents(&mut self) {
        let known: Vec<_> = self.agents.values().cloned().collect();
        let calls = self.world.run(|services, cx| services.agents(cx, &known, &[])).1;
        self.take(calls, &[]);
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Api {
                replicas,
                rules,
                policy,
                command,
            } => {
                self.apply("api", replicas, RULES[rules], policy, command);
            }
            Op::Web {
                replicas,
                beside,
                rules,
                policy,
            } => {
                // By the rules of both kinds there may be no place left.
                let rules = if BESIDE[beside].is_empty() {
                    RULES[rules]
                } else {
                    BESIDE[beside]
                };
                self.apply("web", replicas, rules, policy, 0);
            }
            Op::Offers { first } => {
                let agents = self.free(first).into_iter();
                let offers = agents.map(|known| self.offer(&known, Vec::new())).collect();
                self.offers(offers);
            }
            Op::Demand { first } => self.offer_demand(first),
            Op::Run { nth } => {
                let ids: Vec<_> = self.tasks.keys().cloned().collect();
                if let Some(id) = nth.checked_rem(ids.len()).map(|nth| ids[nth].clone()) {
                    self.run(&id);
                }
            }
            Op::End { nth } => {
                let ids: Vec<_> = self.tasks.keys().cloned().collect();
                if let Some(id) = nth.checked_rem(ids.len()).map(|nth| ids[nth].clone()) {
                    self.end(&id);
                }
            }
            Op::Use { agent, is_offered } => {
                let id = known_of(AGENTS[agent]).id;
                if let Some(known) = self.agents.get_mut(&id) {
                    known.is_offered = is_offered;
                }
                self.tell_agents();
            }
            Op::Wait { secs } => {
                self.world.now = self.world.now.after(Duration::from_secs(secs));
                let calls = self.world.run(Scheduler::tick).1;
                self.take(calls, &[]);
            }
            Op::Restart => {
                self.world.restart();
                self.demand.clear();
                self.subscribe();
                for (id, state) in self
                    .tasks
                    .iter()
                    .map(|(id, task)| (id.clone(), state(task)))
                    .collect::<Vec<_>>()
                {
                    self.tell(&id, state);
                }
            }
        }
    }

    fn apply(&mut self, name: &str, replicas: u32, rules: &str, policy: usize, command: u8) {
        let mut spec = spec(name, replicas, REQUEST, &[["a", "b"][usize::from(command)]]);
        spec.task.rules.max_per_agent = (rules == "max").then_some(1);
        spec.task.replica_rules = rules.split(' ').filter_map(replica_rule_of).collect();
        spec.update = policy_of(&POLICIES[policy].split(' ').collect::<Vec<_>>());
        let calls = self.world.run(|services, cx| services.apply(spec, cx)).1;
        self.take(calls, &[]);
    }

    /// Those that can be offered, beginning anywhere.
    fn free(&self, first: usize) -> Vec<KnownAgent> {
        let may = |known: &&KnownAgent| known.is_offered;
        let mut agents: Vec<_> = self.agents.values().filter(may).cloned().collect();
        let n = agents.len().max(1);
        agents.rotate_left(first % n);
        agents
    }

    fn offer(&mut self, known: &KnownAgent, shapes: Vec<Shape>) -> Offer {
        let mut offer = self
            .world
            .offer(known.id.as_str(), "cpus:8;mem:8GiB".parse::<Resources>().unwrap());
        offer.hostname.clone_from(&known.info.hostname);
        offer.attributes.clone_from(&known.info.attributes);
        offer.shapes = shapes.iter().map(|shape| (shape.id, 1)).collect();
        offer
    }

    /// As the master would: each shape where its constraints allow it, on agents that are not refused.
    fn offer_demand(&mut self, first: usize) {
        let mut shapes: BTreeMap<AgentId, Vec<Shape>> = BTreeMap::new();
        let agents = self.free(first);
        for shape in self.demand.clone() {
            let mut left = shape.count;
            for known in &agents {
                let is_refused = self
                    .refused
                    .get(&known.id)
                    .is_some_and(|until| self.world.now < *until);
                let is_it = shape.agent.as_ref().is_none_or(|only| *only == known.id);
                let mine = self
                    .tasks
                    .values()
                    .filter(|task| task.info.agent_id == known.id && task.info.shape == Some(shape.id));
                let is_full = shape
                    .max_per_agent
                    .is_some_and(|max| mine.count() >= max as usize);
                if left > 0 && is_it && !is_full && !is_refused && shape.constraints.hold(&known.info) {
                    left -= 1;
                    shapes.entry(known.id.clone()).or_default().push(shape.clone());
                }
            }
        }
        let offers = agents
            .iter()
            .filter_map(|known| Some((known, shapes.remove(&known.id)?)));
        let offers: Vec<_> = offers.collect();
        let offers = offers
            .into_iter()
            .map(|(known, shapes)| self.offer(known, shapes))
            .collect();
        self.offers(offers);
    }

    fn offers(&mut self, offers: Vec<Offer>) {
        let given = offers.clone();
        let calls = self.world.run(|services, cx| services.offers(cx, offers)).1;
        self.take(calls, &given);
    }

    fn take(&mut self, calls: Vec<Call>, given: &[Offer]) {
        let mut new = BTreeSet::new();
        for call in calls {
            if let Call::Accept { operations, .. } = call {
                for task in launched(&operations) {
                    new.insert(task.id.clone());
                    let task = Task {
                        info: task.clone(),
                        running: false,
                        kill: false,
                    };
                    self.tasks.insert(task.info.id.clone(), task);
                }
            } else if let Call::Kill { task_id, .. } = call {
                if let Some(task) = self.tasks.get_mut(&task_id) {
                    task.kill = true;
                }
            } else if let Call::Demand { demand, .. } = call {
                self.demand = demand.map(|demand| demand.shapes).unwrap_or_default();
            } else if let Call::Decline { offers, filters } = call {
                let of = given.iter().find(|offer| offer.id == offers[0]).unwrap();
                let until = self.world.now.after(filters.refuse);
                self.refused.insert(of.agent_id.clone(), until);
            }
        }
        for id in &new {
            // By the rules of another version.
            let (service, version) = self.version(id);
            let others = new.iter().filter(|other| {
                let (of, other) = self.version(other);
                let latest = self.world.services.get(&of).unwrap().version.to_string();
                other != if of == service { version.clone() } else { latest }
            });
            // They may have been started before or after.
            let others: BTreeSet<_> = others.cloned().collect();
            self.ignored.clear();
            let before = self.check(id);
            self.ignored = others;
            let after = self.check(id);
            assert!(before.is_ok() || after.is_ok(), "{before:?} {after:?}");
        }
    }

    /// What a task runs, as it was told.
    fn version(&self, id: &TaskId) -> (String, String) {
        let task = &self.tasks[id].info;
        let parts = Parts::parse(id).unwrap();
        (
            parts.service.to_owned(),
            task.container.env["PROFFER_VERSION"].clone(),
        )
    }

    fn place(&self, key: &PlaceKey, agent: &AgentId) -> Option<String> {
        let known = &self.agents[agent];
        match key {
            PlaceKey::Agent => Some(agent.to_string()),
            PlaceKey::Of(selector) => selector.value(&known.info).map(str::to_owned),
        }
    }

    /// A start breaks no rule, as things are after all starts of the step: those of one step do not make room for each other.
    fn check(&self, id: &TaskId) -> Result<(), String> {
        let parts = Parts::parse(id).unwrap();
        let views = self.world.services.list();
        let of = |name: &str| views.iter().find(|view| view.spec.name == name);
        let own = of(parts.service).unwrap();
        let replica = own
            .replicas
            .iter()
            .find(|replica| replica.task_id.as_ref() == Some(id))
            .unwrap();
        let version = own
            .versions
            .iter()
            .find(|version| version.number == replica.version)
            .unwrap();
        let agent = &self.tasks[id].info.agent_id;
        for rule in &version.task.replica_rules {
            self.check_rule(rule, parts.service, parts.slot, agent)?;
        }
        if let Some(max) = version.task.rules.max_per_agent {
            let like = own
                .replicas
                .iter()
                .filter(|other| other.version == replica.version);
            let there = like.filter_map(|other| self.tasks.get(other.task_id.as_ref()?));
            assert!(there.filter(|task| task.info.agent_id == *agent).count() <= max as usize);
        }
        for other in views.iter().filter(|view| view.spec.name != parts.service) {
            for rule in &other.spec.task.replica_rules {
                if rule.kind == RuleKind::Apart(parts.service.to_owned()) {
                    let kind = RuleKind::Apart(other.spec.name.clone());
                    let rule = ReplicaRule {
                        kind,
                        key: rule.key.clone(),
                    };
                    self.check_rule(&rule, parts.service, parts.slot, agent)?;
                }
            }
        }
        Ok(())
    }

    fn check_rule(
        &self,
        rule: &ReplicaRule,
        service: &str,
        slot: u32,
        agent: &AgentId,
    ) -> Result<(), String> {
        let place = self.place(&rule.key, agent);
        let tasks = |of: &str| {
            let of = of.to_owned();
            let tasks = self.tasks.values();
            let tasks = tasks.map(|task| (Parts::parse(&task.info.id).unwrap(), task));
            let tasks = tasks.filter(|(_, task)| !self.ignored.contains(&task.info.id));
            tasks.filter(move |(parts, _)| parts.service == of)
        };
        let at = |task: &Task| self.place(&rule.key, &task.info.agent_id);
        let others = self.destinations(rule, service, Some(slot));
        let n = |place: &String| others.get(place).copied().unwrap_or(0);
        let holds = match &rule.kind {
            RuleKind::Unique => {
                let mut others = tasks(service).filter(|(parts, _)| parts.slot != slot);
                place.is_some() && others.all(|(_, task)| at(task) != place)
            }
            RuleKind::Spread { max_skew } => {
                let open = self.agents.values().filter(|known| known.is_offered);
                let open = open.filter_map(|known| self.place(&rule.key, &known.id));
                let least = open.map(|place| n(&place)).min().unwrap_or(0);
                place.is_some_and(|place| n(&place) < least + max_skew)
            }
            RuleKind::Together => {
                let most = others.values().max().copied().unwrap_or(0);
                place.is_some_and(|place| n(&place) == most)
            }
            RuleKind::Near(other) => {
                let mut near = tasks(other).filter(|(_, task)| !task.kill);
                place.is_some() && near.any(|(_, task)| at(task) == place)
            }
            RuleKind::Apart(other) => tasks(other).all(|(_, task)| at(task) != place),
        };
        match holds {
            true => Ok(()),
            false => Err(format!(
                "{rule}: slot {slot} of {service} on {agent}, others {others:?}"
            )),
        }
    }

    /// How many slots, but for one, are or will be in each place.
    fn destinations(&self, rule: &ReplicaRule, service: &str, but: Option<u32>) -> BTreeMap<String, u32> {
        let view = self.world.services.get(service).unwrap();
        let mut agents = BTreeMap::new();
        for replica in &view.replicas {
            let is_live = matches!(replica.state, ReplicaState::Starting | ReplicaState::Running);
            let id = replica.task_id.as_ref().filter(|id| !self.ignored.contains(*id));
            let task = id.and_then(|id| self.tasks.get(id));
            if let Some(task) = task.filter(|_| is_live && Some(replica.slot) != but) {
                // The second of a slot is its successor.
                agents.insert(replica.slot, task.info.agent_id.clone());
            }
        }
        let mut counts = BTreeMap::new();
        for place in agents.values().filter_map(|agent| self.place(&rule.key, agent)) {
            *counts.entry(place).or_default() += 1;
        }
        counts
    }

    fn tell(&mut self, id: &TaskId, state: TaskState) {
        let calls = self.world.status(id, state);
        self.take(calls, &[]);
    }

    fn run(&mut self, id: &TaskId) {
        self.tasks.get_mut(id).unwrap().running = true;
        self.tell(id, TaskState::Running);
    }

    fn end(&mut self, id: &TaskId) {
        let task = self.tasks.remove(id).unwrap();
        self.tell(
            id,
            if task.kill {
                TaskState::Killed
            } else {
                TaskState::Gone
            },
        );
    }

    /// All agents are in use, and tasks start and stop as asked.
    fn heal(&mut self) {
        self.agents.values_mut().for_each(|known| known.is_offered = true);
        self.tell_agents();
        for round in 0..60 {
            for name in ["api", "web"] {
                let resumed = self
                    .world
                    .run(|services, cx| services.steer(name, Steer::Resume, cx));
                self.take(resumed.1, &[]);
            }
            self.step(&Op::Wait { secs: 11 });
            self.step(&Op::Demand { first: round });
            for id in self.tasks.keys().cloned().collect::<Vec<_>>() {
                match self.tasks.get(&id).map(|task| (task.kill, task.running)) {
                    Some((true, _)) => self.end(&id),
                    Some((false, false)) => self.run(&id),
                    Some((false, true)) | None => {}
                }
            }
        }
    }

    fn assert_whole(&self) {
        let views = self.world.services.list();
        let rules = |name: &str| {
            let of = views.iter().filter(|view| view.spec.name == name);
            of.flat_map(|view| &view.spec.task.replica_rules)
                .collect::<Vec<_>>()
        };
        let web = rules("web");
        // What keeps apart from the other may be where that would have to be.
        let is_apart = web.iter().any(|rule| matches!(rule.kind, RuleKind::Apart(_)));
        if is_apart && !rules("api").is_empty() {
            return;
        }
        // What is near to nothing waits: the other service may not be there, or be on agents that are no place.
        let is_lone = web.iter().any(|rule| {
            let is_place = |task: &&Task| self.place(&rule.key, &task.info.agent_id).is_some();
            let mut api = self
                .tasks
                .values()
                .filter(|task| task.info.name.starts_with("api"));
            matches!(rule.kind, RuleKind::Near(_)) && !api.any(|task| is_place(&task))
        });
        for view in &views {
            let name = &view.spec.name;
            if name == "web" && is_lone {
                continue;
            }
            // What is to be together with replicas of an earlier version waits where these are no place by another rule.
            let own = &view.spec.task.replica_rules;
            let is_bound = own.iter().any(|rule| matches!(rule.kind, RuleKind::Together))
                && self.tasks.values().any(|task| {
                    let mut others = own.iter().filter(|rule| !matches!(rule.kind, RuleKind::Apart(_)));
                    task.info.name.starts_with(name)
                        && others.any(|rule| self.place(&rule.key, &task.info.agent_id).is_none())
                });
            if is_bound {
                continue;
            }
            let running = self
                .tasks
                .values()
                .filter(|task| task.running && task.info.name.starts_with(name));
            let why = self.world.services.explain(name, self.world.now).unwrap();
            assert_eq!(
                running.count(),
                view.spec.replicas as usize,
                "{why:#?} {:?}",
                self.demand
            );
        }
    }
}

fn state(task: &Task) -> TaskState {
    if task.running {
        TaskState::Running
    } else {
        TaskState::Staging
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn no_start_breaks_a_rule_and_all_replicas_run_in_the_end(ops in prop::collection::vec(op(), 1..60)) {
        let mut cluster = Cluster::new();
        ops.iter().for_each(|op| cluster.step(op));
        cluster.heal();
        cluster.assert_whole();
    }
}

//! Random runs against a small cluster: whatever happens, the services end up as wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_session::Scheduler;
use proffer_types::scheduler_link::Call;
use proffer_types::{Offer, Resources, Role, Shape, TaskId, TaskInfo, TaskState};
use proptest::prelude::*;

use super::world::{World, launched, policy_of, spec};
use crate::Steer;
use crate::task_id::Parts;

const AGENTS: [&str; 3] = ["A", "B", "C"];
const SERVICES: [&str; 2] = ["api", "web"];
const REQUEST: &str = "cpus:1;mem:64MiB";
/// Each agent holds three replicas; all services together never ask for more than two agents hold.
const AGENT: &str = "cpus:3;mem:1GiB";
const MAX_REPLICAS: u32 = 3;

const POLICIES: [&str; 5] = [
    "surge=1",
    "surge=0 unavailable=1",
    "surge=50% unavailable=50% healthy=5",
    "canary=1 by-hand healthy=5",
    "blue-green",
];
const STEERS: [Steer; 6] = [
    Steer::Pause,
    Steer::Resume,
    Steer::Promote,
    Steer::Restart,
    Steer::Rollback(None),
    Steer::Rollback(Some(1)),
];

#[derive(Debug, Clone)]
enum Op {
    Apply {
        service: usize,
        replicas: u32,
        command: u8,
        policy: usize,
    },
    Steer {
        service: usize,
        steer: Steer,
    },
    Scale {
        service: usize,
        replicas: u32,
    },
    Delete {
        service: usize,
    },
    /// The remainders of all agents, as where nothing was stated.
    Offers,
    /// Room for what was asked for.
    OffersForDemand,
    /// All launches until the next one are lost on the way.
    LoseLaunches(bool),
    /// The nth of those that can be heard of starts to run.
    Run {
        nth: usize,
    },
    /// The nth that runs or was asked to stop ends.
    End {
        nth: usize,
        state: TaskState,
    },
    AgentLost {
        agent: usize,
    },
    AgentBack {
        agent: usize,
    },
    Wait {
        secs: u64,
    },
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let (service, replicas) = (0..SERVICES.len(), 0..=MAX_REPLICAS);
    let ends = [
        TaskState::Finished,
        TaskState::Failed,
        TaskState::Killed,
        TaskState::Gone,
        TaskState::Error,
    ];
    let agent = 0..AGENTS.len();
    prop_oneof![
        3 => (service.clone(), replicas.clone(), 0..3_u8, 0..POLICIES.len())
            .prop_map(|(service, replicas, command, policy)| Op::Apply { service, replicas, command, policy }),
        2 => (service.clone(), prop::sample::select(STEERS.to_vec()))
            .prop_map(|(service, steer)| Op::Steer { service, steer }),
        1 => (service.clone(), replicas).prop_map(|(service, replicas)| Op::Scale { service, replicas }),
        1 => service.prop_map(|service| Op::Delete { service }),
        2 => Just(Op::Offers),
        7 => Just(Op::OffersForDemand),
        1 => any::<bool>().prop_map(Op::LoseLaunches),
        12 => (0..20_usize).prop_map(|nth| Op::Run { nth }),
        4 => (0..20_usize, prop::sample::select(ends.to_vec())).prop_map(|(nth, state)| Op::End { nth, state }),
        2 => agent.clone().prop_map(|agent| Op::AgentLost { agent }),
        3 => agent.prop_map(|agent| Op::AgentBack { agent }),
        3 => (0..70_u64).prop_map(|secs| Op::Wait { secs }),
        2 => Just(Op::Restart),
    ]
}

struct Task {
    info: TaskInfo,
    running: bool,
    /// Asked to stop.
    kill: bool,
}

/// The master and its agents, as far as a scheduler can tell.
struct Cluster {
    world: World,
    /// Tasks that are alive, wherever.
    tasks: BTreeMap<TaskId, Task>,
    ever: BTreeSet<TaskId>,
    down: BTreeSet<&'static str>,
    /// As it was stated last.
    demand: Option<Vec<Shape>>,
    lose_launches: bool,
    /// Launches that were lost, and that nobody was told of yet.
    lost: Vec<TaskId>,
}

impl Cluster {
    fn new() -> Self {
        Self {
            world: World::new(),
            tasks: BTreeMap::new(),
            ever: BTreeSet::new(),
            down: BTreeSet::new(),
            demand: None,
            lose_launches: false,
            lost: Vec::new(),
        }
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Apply {
                service,
                replicas,
                command,
                policy,
            } => {
                let mut spec = spec(
                    SERVICES[service],
                    replicas,
                    REQUEST,
                    &[["a", "b", "c"][usize::from(command)]],
                );
                spec.update = policy_of(&POLICIES[policy].split(' ').collect::<Vec<_>>());
                let calls = self.world.run(|services, cx| services.apply(spec, cx)).1;
                self.take(calls);
            }
            Op::Steer { service, steer } => self.steer(SERVICES[service], steer),
            Op::Scale { service, replicas } => {
                let calls = self
                    .world
                    .run(|services, cx| services.scale(SERVICES[service], replicas, cx))
                    .1;
                self.take(calls);
            }
            Op::Delete { service } => {
                let calls = self
                    .world
                    .run(|services, cx| services.delete(SERVICES[service], cx))
                    .1;
                self.take(calls);
            }
            Op::Offers => self.offers(),
            Op::OffersForDemand => self.offers_for_demand(),
            Op::LoseLaunches(lose) => self.lose_launches = lose,
            Op::Run { nth } => self.run(nth),
            Op::End { nth, state } => self.end(nth, state),
            Op::AgentLost { agent } => self.agent_lost(AGENTS[agent]),
            Op::AgentBack { agent } => self.agent_back(AGENTS[agent]),
            Op::Wait { secs } => {
                self.world.now = self.world.now.after(Duration::from_secs(secs));
                let calls = self.world.run(Scheduler::tick).1;
                self.take(calls);
            }
            Op::Restart => self.restart(),
        }
        self.assert_two_a_slot();
        // Until the first step of a new process nothing is stated.
        if let Some(demand) = &self.demand {
            assert_eq!(*demand, self.world.services.demand(&Role::default()));
        }
    }

    fn steer(&mut self, service: &str, steer: Steer) {
        let calls = self
            .world
            .run(|services, cx| services.steer(service, steer, cx))
            .1;
        self.take(calls);
    }

    fn take(&mut self, calls: Vec<Call>) {
        for call in calls {
            match call {
                Call::Accept { operations, .. } => {
                    let tasks: Vec<_> = launched(&operations).cloned().collect();
                    tasks.into_iter().for_each(|task| self.launch(task));
                }
                Call::Kill { task_id, .. } => {
                    if let Some(task) = self.tasks.get_mut(&task_id) {
                        task.kill = true;
                    }
                }
                Call::Demand { demand, .. } => self.demand = demand.map(|demand| demand.shapes),
                Call::Subscribe { .. }
                | Call::Update { .. }
                | Call::Decline { .. }
                | Call::Suspend { .. }
                | Call::Revive { .. }
                | Call::Suppress { .. }
                | Call::Acknowledge { .. }
                | Call::AcknowledgeOperation { .. }
                | Call::AcceptInverse { .. }
                | Call::DeclineInverse { .. }
                | Call::Reconcile { .. }
                | Call::ReconcileOperations { .. }
                | Call::Teardown
                | Call::Ping => {}
            }
        }
        for id in std::mem::take(&mut self.lost) {
            self.tell(&id, TaskState::Dropped);
        }
    }

    fn launch(&mut self, info: TaskInfo) {
        assert!(
            self.ever.insert(info.id.clone()),
            "{} was launched before",
            info.id
        );
        if self.lose_launches {
            return self.lost.push(info.id);
        }
        let task = Task {
            running: false,
            kill: false,
            info,
        };
        let agent = task.info.agent_id.clone();
        self.tasks.insert(task.info.id.clone(), task);
        let agent_total: Resources = AGENT.parse().unwrap();
        assert!(
            agent_total.contains(&self.used(agent.as_str())),
            "{agent} holds too much"
        );
    }

    fn used(&self, agent: &str) -> Resources {
        let on_agent = self
            .tasks
            .values()
            .filter(|task| task.info.agent_id.as_str() == agent);
        on_agent.map(|task| &task.info.resources).sum()
    }

    fn offers(&mut self) {
        let offers = self.remainders();
        let calls = self.world.run(|services, cx| services.offers(cx, offers)).1;
        self.take(calls);
    }

    /// One task of each shape after the other, as long as anything fits.
    fn offers_for_demand(&mut self) {
        let mut offers = self.remainders();
        let mut left: Vec<_> = offers.iter().map(|offer| offer.resources.clone()).collect();
        for shape in self.demand.iter().flatten() {
            for _ in 0..shape.count {
                let at = left.iter().position(|left| left.contains(&shape.resources));
                let Some(at) = at else { break };
                left[at].subtract(&shape.resources);
                offers[at].shapes.push((shape.id, 1));
            }
        }
        for (offer, left) in offers.iter_mut().zip(&left) {
            offer.resources.subtract(left);
        }
        offers.retain(|offer| !offer.shapes.is_empty());
        let calls = self.world.run(|services, cx| services.offers(cx, offers)).1;
        self.take(calls);
    }

    fn remainders(&mut self) -> Vec<Offer> {
        let total: Resources = AGENT.parse().unwrap();
        AGENTS
            .into_iter()
            .filter(|agent| !self.down.contains(agent))
            .map(|agent| (agent, total.minus(&self.used(agent))))
            .filter(|(_, free)| !free.is_empty())
            .collect::<Vec<_>>()
            .into_iter()
            .map(|(agent, free)| self.world.offer(agent, free))
            .collect()
    }

    fn tell(&mut self, task: &TaskId, state: TaskState) {
        let calls = self.world.status(task, state);
        self.take(calls);
    }

    /// The tasks that can be heard of.
    fn reachable(&self) -> Vec<TaskId> {
        let up = self
            .tasks
            .values()
            .filter(|task| !self.down.contains(task.info.agent_id.as_str()));
        up.map(|task| task.info.id.clone()).collect()
    }

    /// The nth, round and round, of the tasks that can be heard of and are like that.
    fn nth(&self, nth: usize, like: impl Fn(&Task) -> bool) -> Option<TaskId> {
        let mut ids = self.reachable();
        ids.retain(|id| like(&self.tasks[id]));
        ids.get(nth.checked_rem(ids.len())?).cloned()
    }

    fn run(&mut self, nth: usize) {
        if let Some(id) = self.nth(nth, |task| !task.running) {
            self.run_one(&id);
        }
    }

    fn run_one(&mut self, id: &TaskId) {
        self.tasks.get_mut(id).unwrap().running = true;
        self.tell(id, TaskState::Running);
    }

    fn end(&mut self, nth: usize, state: TaskState) {
        if let Some(id) = self.nth(nth, |task| task.running || task.kill) {
            self.tasks.remove(&id);
            self.tell(&id, state);
        }
    }

    fn agent_lost(&mut self, agent: &'static str) {
        if self.down.insert(agent) {
            for id in self.on(agent) {
                self.tell(&id, TaskState::Unreachable);
            }
        }
    }

    fn agent_back(&mut self, agent: &'static str) {
        if self.down.remove(agent) {
            for id in self.on(agent) {
                self.tell(&id, self.state(&id));
            }
        }
    }

    fn on(&self, agent: &str) -> Vec<TaskId> {
        let on_agent = self
            .tasks
            .values()
            .filter(|task| task.info.agent_id.as_str() == agent);
        on_agent.map(|task| task.info.id.clone()).collect()
    }

    fn state(&self, id: &TaskId) -> TaskState {
        let task = &self.tasks[id];
        if self.down.contains(task.info.agent_id.as_str()) {
            TaskState::Unreachable
        } else if task.running {
            TaskState::Running
        } else {
            TaskState::Staging
        }
    }

    /// A new scheduler process; the session tells it of every task again.
    fn restart(&mut self) {
        self.world.restart();
        self.demand = None;
        let calls = self.world.subscribe();
        self.take(calls);
        for id in self.tasks.keys().cloned().collect::<Vec<_>>() {
            self.tell(&id, self.state(&id));
        }
    }

    /// No slot has more than a task and a successor that can be heard of and were not asked to stop.
    fn assert_two_a_slot(&self) {
        let mut wanted: BTreeMap<_, u32> = BTreeMap::new();
        for id in self.reachable().iter().filter(|id| !self.tasks[*id].kill) {
            let parts = Parts::parse(id).unwrap();
            let n = wanted.entry((parts.service.to_owned(), parts.slot)).or_default();
            *n += 1;
            assert!(*n <= 2, "{id} is one too many");
        }
    }

    /// Nothing goes wrong any more: agents are there, tasks start and stop as asked, and somebody lets deployments go on.
    fn heal(&mut self) {
        self.lose_launches = false;
        AGENTS.into_iter().for_each(|agent| self.agent_back(agent));
        // Each round replaces a replica or ends a pause. What has no room has failed after five, and is taken back then.
        for _ in 0..12 * MAX_REPLICAS {
            for service in SERVICES {
                self.steer(service, Steer::Resume);
                self.steer(service, Steer::Promote);
            }
            self.step(&Op::Wait { secs: 60 });
            self.step(&Op::OffersForDemand);
            for id in self.reachable() {
                if self.tasks[&id].kill {
                    self.tasks.remove(&id);
                    self.tell(&id, TaskState::Killed);
                } else if !self.tasks[&id].running {
                    self.run_one(&id);
                }
            }
        }
    }

    fn assert_as_wanted(&self) {
        let mut wanted = Vec::new();
        for service in self.world.services.list() {
            assert!(!service.deleting, "{} is still there", service.spec.name);
            for slot in 0..service.spec.replicas {
                wanted.push((
                    format!("{}.{slot}", service.spec.name),
                    service.spec.task.container.command.clone(),
                ));
            }
        }
        let is: Vec<_> = self
            .tasks
            .values()
            .inspect(|task| assert!(task.running && !task.kill, "{} does not run", task.info.id))
            .map(|task| (task.info.name.clone(), task.info.container.command.clone()))
            .collect();
        assert_eq!(is, wanted);
        assert_eq!(
            self.demand,
            Some(Vec::new()),
            "offers are asked for though nothing waits"
        );
        assert_eq!(self.world.services.next_deadline(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn every_service_ends_up_with_exactly_its_replicas_of_the_current_version(
        ops in prop::collection::vec(op(), 1..80)
    ) {
        let mut cluster = Cluster::new();
        let calls = cluster.world.subscribe();
        cluster.take(calls);
        ops.iter().for_each(|op| cluster.step(op));
        cluster.heal();
        cluster.assert_as_wanted();
    }
}

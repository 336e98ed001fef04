//! The world: one queue, one network, one store, and the nodes; what happens next is taken from the queue.
//!
//! Nodes play the shells' part, and only theirs: they carry effects out and hand commands in. Every fault is drawn here
//! and in the shells, never in a core.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use proffer_agent_core::{CheckRole, ContainerId};
use proffer_types::Timestamp;

use crate::agent_shell::AgentShell;
use crate::clock::Clock;
use crate::dice::Dice;
use crate::election::LeaseId;
use crate::facts::Fact;
use crate::framework_shell::FrameworkShell;
use crate::invariants::{self, Invariant};
use crate::machine::MachineEvent;
use crate::mask::Mask;
use crate::master_shell::MasterShell;
use crate::network::{Direction, Frame, Lives, Network, Peer, StreamId};
use crate::queue::Queue;
use crate::registry::Store;
use crate::run::Violation;
use crate::sabotage::Sabotage;
use crate::scenario::Scenario;
use crate::standing::Phase;
use crate::store_link::{Answer, Ask, Asker};
use crate::trace::Trace;

/// So many happenings at one instant are a loop: the largest clusters here need a few hundred.
const MAX_PER_INSTANT: u32 = 20_000;

/// What can happen.
#[derive(Debug)]
pub(crate) enum Happening {
    Arrive {
        stream: StreamId,
        direction: Direction,
    },
    /// A frame of a stream that is gone, from some queue.
    Late {
        stream: StreamId,
        peer: Peer,
        master: usize,
        lives: Lives,
        frame: Frame,
    },
    Dial {
        peer: Peer,
        life: u32,
    },
    /// A master's shell takes what waits.
    MasterRuns {
        master: usize,
        life: u32,
        term: u32,
    },
    MasterWakes {
        master: usize,
        life: u32,
        term: u32,
    },
    /// The rest of what a master was at when it hung.
    MasterGoesOn {
        master: usize,
        life: u32,
        term: u32,
        effects: Vec<proffer_master_core::Effect>,
    },
    MasterStands {
        master: usize,
        life: u32,
    },
    KeepAlive {
        master: usize,
        life: u32,
        lease: LeaseId,
    },
    LeaseDoubted {
        master: usize,
        life: u32,
        lease: LeaseId,
    },
    /// At the store, by its clock.
    LeaseEnds(LeaseId),
    AtStore {
        asker: Asker,
        ask: Ask,
    },
    FromStore {
        asker: Asker,
        answer: Answer,
    },
    AgentWakes {
        agent: usize,
        life: u32,
    },
    FrameworkWakes {
        framework: usize,
        life: u32,
    },
    /// The agent's shell answers an effect.
    Answer {
        agent: usize,
        life: u32,
        command: proffer_agent_core::Command,
    },
    Machine {
        agent: usize,
        container: ContainerId,
        event: MachineEvent,
    },
    /// A container is to be checked.
    Check {
        agent: usize,
        life: u32,
        container: ContainerId,
        which: CheckRole,
        every: Duration,
    },
    StartMaster(usize),
    StartAgent(usize),
    StartFramework(usize),
    /// The agent's host is taken away for good.
    Leave(usize),
    /// One of the plan.
    Fault(usize),
    Heal,
    LiftQuotas,
    AgentsGivenBack,
}

/// What can stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Store,
    Master(usize),
    Agent(usize),
    Framework(usize),
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) queue: Queue<Happening>,
    pub(crate) dice: Dice,
    pub(crate) trace: Trace,
    pub(crate) network: Network,
    pub(crate) scenario: Scenario,
    pub(crate) mask: Mask,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) store: Store,
    /// Between a master and the store nothing goes that way before then.
    pub(crate) store_cuts: BTreeMap<(usize, Direction), Timestamp>,
    hangs: BTreeMap<Node, Timestamp>,
    pub(crate) masters: Vec<MasterShell>,
    pub(crate) n_asks: u64,
    pub(crate) n_requests: u64,
    pub(crate) agents: Vec<AgentShell>,
    pub(crate) frameworks: Vec<FrameworkShell>,
    pub(crate) healed: bool,
    invariants: Vec<Box<dyn Invariant>>,
    /// The first rule broken, and how. Nothing happens after it.
    pub(crate) violation: Option<Violation>,
    pub(crate) n_happenings: u64,
    instant: (Timestamp, u32),
}

impl World {
    pub(crate) fn new(
        scenario: Scenario,
        mask: Mask,
        dice: Dice,
        trace: Trace,
        sabotage: Option<Sabotage>,
    ) -> Self {
        let network = Network::new(scenario.faults.max_delay_ms, scenario.faults.late_permille);
        let agents = (0..scenario.agents.len())
            .map(|n| AgentShell::new(n, &scenario))
            .collect();
        let masters = scenario.masters.iter().copied().map(MasterShell::new).collect();
        let frameworks = scenario.frameworks.iter();
        let frameworks = frameworks
            .map(|plan| FrameworkShell::new(plan, sabotage))
            .collect();
        Self {
            queue: Queue::new(),
            dice,
            trace,
            network,
            scenario,
            mask,
            sabotage,
            store: Store::default(),
            store_cuts: BTreeMap::new(),
            hangs: BTreeMap::new(),
            masters,
            n_asks: 0,
            n_requests: 0,
            agents,
            frameworks,
            healed: false,
            invariants: invariants::all(),
            violation: None,
            n_happenings: 0,
            instant: (Timestamp(0), 0),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.queue.now()
    }

    /// What the store's clock is like.
    pub(crate) fn store_clock(&self) -> Clock {
        self.scenario.store
    }

    /// Writes a line of what the simulator did, and of who began and ended.
    pub(crate) fn say(&mut self, text: fmt::Arguments<'_>) {
        let now = self.now();
        self.trace.line(now, text);
    }

    /// Everybody starts, in any order; late joiners later.
    pub(crate) fn begin(&mut self) {
        for master in 0..self.masters.len() {
            let delay = self.dice.millis(0..3_000);
            self.queue.after(delay, Happening::StartMaster(master));
        }
        for agent in 0..self.agents.len() {
            let delay = self.dice.millis(0..3_000);
            let plan = &self.scenario.agents[agent];
            let (joins, leaves) = (plan.joins, plan.leaves);
            if self.mask.agents.contains(&agent) {
                continue;
            }
            self.queue.at(joins.after(delay), Happening::StartAgent(agent));
            if let Some(at) = leaves {
                self.queue.at(at, Happening::Leave(agent));
            }
        }
        for framework in 0..self.frameworks.len() {
            let delay = self.dice.millis(0..3_000);
            if !self.mask.frameworks.contains(&framework) {
                self.queue.after(delay, Happening::StartFramework(framework));
            }
        }
        self.queue.at(self.scenario.faults.until, Happening::Heal);
        for (n, fault) in self.scenario.faults.planned.iter().enumerate() {
            if !self.mask.faults.contains(&n) {
                self.queue.at(fault.at, Happening::Fault(n));
            }
        }
    }

    /// Lets the next thing happen. False when there is none, or a rule is broken.
    pub(crate) fn turn(&mut self) -> bool {
        if self.violation.is_some() {
            return false;
        }
        let Some(happening) = self.queue.pop() else {
            return false;
        };
        if let Some(until) = self.whose(&happening).and_then(|node| self.hangs_until(node)) {
            self.queue.at(until, happening);
            return true;
        }
        self.n_happenings += 1;
        self.watch_for_loops();
        self.dispatch(happening);
        true
    }

    fn dispatch(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive { stream, direction } => self.arrive(stream, direction),
            Happening::Late {
                stream,
                peer,
                master,
                lives,
                frame,
            } => self.late(stream, peer, master, lives, frame),
            Happening::Dial { peer, life } => self.dial(peer, life),
            Happening::MasterRuns { master, life, term } => self.master_runs(master, life, term),
            Happening::MasterWakes { master, life, term } => self.master_wakes(master, life, term),
            Happening::MasterGoesOn {
                master,
                life,
                term,
                effects,
            } => self.master_goes_on(master, life, term, effects),
            Happening::MasterStands { master, life } => {
                if self.masters[master].life == life && self.masters[master].phase == Phase::Waiting {
                    self.master_stands(master);
                }
            }
            Happening::KeepAlive { master, life, lease } => {
                if self.masters[master].life == life {
                    self.keep_alive_due(master, lease);
                }
            }
            Happening::LeaseDoubted { master, life, lease } => {
                if self.masters[master].life == life {
                    self.lease_doubted(master, lease);
                }
            }
            Happening::LeaseEnds(lease) => self.watch_lease(lease),
            Happening::AtStore { asker, ask } => self.at_store(asker, ask),
            Happening::FromStore { asker, answer } => self.store_answers(asker, answer),
            Happening::AgentWakes { agent, life } => self.agent_wakes(agent, life),
            Happening::FrameworkWakes { framework, life } => self.framework_wakes(framework, life),
            Happening::Answer { agent, life, command } => self.agent_told(agent, life, command),
            Happening::Machine {
                agent,
                container,
                event,
            } => self.machine(agent, container, event),
            Happening::Check {
                agent,
                life,
                container,
                which,
                every,
            } => self.check(agent, life, container, which, every),
            Happening::StartMaster(master) => self.start_master(master),
            Happening::StartAgent(agent) => self.start_agent(agent),
            Happening::StartFramework(framework) => self.start_framework(framework),
            Happening::Leave(agent) => self.agent_leaves(agent),
            Happening::Fault(n) => self.fault(n),
            Happening::Heal => self.heal(),
            Happening::LiftQuotas => self.lift_quotas(),
            Happening::AgentsGivenBack => self.give_agents_back(),
        }
    }

    /// Whose doing it is. What a host does it does without its agent.
    fn whose(&self, happening: &Happening) -> Option<Node> {
        let client = |peer: Peer| match peer {
            Peer::Agent(agent) => Node::Agent(agent),
            Peer::Framework(framework) => Node::Framework(framework),
        };
        match happening {
            Happening::Arrive {
                stream,
                direction: Direction::Up,
            } => self.network.master(*stream).map(Node::Master),
            Happening::Arrive {
                stream,
                direction: Direction::Down,
            } => self.network.peer(*stream).map(client),
            Happening::Late {
                master,
                frame: Frame::FromAgent { .. } | Frame::Calls(_),
                ..
            }
            | Happening::MasterRuns { master, .. }
            | Happening::MasterWakes { master, .. }
            | Happening::MasterGoesOn { master, .. }
            | Happening::MasterStands { master, .. }
            | Happening::KeepAlive { master, .. }
            | Happening::LeaseDoubted { master, .. } => Some(Node::Master(*master)),
            Happening::FromStore { asker, .. } => Some(Node::Master(asker.master)),
            Happening::AtStore { .. } | Happening::LeaseEnds(_) => Some(Node::Store),
            Happening::Late { peer, .. } | Happening::Dial { peer, .. } => Some(client(*peer)),
            Happening::AgentWakes { agent, .. }
            | Happening::Answer { agent, .. }
            | Happening::Check { agent, .. } => Some(Node::Agent(*agent)),
            Happening::FrameworkWakes { framework, .. } => Some(Node::Framework(*framework)),
            Happening::Machine { .. }
            | Happening::StartMaster(_)
            | Happening::StartAgent(_)
            | Happening::StartFramework(_)
            | Happening::Leave(_)
            | Happening::Fault(_)
            | Happening::Heal
            | Happening::LiftQuotas
            | Happening::AgentsGivenBack => None,
        }
    }

    /// Lets a node stand still for a while: whatever it would do, it does after.
    pub(crate) fn hang(&mut self, node: Node, length: Duration) {
        // Never shorter than it hangs already: what it was at comes before all else.
        let until = self.now().after(length);
        let until = self.hangs_until(node).map_or(until, |before| before.max(until));
        self.say(format_args!("fault: {node:?} hangs until {until:?}"));
        if let Node::Framework(framework) = node {
            self.observe(&Fact::FrameworkHangs { framework, until });
        }
        self.hangs.insert(node, until);
    }

    pub(crate) fn hangs_until(&self, node: Node) -> Option<Timestamp> {
        let until = self.hangs.get(&node).copied();
        until.filter(|until| *until > self.now())
    }

    /// Nothing hangs and nothing is cut any more.
    pub(crate) fn repair(&mut self) {
        self.hangs.clear();
        self.store_cuts.clear();
    }

    fn watch_for_loops(&mut self) {
        let now = self.now();
        if self.instant.0 == now {
            self.instant.1 += 1;
        } else {
            self.instant = (now, 0);
        }
        if self.instant.1 > MAX_PER_INSTANT {
            self.break_rule(
                "time goes on",
                "the cluster is busy without end at one instant".to_owned(),
            );
        }
    }

    /// Shows a fact to every rule.
    pub(crate) fn observe(&mut self, fact: &Fact<'_>) {
        let now = self.now();
        let broken = self.invariants.iter_mut().find_map(|invariant| {
            let complaint = invariant.observe(now, fact).err()?;
            Some((invariant.name(), complaint))
        });
        if let Some((rule, complaint)) = broken {
            self.break_rule(rule, complaint);
        }
    }

    pub(crate) fn break_rule(&mut self, rule: &str, complaint: String) {
        let now = self.now();
        self.trace.line(now, format_args!("BROKEN {rule}: {complaint}"));
        self.violation.get_or_insert_with(|| Violation {
            at: now.since(Timestamp(0)),
            rule: rule.to_owned(),
            complaint,
        });
    }

    /// True that many times in a thousand while things go wrong, never after.
    pub(crate) fn mishap(&mut self, permille: u32) -> bool {
        !self.healed && permille > 0 && self.dice.chance(permille)
    }

    pub(crate) fn send(&mut self, stream: StreamId, direction: Direction, frame: Frame) {
        if self.sabotage == Some(Sabotage::LosesFrames) && self.mishap(20) {
            return;
        }
        self.network
            .send(stream, direction, frame, &mut self.queue, &mut self.dice);
    }

    pub(crate) fn close(&mut self, stream: StreamId, by: Direction) {
        self.network.close(stream, by, &mut self.queue, &mut self.dice);
    }

    fn arrive(&mut self, stream: StreamId, direction: Direction) {
        let (Some(peer), Some(master)) = (self.network.peer(stream), self.network.master(stream)) else {
            return;
        };
        let Some(parcel) = self.network.arrive(stream, direction, &mut self.queue) else {
            return;
        };
        match (direction, peer) {
            (Direction::Up, _) => self.master_receives(master, stream, peer, parcel),
            (Direction::Down, Peer::Agent(agent)) => self.agent_receives(agent, stream, parcel),
            (Direction::Down, Peer::Framework(framework)) => {
                self.framework_receives(framework, stream, parcel)
            }
        }
    }

    /// Something old turns up in a process that may have gone on since, but still lives.
    fn late(&mut self, stream: StreamId, peer: Peer, master: usize, lives: Lives, frame: Frame) {
        match (&frame, peer) {
            (Frame::FromAgent { .. } | Frame::Calls(_), _) if self.masters[master].life == lives.master => {
                self.master_receives_late(master, stream, frame);
            }
            (Frame::ToAgent { .. }, Peer::Agent(agent)) if self.agents[agent].life == lives.client => {
                self.agent_receives_late(agent, stream, frame);
            }
            _ => {}
        }
    }

    /// A client tries to reach a master.
    fn dial(&mut self, peer: Peer, life: u32) {
        let n_masters = self.masters.len();
        let (is_due, targets) = match peer {
            Peer::Agent(agent) => {
                let agent = &mut self.agents[agent];
                (agent.life == life && agent.wants_stream(), &mut agent.masters)
            }
            Peer::Framework(framework) => {
                let framework = &mut self.frameworks[framework];
                let is_due = framework.life == life && framework.wants_stream();
                (is_due, &mut framework.masters)
            }
        };
        if !is_due {
            return;
        }
        let m = targets.dial(n_masters);
        let away = self.masters[m].phase == Phase::Down || self.hangs_until(Node::Master(m)).is_some();
        if away || self.network.is_cut(peer, m, self.now()) {
            return self.redial(peer, life);
        }
        if self.masters[m].tenure.is_none() {
            if let Some(leader) = self.named_by(m) {
                match peer {
                    Peer::Agent(agent) => self.agents[agent].masters.follow(leader),
                    Peer::Framework(framework) => self.frameworks[framework].masters.follow(leader),
                }
            }
            return self.redial(peer, life);
        }
        let lives = Lives {
            client: life,
            master: self.masters[m].life,
        };
        let stream = self.network.open(peer, m, lives);
        match peer {
            Peer::Agent(agent) => self.agent_linked(agent, stream),
            Peer::Framework(framework) => self.framework_linked(framework, stream),
        }
    }

    /// After a while, as a driver's back-off would have it.
    pub(crate) fn redial(&mut self, peer: Peer, life: u32) {
        let delay: Duration = self.dice.millis(50..3_000);
        self.queue.after(delay, Happening::Dial { peer, life });
    }

    /// Whether all work is done and nothing of it is left anywhere.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut leaders = self.masters.iter().filter(|master| master.core().is_some());
        let is_led = leaders.next().is_some_and(MasterShell::is_quiet) && leaders.next().is_none();
        is_led
            && self.taking_part().all(|(_, framework)| framework.is_done())
            && self.agents.iter().all(AgentShell::is_quiet)
    }

    fn taking_part(&self) -> impl Iterator<Item = (usize, &FrameworkShell)> {
        let all = self.frameworks.iter().enumerate();
        all.filter(|(n, _)| !self.mask.frameworks.contains(n))
    }

    /// The state of whoever is named, for people.
    pub(crate) fn state_of(&self, who: &str) -> Option<String> {
        let (kind, n) = who.split_once(' ').unwrap_or((who, "0"));
        let n: usize = n.parse().ok()?;
        match kind {
            "master" => self.masters.get(n).map(|master| format!("{master:#?}")),
            "agent" => self.agents.get(n).map(|agent| format!("{agent:#?}")),
            "host" => self.agents.get(n).map(|agent| format!("{:#?}", agent.machine)),
            "framework" => self.frameworks.get(n).map(|framework| format!("{framework:#?}")),
            "store" => Some(format!("{:#?}", self.store)),
            "network" => Some(format!("{:#?}", self.network)),
            _ => None,
        }
    }

    /// What is not quiet yet, for people.
    pub(crate) fn unrest(&self) -> String {
        let frameworks = self.taking_part().filter(|(_, framework)| !framework.is_done());
        let frameworks = frameworks.map(|(n, framework)| format!("framework {n}: {}", framework.unrest()));
        let agents = self
            .agents
            .iter()
            .enumerate()
            .filter(|(_, agent)| !agent.is_quiet());
        let agents = agents.map(|(n, agent)| format!("agent {n}: {}", agent.unrest()));
        frameworks
            .chain(agents)
            .chain([self.masters_unrest()])
            .collect::<Vec<_>>()
            .join("; ")
    }
}

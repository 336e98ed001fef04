//! The world: one queue, one network, one master, and the nodes; what happens next is taken from the queue.
//!
//! Nodes play the shells' part, and only theirs: they carry effects out and hand commands in. Every fault is drawn here
//! and in the shells, never in a core.

use std::time::Duration;

use proffer_agent_core::ContainerId;
use proffer_types::Timestamp;

use crate::agent_shell::AgentShell;
use crate::dice::Dice;
use crate::facts::Fact;
use crate::framework_shell::FrameworkShell;
use crate::invariants::{self, Invariant};
use crate::machine::MachineEvent;
use crate::master_shell::MasterShell;
use crate::network::{Direction, Frame, Lives, Network, Peer, StreamId};
use crate::queue::Queue;
use crate::run::Sabotage;
use crate::scenario::Scenario;
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
        lives: Lives,
        frame: Frame,
    },
    Dial {
        peer: Peer,
        life: u32,
    },
    /// The master's shell takes what waits.
    MasterRuns {
        life: u32,
    },
    MasterWakes {
        life: u32,
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
    StartMaster,
    StartAgent(usize),
    StartFramework(usize),
    Fault,
    Heal,
    LiftQuotas,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) queue: Queue<Happening>,
    pub(crate) dice: Dice,
    pub(crate) trace: Trace,
    pub(crate) network: Network,
    pub(crate) scenario: Scenario,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) master: MasterShell,
    pub(crate) agents: Vec<AgentShell>,
    pub(crate) frameworks: Vec<FrameworkShell>,
    pub(crate) healed: bool,
    invariants: Vec<Box<dyn Invariant>>,
    /// The first rule broken, and how. Nothing happens after it.
    pub(crate) violation: Option<String>,
    pub(crate) n_happenings: u64,
    instant: (Timestamp, u32),
}

impl World {
    pub(crate) fn new(scenario: Scenario, dice: Dice, trace: Trace, sabotage: Option<Sabotage>) -> Self {
        let network = Network::new(scenario.faults.max_delay_ms, scenario.faults.late_permille);
        let agents = (0..scenario.agents.len())
            .map(|n| AgentShell::new(n, &scenario))
            .collect();
        let frameworks = scenario.frameworks.iter().map(FrameworkShell::new).collect();
        Self {
            queue: Queue::new(),
            dice,
            trace,
            network,
            scenario,
            sabotage,
            master: MasterShell::default(),
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

    /// Everybody starts, in any order.
    pub(crate) fn begin(&mut self) {
        let delay = self.dice.millis(0..3_000);
        self.queue.after(delay, Happening::StartMaster);
        for agent in 0..self.agents.len() {
            let delay = self.dice.millis(0..3_000);
            self.queue.after(delay, Happening::StartAgent(agent));
        }
        for framework in 0..self.frameworks.len() {
            let delay = self.dice.millis(0..3_000);
            self.queue.after(delay, Happening::StartFramework(framework));
        }
        self.queue.at(self.scenario.faults.until, Happening::Heal);
        self.schedule_fault();
    }

    /// Lets the next thing happen. False when there is none, or a rule is broken.
    pub(crate) fn turn(&mut self) -> bool {
        if self.violation.is_some() {
            return false;
        }
        let Some(happening) = self.queue.pop() else {
            return false;
        };
        self.n_happenings += 1;
        self.watch_for_loops();
        match happening {
            Happening::Arrive { stream, direction } => self.arrive(stream, direction),
            Happening::Late {
                stream,
                peer,
                lives,
                frame,
            } => self.late(stream, peer, lives, frame),
            Happening::Dial { peer, life } => self.dial(peer, life),
            Happening::MasterRuns { life } => self.master_runs(life),
            Happening::MasterWakes { life } => self.master_wakes(life),
            Happening::AgentWakes { agent, life } => self.agent_wakes(agent, life),
            Happening::FrameworkWakes { framework, life } => self.framework_wakes(framework, life),
            Happening::Answer { agent, life, command } => self.agent_told(agent, life, command),
            Happening::Machine {
                agent,
                container,
                event,
            } => self.machine(agent, container, event),
            Happening::StartMaster => self.start_master(),
            Happening::StartAgent(agent) => self.start_agent(agent),
            Happening::StartFramework(framework) => self.start_framework(framework),
            Happening::Fault => self.fault(),
            Happening::Heal => self.heal(),
            Happening::LiftQuotas => self.lift_quotas(),
        }
        true
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
        let broken = self.invariants.iter_mut().find_map(|invariant| {
            let complaint = invariant.observe(fact).err()?;
            Some((invariant.name(), complaint))
        });
        if let Some((rule, complaint)) = broken {
            self.break_rule(rule, complaint);
        }
    }

    pub(crate) fn break_rule(&mut self, rule: &str, complaint: String) {
        let now = self.now();
        self.trace.line(now, format_args!("BROKEN {rule}: {complaint}"));
        self.violation
            .get_or_insert_with(|| format!("at {now:?}: {rule}: {complaint}"));
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
        let Some(peer) = self.network.peer(stream) else {
            return;
        };
        let Some(parcel) = self.network.arrive(stream, direction, &mut self.queue) else {
            return;
        };
        match (direction, peer) {
            (Direction::Up, _) => self.master_receives(stream, peer, parcel),
            (Direction::Down, Peer::Agent(agent)) => self.agent_receives(agent, stream, parcel),
            (Direction::Down, Peer::Framework(framework)) => {
                self.framework_receives(framework, stream, parcel)
            }
        }
    }

    /// Something old turns up in a process that may have gone on since, but still lives.
    fn late(&mut self, stream: StreamId, peer: Peer, lives: Lives, frame: Frame) {
        match (&frame, peer) {
            (Frame::FromAgent { .. } | Frame::Calls(_), _) if self.master.life == lives.master => {
                self.master_receives_late(stream, peer, frame);
            }
            (Frame::ToAgent { .. }, Peer::Agent(agent)) if self.agents[agent].life == lives.client => {
                self.agent_receives_late(agent, stream, frame);
            }
            _ => {}
        }
    }

    /// A client tries to reach the master.
    fn dial(&mut self, peer: Peer, life: u32) {
        let alive = match peer {
            Peer::Agent(agent) => self.agents[agent].life == life && self.agents[agent].wants_stream(),
            Peer::Framework(framework) => {
                self.frameworks[framework].life == life && self.frameworks[framework].wants_stream()
            }
        };
        if !alive {
            return;
        }
        let cut = self.network.cut_until(peer, self.now()).is_some();
        if cut || self.master.core.is_none() {
            self.redial(peer, life);
            return;
        }
        let lives = Lives {
            client: life,
            master: self.master.life,
        };
        let stream = self.network.open(peer, lives);
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
        self.frameworks.iter().all(FrameworkShell::is_done)
            && self.agents.iter().all(AgentShell::is_quiet)
            && self.master.is_quiet()
    }

    /// What is not quiet yet, for people.
    pub(crate) fn unrest(&self) -> String {
        let frameworks = self
            .frameworks
            .iter()
            .enumerate()
            .filter(|(_, framework)| !framework.is_done());
        let frameworks = frameworks.map(|(n, framework)| format!("framework {n}: {}", framework.unrest()));
        let agents = self
            .agents
            .iter()
            .enumerate()
            .filter(|(_, agent)| !agent.is_quiet());
        let agents = agents.map(|(n, agent)| format!("agent {n}: {}", agent.unrest()));
        frameworks
            .chain(agents)
            .chain([self.master.unrest()])
            .collect::<Vec<_>>()
            .join("; ")
    }
}

//! An agent's shell: carries the core's effects out on a simulated host, and tells it what came of them.
//!
//! A crash takes the core and the stream; the disk and the containers stay.

use proffer_agent_core::{Agent, Command, Config, LinkId, Output, restore};
use proffer_types::agent_link::MasterMessage;
use proffer_types::{AgentInfo, Resources, Session, Timestamp};

use crate::clock::Clock;
use crate::disk::Disk;
use crate::facts::Fact;
use crate::machine::Machine;
use crate::master_shell::Masters;
use crate::network::{Direction, Frame, Parcel, Peer, StreamId};
use crate::sabotage::Sabotage;
use crate::scenario::Scenario;
use crate::world::{Happening, World};

#[derive(Debug)]
pub(crate) struct AgentShell {
    name: String,
    pub(crate) total: Resources,
    pub(crate) clock: Clock,
    pub(crate) masters: Masters,
    /// Not there yet, masked, or gone for good.
    is_away: bool,
    pub(crate) core: Option<Agent>,
    /// Counts starts and crashes: what one life began is nothing to the next.
    pub(crate) life: u32,
    pub(crate) disk: Disk,
    pub(crate) machine: Machine,
    pub(crate) stream: Option<StreamId>,
    /// Of the present stream, once it was opened. Only a sabotaged shell looks at it.
    pub(crate) session: Option<Session>,
    wakes_at: Option<Timestamp>,
}

impl AgentShell {
    pub(crate) fn new(n: usize, scenario: &Scenario) -> Self {
        Self {
            name: format!("host{n}"),
            total: scenario.agents[n].total.clone(),
            clock: scenario.agents[n].clock,
            masters: Masters::default(),
            is_away: true,
            core: None,
            life: 0,
            disk: Disk::default(),
            machine: Machine::default(),
            stream: None,
            session: None,
            wakes_at: None,
        }
    }

    pub(crate) fn wants_stream(&self) -> bool {
        self.core.is_some() && self.stream.is_none()
    }

    /// Whether it is up and nothing of any task is left on its host; or does not take part.
    pub(crate) fn is_quiet(&self) -> bool {
        if self.is_away {
            return true;
        }
        let registered = self
            .core
            .as_ref()
            .is_some_and(|core| core.is_registered() && core.tasks().next().is_none());
        registered && self.disk.is_empty() && self.machine.containers.is_empty()
    }

    pub(crate) fn unrest(&self) -> String {
        let tasks = self.core.iter().flat_map(Agent::tasks);
        let tasks: Vec<_> = tasks
            .map(|task| format!("{} {:?}", task.key, task.latest.state))
            .collect();
        let registered = self.core.as_ref().map(Agent::is_registered);
        let containers: Vec<_> = self.machine.containers.keys().collect();
        let operations = &self.disk.resources.operations;
        format!(
            "registered {registered:?}, tasks {tasks:?}, containers {containers:?}, operations {operations:?}"
        )
    }

    fn config(&self) -> Config {
        Config {
            info: AgentInfo {
                hostname: self.name.clone(),
                address: format!("{}:5051", self.name),
                resources: restore(&self.total, &self.disk.resources.changed)
                    .expect("nothing takes from what a host has"),
                attributes: Vec::new(),
                version: "sim".to_owned(),
                cgroups: "none".to_owned(),
                domain: None,
                can_suspend: true,
            },
        }
    }
}

impl World {
    pub(crate) fn start_agent(&mut self, n: usize) {
        let leaves = self.scenario.agents[n].leaves;
        if self.agents[n].core.is_some() || leaves.is_some_and(|at| at <= self.now()) {
            return;
        }
        let (now, seed) = (self.now(), self.dice.seed());
        let agent = &mut self.agents[n];
        agent.is_away = false;
        agent.life += 1;
        let shown = agent.clock.shows(now);
        let (core, out) = Agent::recover(shown, agent.config(), seed, agent.disk.recover());
        agent.core = Some(core);
        agent.wakes_at = None;
        // What a crash left between two effects: no record names it any more.
        let disk = &agent.disk;
        agent.machine.containers.retain(|id, _| disk.key(*id).is_some());
        let life = agent.life;
        self.trace
            .line(now, format_args!("agent {n} starts, life {life}: {out:?}"));
        self.agent_carries_out(n, out);
        self.redial(Peer::Agent(n), life);
    }

    pub(crate) fn crash_agent(&mut self, n: usize) {
        if self.agents[n].core.take().is_none() {
            return;
        }
        let now = self.now();
        self.trace.line(now, format_args!("fault: agent {n} crashes"));
        self.agents[n].life += 1;
        if let Some(stream) = self.agents[n].stream.take() {
            self.network.break_off(stream, &mut self.queue, &mut self.dice);
            self.network
                .deafen(stream, Direction::Down, &mut self.queue, &mut self.dice);
        }
        // A launch under way came through, or came to nothing.
        for container in self.agents[n].machine.launching() {
            if self.dice.chance(500) {
                self.agents[n].machine.remove(container);
            } else {
                self.container_up(n, container);
            }
        }
        let down = self.downtime();
        self.queue.after(down, Happening::StartAgent(n));
    }

    /// The host starts anew: no container of before lives, and those that ended have their records.
    pub(crate) fn reboot_host(&mut self, n: usize) {
        if self.agents[n].core.is_none() {
            return;
        }
        self.say(format_args!("fault: host {n} reboots"));
        self.crash_agent(n);
        self.observe(&Fact::HostReboots { agent: n });
        self.agents[n].machine.reboot();
    }

    /// The host is gone for good, with all that is on it.
    pub(crate) fn agent_leaves(&mut self, n: usize) {
        self.say(format_args!("agent {n} leaves for good"));
        self.crash_agent(n);
        self.agents[n].machine = Machine::default();
        self.agents[n].is_away = true;
    }

    pub(crate) fn agent_linked(&mut self, n: usize, stream: StreamId) {
        self.agents[n].stream = Some(stream);
        self.agents[n].session = None;
        self.agent_steps(
            n,
            Command::LinkUp {
                link: LinkId(stream.0),
            },
        );
    }

    pub(crate) fn agent_receives(&mut self, n: usize, stream: StreamId, parcel: Parcel) {
        match parcel {
            Parcel::Frame(Frame::ToAgent { session, messages }) => {
                if messages
                    .iter()
                    .any(|message| matches!(message, MasterMessage::Registered { .. }))
                {
                    self.agents[n].session = Some(session);
                }
                self.agent_steps(
                    n,
                    Command::MasterFrame {
                        link: LinkId(stream.0),
                        session,
                        messages,
                    },
                );
            }
            Parcel::Frame(_) => {}
            Parcel::Close => {
                self.close(stream, Direction::Up);
                if self.agents[n].stream == Some(stream) {
                    self.agents[n].stream = None;
                    self.agent_steps(
                        n,
                        Command::LinkDown {
                            link: LinkId(stream.0),
                        },
                    );
                    self.redial(Peer::Agent(n), self.agents[n].life);
                }
            }
        }
    }

    pub(crate) fn agent_receives_late(&mut self, n: usize, stream: StreamId, frame: Frame) {
        let Frame::ToAgent { session, messages } = frame else {
            return;
        };
        let (mut link, mut session) = (stream, session);
        if self.sabotage == Some(Sabotage::AgentFenceOff)
            && let (Some(now), Some(fresh)) = (self.agents[n].stream, self.agents[n].session)
        {
            (link, session) = (now, fresh);
        }
        self.agent_steps(
            n,
            Command::MasterFrame {
                link: LinkId(link.0),
                session,
                messages,
            },
        );
    }

    pub(crate) fn agent_wakes(&mut self, n: usize, life: u32) {
        let now = self.now();
        let agent = &mut self.agents[n];
        if agent.life != life {
            return;
        }
        agent.wakes_at = None;
        let due = agent.core.as_ref().and_then(Agent::next_deadline);
        if due.is_some_and(|due| due <= agent.clock.shows(now)) {
            self.agent_steps(n, Command::Tick);
        } else {
            self.agent_sleeps(n);
        }
    }

    pub(crate) fn agent_told(&mut self, n: usize, life: u32, command: Command) {
        if self.agents[n].life == life {
            self.agent_steps(n, command);
        }
    }

    pub(crate) fn agent_steps(&mut self, n: usize, command: Command) {
        let now = self.now();
        let shown = self.agents[n].clock.shows(now);
        let Some(core) = &mut self.agents[n].core else {
            return;
        };
        self.trace.line(now, format_args!("agent {n} <- {command:?}"));
        let mut out = Output::new();
        core.step(shown, command, &mut out);
        core.sanity_check();
        self.trace.line(now, format_args!("agent {n} -> {out:?}"));
        self.agent_carries_out(n, out);
        self.agent_sleeps(n);
    }

    /// Asks to be woken at the core's next deadline.
    pub(crate) fn agent_sleeps(&mut self, n: usize) {
        let agent = &mut self.agents[n];
        let Some(due) = agent.core.as_ref().and_then(Agent::next_deadline) else {
            return;
        };
        if agent.wakes_at.is_none_or(|at| due < at) {
            agent.wakes_at = Some(due);
            self.queue.at(
                agent.clock.when(due),
                Happening::AgentWakes {
                    agent: n,
                    life: agent.life,
                },
            );
        }
    }
}

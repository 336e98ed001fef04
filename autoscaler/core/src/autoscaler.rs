//! The autoscaler: what it sees in, what is to be done out.

mod down;
mod up;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_types::{AgentId, Timestamp};

use crate::config::{AgentShape, Config};
use crate::memory::{Machine, Memory, Phase};
use crate::view::{AgentSeen, Presence, View};

/// So many times the first pause is the longest.
const LONGEST_BACKOFF: u32 = 30;

/// One thing that is to be done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// About which machine; empty where nothing is to be done.
    pub machine: String,
    pub action: Action,
    /// For people.
    pub why: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The provider adds the machine, which is of this shape.
    Add { shape: String },
    /// The agent is drained.
    Drain { agent: AgentId },
    /// Its drain is called off.
    Undrain { agent: AgentId },
    /// The provider removes the machine; its agent, if one ever registered.
    Remove { shape: String, agent: Option<String> },
    /// The master is told that the agent is gone.
    MarkGone { agent: String },
    /// Nothing: people are told why.
    Nothing,
}

/// How something ended that was to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// Nothing was done.
    Failed(String),
    /// Nobody knows what was done.
    Unknown(String),
}

/// A pause after failures in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Pause {
    n: u32,
    until: Timestamp,
}

/// The state of an autoscaler.
#[derive(Debug, Clone)]
pub struct Autoscaler {
    config: Config,
    memory: Memory,
    /// The machines with which the provider is busy.
    busy: BTreeSet<String>,
    /// Since when each agent runs nothing.
    idle_since: BTreeMap<AgentId, Timestamp>,
    /// When an agent was added last.
    added_at: Option<Timestamp>,
    /// Of each shape after failed additions, and of each machine after failed removals.
    pauses: BTreeMap<String, Pause>,
    /// What people were told of each thing that waits.
    said: BTreeMap<String, String>,
}

impl Autoscaler {
    /// With what an earlier one remembered. `busy` are the machines with which a provider it started is busy still. The
    /// configuration passed [`Config::check`].
    #[must_use]
    pub fn new(config: Config, memory: Memory, busy: BTreeSet<String>) -> Self {
        let mut this = Self {
            config,
            memory,
            busy,
            idle_since: BTreeMap::new(),
            added_at: None,
            pauses: BTreeMap::new(),
            said: BTreeMap::new(),
        };
        for (name, machine) in &mut this.memory.machines {
            // How that ended nobody knows: either its agent registers, or it is removed.
            if machine.phase == Phase::Adding && !this.busy.contains(name) {
                machine.phase = Phase::Registering;
            }
        }
        this
    }

    /// What has to be written down before anything is done.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Looks at the cluster and says what is to be done. Each action but `Nothing` is to be answered by [`Self::ended`].
    pub fn step(&mut self, now: Timestamp, view: &View) -> Vec<Decision> {
        let mut out = Vec::new();
        self.resolve(now, view, &mut out);
        self.rest(now, view);
        if !view.is_withheld {
            self.up(now, view, &mut out);
            self.down(now, view, &mut out);
        }
        self.proceed(now, view, &mut out);
        // One thing at a time about each machine: what was decided first.
        let mut about = BTreeSet::new();
        out.retain(|decision| decision.action == Action::Nothing || about.insert(decision.machine.clone()));
        let actions = out.iter().filter(|decision| decision.action != Action::Nothing);
        self.busy.extend(actions.map(|decision| decision.machine.clone()));
        out
    }

    /// Something that was to be done ended.
    pub fn ended(&mut self, now: Timestamp, machine: &str, action: &Action, ended: &Ended) {
        self.busy.remove(machine);
        let Some(entry) = self.memory.machines.get_mut(machine) else {
            return;
        };
        let mut go_to = |phase| (entry.phase, entry.since_ms) = (phase, now.0);
        let mut forget = false;
        match (action, ended) {
            // The time until it registers counts from the beginning.
            (Action::Add { .. }, Ended::Done) => entry.phase = Phase::Registering,
            (Action::Add { .. }, Ended::Failed(_)) => forget = true,
            (Action::Add { .. }, Ended::Unknown(_)) => go_to(Phase::Removing),
            (Action::Drain { .. }, Ended::Done) => {}
            // Whether it is drained the next look tells.
            (Action::Drain { .. }, Ended::Unknown(_)) => {}
            (Action::Drain { .. }, Ended::Failed(_)) => forget = true,
            (Action::Undrain { .. }, Ended::Done) => forget = true,
            (Action::Undrain { .. }, Ended::Failed(_) | Ended::Unknown(_)) => {}
            (Action::Remove { agent: Some(_), .. }, Ended::Done) => go_to(Phase::Leaving),
            (Action::Remove { agent: None, .. }, Ended::Done) => forget = true,
            (Action::Remove { .. }, Ended::Failed(_) | Ended::Unknown(_)) => {}
            (Action::MarkGone { .. } | Action::Nothing, _) => {}
        }
        let failed = *ended != Ended::Done;
        match action {
            Action::Add { shape } if failed => self.pause(&format!("shape {shape}"), now),
            Action::Remove { .. } if failed => self.pause(machine, now),
            Action::Remove { .. } => drop(self.pauses.remove(machine)),
            Action::Add { .. }
            | Action::Drain { .. }
            | Action::Undrain { .. }
            | Action::MarkGone { .. }
            | Action::Nothing => {}
        }
        if forget {
            self.memory.machines.remove(machine);
        }
    }

    fn pause(&mut self, what: &str, now: Timestamp) {
        let pause = self.pauses.entry(what.to_owned()).or_default();
        let times = 1_u32
            .checked_shl(pause.n)
            .map_or(LONGEST_BACKOFF, |times| times.min(LONGEST_BACKOFF));
        pause.n = pause.n.saturating_add(1).min(31);
        pause.until = now.after(self.config.backoff * times);
    }

    /// How long a pause lasts from now on.
    fn paused(&self, what: &str, now: Timestamp) -> Option<Duration> {
        let pause = self.pauses.get(what)?;
        (pause.until > now).then(|| pause.until.since(now))
    }

    /// Compares what is remembered with what there is.
    fn resolve(&mut self, now: Timestamp, view: &View, out: &mut Vec<Decision>) {
        let agents = members(view);
        let mut forgotten = Vec::new();
        let mut late = Vec::new();
        for (name, machine) in &mut self.memory.machines {
            let is_busy = self.busy.contains(name);
            let agent = agents.get(&name[..]);
            if machine.agent.is_none() {
                machine.agent = agent.map(|agent| agent.id.to_string());
            }
            match (machine.phase, agent) {
                (Phase::Adding | Phase::Registering, Some(_)) if !is_busy => {
                    self.pauses.remove(&format!("shape {}", machine.shape));
                    out.push(say(
                        name,
                        format!("an agent of shape {} has registered", machine.shape),
                    ));
                    forgotten.push(name.clone());
                }
                (Phase::Registering, None) => {
                    if now.since(Timestamp(machine.since_ms)) >= self.config.registration {
                        late.push((name.clone(), machine.shape.clone()));
                        (machine.phase, machine.since_ms) = (Phase::Removing, now.0);
                    }
                }
                // Its agent is gone by somebody's word: what is left is the machine.
                (Phase::Draining, None) => (machine.phase, machine.since_ms) = (Phase::Removing, now.0),
                (Phase::Draining | Phase::Removing, Some(agent)) if !is_busy => {
                    let is_there = !matches!(agent.presence, Presence::Unreachable(_));
                    if is_there && (agent.drain.is_none() || agent.n_tasks > 0) && machine.agent.is_some() {
                        let why = match agent.n_tasks {
                            0 => "its drain was ended, so the agent stays",
                            _ => "a task runs there, so the agent stays",
                        };
                        match agent.drain {
                            None => {
                                out.push(say(name, why.to_owned()));
                                forgotten.push(name.clone());
                            }
                            Some(_) => out.push(undrain(name, agent, why.to_owned())),
                        }
                    }
                }
                (Phase::Leaving, None) => forgotten.push(name.clone()),
                (Phase::Adding | Phase::Draining | Phase::Removing | Phase::Leaving, _)
                | (Phase::Registering, Some(_)) => {}
            }
        }
        for (name, shape) in late {
            let within = self.config.registration.as_secs();
            out.push(say(
                &name,
                format!("no agent of shape {shape} registered within {within} s; it counts as failed"),
            ));
            self.pause(&format!("shape {shape}"), now);
        }
        for name in forgotten {
            self.memory.machines.remove(&name);
        }
    }

    /// Notes since when each agent runs nothing and is not wanted.
    fn rest(&mut self, now: Timestamp, view: &View) {
        let is_idle = |agent: &&AgentSeen| {
            let is_there =
                agent.presence == Presence::Active && agent.drain.is_none() && !agent.is_deactivated;
            is_there && agent.n_tasks == 0 && !view.needed.contains(&agent.id)
        };
        let idle: BTreeMap<_, _> = view
            .agents
            .iter()
            .filter(is_idle)
            .map(|agent| {
                let since = self.idle_since.get(&agent.id).copied().unwrap_or(now);
                (agent.id.clone(), since)
            })
            .collect();
        self.idle_since = idle;
    }

    fn shape(&self, name: &str) -> Option<&AgentShape> {
        self.config.shapes.iter().find(|shape| shape.name == name)
    }

    /// The machines of a shape: those whose agents the master knows, and those on their way.
    fn count(&self, shape: &str, view: &View) -> u32 {
        let known = view.agents.iter().filter_map(AgentSeen::membership);
        let known = known.filter(|(of, _)| *of == shape).map(|(_, machine)| machine);
        let moving = self
            .memory
            .machines
            .iter()
            .filter(|(_, machine)| machine.shape == shape);
        let all: BTreeSet<_> = known.chain(moving.map(|(name, _)| &name[..])).collect();
        u32::try_from(all.len()).unwrap_or(u32::MAX)
    }

    /// The agents of a shape that are there and stay.
    fn count_staying(&self, shape: &str, view: &View) -> u32 {
        let stays = |agent: &&AgentSeen| {
            let is_there = !matches!(agent.presence, Presence::Unreachable(_));
            let membership = agent.membership();
            let leaves = |machine: &str| {
                let machine = self.memory.machines.get(machine);
                machine.is_some_and(|machine| !machine.is_coming())
            };
            is_there && membership.is_some_and(|(of, machine)| of == shape && !leaves(machine))
        };
        u32::try_from(view.agents.iter().filter(stays).count()).unwrap_or(u32::MAX)
    }

    fn count_moving(&self, is_coming: bool) -> usize {
        let machines = self.memory.machines.values();
        machines
            .filter(|machine| machine.is_coming() == is_coming)
            .count()
    }
}

/// The agents that autoscalers added, by machine.
fn members(view: &View) -> BTreeMap<&str, &AgentSeen> {
    let agents = view.agents.iter();
    agents
        .filter_map(|agent| Some((agent.membership()?.1, agent)))
        .collect()
}

fn say(machine: &str, why: String) -> Decision {
    Decision {
        machine: machine.to_owned(),
        action: Action::Nothing,
        why,
    }
}

fn undrain(machine: &str, agent: &AgentSeen, why: String) -> Decision {
    Decision {
        machine: machine.to_owned(),
        action: Action::Undrain {
            agent: agent.id.clone(),
        },
        why,
    }
}

fn machine(shape: &str, phase: Phase, now: Timestamp, agent: Option<String>) -> Machine {
    Machine {
        shape: shape.to_owned(),
        phase,
        since_ms: now.0,
        agent,
    }
}

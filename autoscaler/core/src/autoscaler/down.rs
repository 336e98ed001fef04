//! The way down: agents that run nothing are drained, then removed, then gone.

use proffer_types::{ResourceName, Timestamp};

use super::{Action, Autoscaler, Decision, machine, members};
use crate::memory::Phase;
use crate::pack::miss;
use crate::view::{AgentSeen, Drain, Presence, View};

impl Autoscaler {
    /// Drains agents that have run nothing for long enough, and gives up those that are unreachable.
    pub(super) fn down(&mut self, now: Timestamp, view: &View, out: &mut Vec<Decision>) {
        let at_once = usize::try_from(self.config.at_once).unwrap_or(usize::MAX);
        let mut room = at_once.saturating_sub(self.count_moving(false));
        let mut candidates: Vec<_> = view
            .agents
            .iter()
            .filter_map(|agent| self.candidate(now, view, agent))
            .collect();
        candidates.sort_by(|a, b| (a.since, &a.agent.id).cmp(&(b.since, &b.agent.id)));
        for candidate in candidates {
            if room == 0 {
                break;
            }
            let (agent, shape, name) = (candidate.agent, candidate.shape, candidate.machine);
            if self.memory.machines.contains_key(name) {
                continue;
            }
            let is_there = agent.presence == Presence::Active;
            if is_there && !self.may_do_without(now, view, agent, shape) {
                continue;
            }
            room -= 1;
            let phase = if is_there {
                Phase::Draining
            } else {
                Phase::Removing
            };
            let entry = machine(shape, phase, now, Some(agent.id.to_string()));
            self.memory.machines.insert(name.to_owned(), entry);
            if is_there {
                let idle = now.since(candidate.since).as_secs();
                out.push(Decision {
                    machine: name.to_owned(),
                    action: Action::Drain {
                        agent: agent.id.clone(),
                    },
                    why: format!("it has run nothing for {idle} s, and nothing waits that it would hold"),
                });
            }
        }
    }

    /// An agent that was added by an autoscaler, is of a shape we know, and has been idle or away for long enough.
    fn candidate<'a>(&self, now: Timestamp, view: &View, agent: &'a AgentSeen) -> Option<Candidate<'a>> {
        let (shape, machine) = agent.membership()?;
        self.shape(shape)?;
        let since = match agent.presence {
            Presence::Active if !view.is_cut => *self.idle_since.get(&agent.id)?,
            Presence::Unreachable(time) if time >= self.config.unreachable => Timestamp(0),
            Presence::Active | Presence::Away | Presence::Unreachable(_) => return None,
        };
        let is_due = agent.presence != Presence::Active || now.since(since) >= self.config.idle;
        is_due.then_some(Candidate {
            agent,
            shape,
            machine,
            since,
        })
    }

    /// Whether everything that is promised, and all that waits, can do without an idle agent.
    fn may_do_without(&self, now: Timestamp, view: &View, agent: &AgentSeen, shape: &str) -> bool {
        let cools = self
            .added_at
            .is_some_and(|at| now.since(at) < self.config.cooldown);
        let min = self.shape(shape).map_or(0, |shape| shape.min);
        let mut unmet = view.unmet.iter().filter(|unmet| unmet.shape.count > 0);
        !cools
            && self.count_staying(shape, view) > min
            && !unmet.any(|unmet| miss(unmet, &agent.info).is_none())
            && self.keeps_guarantees(view, agent)
    }

    /// Whether the others that stay have free what has to stay so.
    fn keeps_guarantees(&self, view: &View, agent: &AgentSeen) -> bool {
        let leaves = |other: &AgentSeen| {
            let machine = other
                .membership()
                .and_then(|(_, name)| self.memory.machines.get(name));
            machine.is_some_and(|machine| !machine.is_coming())
        };
        let stays = |other: &&AgentSeen| {
            let is_used = other.drain.is_none() && !other.is_deactivated;
            other.id != agent.id && other.presence == Presence::Active && is_used && !leaves(other)
        };
        let free = |name: &ResourceName| -> u128 {
            let others = view.agents.iter().filter(stays);
            others.map(|other| u128::from(other.free().scalar(name))).sum()
        };
        let mut held = view.held_for_guarantees.scalars();
        held.all(|(name, units)| free(name) >= u128::from(units))
    }

    /// Goes on with what is on its way out.
    pub(super) fn proceed(&mut self, now: Timestamp, view: &View, out: &mut Vec<Decision>) {
        let agents = members(view);
        let called_off: Vec<_> = out
            .iter()
            .filter(|decision| decision.action != Action::Nothing)
            .map(|decision| decision.machine.clone())
            .collect();
        let mut decisions = Vec::new();
        for (name, machine) in &mut self.memory.machines {
            if self.busy.contains(name) || called_off.contains(name) {
                continue;
            }
            let agent = agents.get(&name[..]);
            if machine.phase == Phase::Draining
                && let Some(agent) = agent
            {
                let is_lost = matches!(agent.presence, Presence::Unreachable(_));
                if agent.drain == Some(Drain::Drained) || is_lost {
                    (machine.phase, machine.since_ms) = (Phase::Removing, now.0);
                }
            }
            let pause = self.pauses.get(name).is_some_and(|pause| pause.until > now);
            let decision = |action, why: &str| Decision {
                machine: name.clone(),
                action,
                why: why.to_owned(),
            };
            match machine.phase {
                Phase::Removing if !pause => {
                    let why = match (&machine.agent, agent.map(|agent| agent.presence)) {
                        (None, _) => "no agent of it registered",
                        (Some(_), Some(Presence::Unreachable(_))) => {
                            "its agent has been unreachable for too long"
                        }
                        (Some(_), None) => "its agent is gone",
                        (Some(_), Some(Presence::Active | Presence::Away)) => "its agent is drained",
                    };
                    let (shape, agent) = (machine.shape.clone(), machine.agent.clone());
                    decisions.push(decision(Action::Remove { shape, agent }, why));
                }
                Phase::Leaving => {
                    if let Some(agent) = agent {
                        let agent = agent.id.to_string();
                        decisions.push(decision(Action::MarkGone { agent }, "its machine is removed"));
                    }
                }
                Phase::Adding | Phase::Registering | Phase::Draining | Phase::Removing => {}
            }
        }
        out.extend(decisions);
    }
}

/// An agent that may be removed.
#[derive(Debug)]
struct Candidate<'a> {
    agent: &'a AgentSeen,
    shape: &'a str,
    machine: &'a str,
    since: Timestamp,
}

//! The way up: what waits, and the agents that would hold it.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::{AgentInfo, Timestamp};

use super::{Action, Autoscaler, Decision, machine, members, say, undrain};
use crate::config::AgentShape;
use crate::memory::Phase;
use crate::pack::{Bin, Stock, pack};
use crate::view::{AgentSeen, Presence, Unmet, View};

/// Where room was found.
#[derive(Debug, Clone)]
enum Room {
    /// On an agent that may come back.
    Away,
    /// On an agent that is being drained.
    Draining(String),
    /// On one that was asked for.
    Coming,
    /// On a further one.
    New { shape: usize, why: String },
}

impl Autoscaler {
    /// Adds agents for what has waited, and where there are too few.
    pub(super) fn up(&mut self, now: Timestamp, view: &View, out: &mut Vec<Decision>) {
        let mut said = BTreeMap::new();
        let waiting = self.waiting(view, &mut said);
        let mut wanted = self.missing_of_min(now, view);
        let bins = self.bins(view);
        let mut stock = self.stock(now, view, &wanted);
        let new = |shape: usize, unmet: &Unmet| Room::New {
            shape,
            why: format!("{} waits for room, and no agent has any", subject(unmet)),
        };
        let packed = pack(&waiting, bins, &mut stock, new);
        for (index, why) in packed.missing {
            if let Some(unmet) = waiting.get(index) {
                said.insert(key(unmet), format!("{} waits: {why}", subject(unmet)));
            }
        }
        let agents = members(view);
        for bin in packed.bins {
            let is_used = bin.is_used();
            match bin.kind {
                Room::Draining(name) if is_used => {
                    if let Some(agent) = agents.get(&name[..]) {
                        out.push(undrain(
                            &name,
                            agent,
                            "something waits for which it has room".to_owned(),
                        ));
                    }
                }
                Room::New { shape, why } => wanted.push((shape, why)),
                Room::Away | Room::Draining(_) | Room::Coming => {}
            }
        }
        let at_once = usize::try_from(self.config.at_once).unwrap_or(usize::MAX);
        let room = at_once.saturating_sub(self.count_moving(true));
        for (shape, why) in wanted.into_iter().take(room) {
            if let Some(shape) = self.config.shapes.get(shape) {
                let shape = shape.name.clone();
                out.push(self.add(now, view, shape, why));
            }
        }
        let before = std::mem::take(&mut self.said);
        let told = said.iter().filter(|(key, text)| before.get(*key) != Some(*text));
        out.extend(told.map(|(_, text)| say("", text.clone())));
        self.said = said;
    }

    /// What has waited for long enough, and could run if there were agents for it.
    fn waiting<'a>(&self, view: &'a View, said: &mut BTreeMap<String, String>) -> Vec<&'a Unmet> {
        let gang = |unmet: &Unmet| {
            let gang = unmet.shape.gang?;
            Some((unmet.framework_id.clone(), unmet.role.clone(), gang))
        };
        let mut bound = BTreeSet::new();
        for unmet in &view.unmet {
            if let Some((n, role, resource)) = &unmet.over_limit {
                bound.extend(gang(unmet));
                let text = format!(
                    "{} waits: the limit of role {role} on {resource} keeps {n} of them, whatever agents there are",
                    subject(unmet)
                );
                said.insert(format!("{} limit", key(unmet)), text);
            }
        }
        let is_due = |unmet: &&Unmet| {
            let is_bound = gang(unmet).is_some_and(|gang| bound.contains(&gang));
            unmet.shape.count > 0 && unmet.waiting >= self.config.scale_up_delay && !is_bound
        };
        view.unmet.iter().filter(is_due).collect()
    }

    /// Room that is there, or will be, without a further agent.
    fn bins(&self, view: &View) -> Vec<Bin<Room>> {
        let mut bins = Vec::new();
        if view.unmet.is_empty() {
            return bins;
        }
        let in_use = |agent: &&AgentSeen| agent.drain.is_none() && !agent.is_deactivated;
        for agent in view.agents.iter().filter(in_use) {
            if agent.presence == Presence::Away {
                bins.push(Bin::new(Room::Away, agent.info.clone(), agent.free()));
            }
        }
        let agents = members(view);
        for (name, machine) in &self.memory.machines {
            let agent = agents.get(&name[..]);
            match (machine.phase, agent) {
                (Phase::Draining, Some(agent)) if agent.presence == Presence::Active => {
                    let free = agent.info.resources.plain();
                    bins.push(Bin::new(Room::Draining(name.clone()), agent.info.clone(), free));
                }
                (Phase::Adding | Phase::Registering, None) => {
                    if let Some(shape) = self.shape(&machine.shape) {
                        let info = likely(shape, view);
                        let free = info.resources.plain();
                        bins.push(Bin::new(Room::Coming, info, free));
                    }
                }
                (Phase::Adding | Phase::Registering, Some(_))
                | (Phase::Draining | Phase::Removing | Phase::Leaving, _) => {}
            }
        }
        bins
    }

    /// How many agents of each shape can be added.
    fn stock<'a>(&'a self, now: Timestamp, view: &View, wanted: &[(usize, String)]) -> Vec<Stock<'a>> {
        let stock = |(at, shape): (usize, &'a AgentShape)| {
            let pause = self.paused(&format!("shape {}", shape.name), now);
            let taken = wanted.iter().filter(|(of, _)| *of == at).count();
            let taken = self
                .count(&shape.name, view)
                .saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
            Stock {
                shape,
                info: likely(shape, view),
                room: match pause {
                    Some(_) => 0,
                    None => shape.max.saturating_sub(taken),
                },
                why: pause.map(|_| {
                    format!(
                        "shape {} failed not long ago, and is tried again later",
                        shape.name
                    )
                }),
            }
        };
        self.config.shapes.iter().enumerate().map(stock).collect()
    }

    /// The agents of which there are too few.
    fn missing_of_min(&self, now: Timestamp, view: &View) -> Vec<(usize, String)> {
        let mut missing = Vec::new();
        for (at, shape) in self.config.shapes.iter().enumerate() {
            let all = self.count(&shape.name, view);
            let coming = self.memory.machines.values();
            let coming = coming.filter(|machine| machine.is_coming() && machine.shape == shape.name);
            let coming = u32::try_from(coming.count()).unwrap_or(u32::MAX);
            let there = self.count_staying(&shape.name, view);
            // Those that are coming may be there already.
            let there = there.saturating_add(coming).min(all);
            let n = shape.min.saturating_sub(there).min(shape.max.saturating_sub(all));
            if self.paused(&format!("shape {}", shape.name), now).is_none() {
                let why = format!(
                    "there are {there} of shape {}, and are to be {}",
                    shape.name, shape.min
                );
                missing.extend((0..n).map(|_| (at, why.clone())));
            }
        }
        missing
    }

    fn add(&mut self, now: Timestamp, view: &View, shape: String, why: String) -> Decision {
        let agents = members(view);
        let is_new =
            |name: &String| !agents.contains_key(&name[..]) && !self.memory.machines.contains_key(name);
        let names = (now.0..).map(|n| format!("{shape}-{n:x}"));
        let name = names.into_iter().find(is_new).unwrap_or_default();
        self.memory
            .machines
            .insert(name.clone(), machine(&shape, Phase::Adding, now, None));
        self.added_at = Some(now);
        Decision {
            machine: name,
            action: Action::Add { shape },
            why,
        }
    }
}

/// What an agent of a shape will offer: no more than those that are there.
fn likely(shape: &AgentShape, view: &View) -> AgentInfo {
    let mut info = shape.info();
    let is_of = |agent: &&AgentSeen| agent.membership().is_some_and(|(of, _)| of == shape.name);
    if let Some(agent) = view.agents.iter().find(is_of) {
        info.resources = info.resources.common(&agent.info.resources.plain());
    }
    info
}

/// What waits, without figures that change all the time.
fn subject(unmet: &Unmet) -> String {
    let gang = match unmet.shape.gang {
        Some(_) => " of a gang",
        None => "",
    };
    format!(
        "framework {} in role {} ({} x {}{gang})",
        unmet.framework, unmet.role, unmet.shape.count, unmet.shape.resources
    )
}

fn key(unmet: &Unmet) -> String {
    format!("{} {} {}", unmet.framework_id, unmet.role, unmet.shape.id.0)
}

//! Whether the other end of each link is still there.
//!
//! Both ends of a link say something each interval; one that was silent for three is lost. Each link has an interval of its
//! own, the one that its other end goes by: master and peer expect what the other does, whatever others were told. That of
//! agents is short, so that the death of a host is noticed soon, and longer in larger clusters. When the cluster has grown
//! since an agent registered, its heartbeats tell it the longer one, and the link has that once the agent has said that it
//! goes by it; one of an older version never does, and keeps what it was told. It never gets shorter while the link lasts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_types::agent_link::MasterMessage;
use proffer_types::{Timestamp, scheduler_link};

use crate::cx::Cx;
use crate::handlers::{agent_lost, framework_gone};
use crate::limits::{
    AGENT_HEARTBEAT, AGENT_HEARTBEAT_STEP, HEARTBEATS_TOGETHER, MAX_AGENT_HEARTBEATS_A_SECOND,
    MISSED_HEARTBEATS,
};
use crate::state::Peer;
use crate::{CloseReason, Command, Config, LinkId};

/// Who was heard when, and when something has to be said.
#[derive(Debug, Default)]
pub(crate) struct Heartbeats {
    links: BTreeMap<LinkId, Pulse>,
    /// When something has to be said on each of these links. One that is no longer up is forgotten then.
    due: BTreeSet<(Timestamp, LinkId)>,
}

#[derive(Debug)]
struct Pulse {
    heard: Timestamp,
    interval: Duration,
    /// What the agent was told last.
    told: Duration,
}

/// The link a command proves to be alive.
pub(crate) fn link_of(command: &Command) -> Option<LinkId> {
    match command {
        Command::AgentRegister { link, .. }
        | Command::AgentFrame { link, .. }
        | Command::SchedulerCalls { link, .. } => Some(*link),
        Command::AgentLinkLost { .. }
        | Command::SchedulerLinkLost { .. }
        | Command::Operator { .. }
        | Command::Tick => None,
    }
}

/// The interval for an agent among so many.
pub(crate) fn agent_interval(config: &Config, n_agents: usize) -> Duration {
    let n_agents = u32::try_from(n_agents).unwrap_or(u32::MAX);
    let shared = Duration::from_secs(n_agents.into()) / MAX_AGENT_HEARTBEATS_A_SECOND;
    let n_steps = shared.as_nanos().div_ceil(AGENT_HEARTBEAT_STEP.as_nanos());
    let stepped = AGENT_HEARTBEAT_STEP * u32::try_from(n_steps).unwrap_or(u32::MAX);
    stepped.max(AGENT_HEARTBEAT).min(config.heartbeat_interval)
}

impl Heartbeats {
    /// Something came on a link that is up.
    pub(crate) fn heard(&mut self, cx: &Cx<'_>, link: LinkId) {
        if let Some(pulse) = self.links.get_mut(&link) {
            pulse.heard = cx.now;
            return;
        }
        let interval = match cx.state.peer(link) {
            Some(Peer::Agent(_)) => agent_interval(cx.config, cx.state.n_agents()),
            Some(Peer::Framework(_)) => cx.config.heartbeat_interval,
            None => return,
        };
        let pulse = Pulse {
            heard: cx.now,
            interval,
            told: interval,
        };
        self.links.insert(link, pulse);
        self.due.insert((next(cx.now, interval), link));
    }

    /// An agent says that it goes by this interval from now on. What it was not told does not count.
    pub(crate) fn confirmed(&mut self, link: LinkId, interval: Option<Duration>) {
        if let (Some(interval), Some(pulse)) = (interval, self.links.get_mut(&link))
            && (pulse.interval..=pulse.told).contains(&interval)
        {
            pulse.interval = interval;
        }
    }

    /// When [`Heartbeats::beat`] has something to do.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Says what is due, and ends the links that were silent for too long.
    pub(crate) fn beat(&mut self, cx: &mut Cx<'_>) {
        if self.next().is_none_or(|at| at > cx.now) {
            return;
        }
        let later = self
            .due
            .split_off(&(Timestamp(cx.now.0.saturating_add(1)), LinkId(0)));
        for (at, link) in std::mem::replace(&mut self.due, later) {
            let is_up = cx.state.peer(link).is_some();
            let Some(pulse) = self.links.get_mut(&link).filter(|_| is_up) else {
                self.links.remove(&link);
                continue;
            };
            let silence = cx.now.since(pulse.heard);
            // Who was late itself cannot say who was silent.
            let was_late = cx.now.since(at) >= pulse.interval;
            if silence >= pulse.interval * MISSED_HEARTBEATS && !was_late {
                self.links.remove(&link);
                end(cx, link, silence);
            } else {
                say(cx, link, pulse);
                self.due.insert((next(cx.now, pulse.interval), link));
            }
        }
    }

    /// Says what is due while nobody listens, and so nobody can be silent.
    pub(crate) fn beat_deaf(&mut self, cx: &mut Cx<'_>) {
        let later = self
            .due
            .split_off(&(Timestamp(cx.now.0.saturating_add(1)), LinkId(0)));
        for (_, link) in std::mem::replace(&mut self.due, later) {
            if let Some(pulse) = self.links.get_mut(&link) {
                pulse.heard = cx.now;
                say(cx, link, pulse);
                self.due.insert((next(cx.now, pulse.interval), link));
            }
        }
    }
}

/// An interval from now, or a little earlier: so that a large cluster does not wake the master for each of its agents.
fn next(now: Timestamp, interval: Duration) -> Timestamp {
    let at = now.after(interval);
    if interval < HEARTBEATS_TOGETHER * 2 {
        return at;
    }
    let together = u64::try_from(HEARTBEATS_TOGETHER.as_millis()).unwrap_or(u64::MAX);
    Timestamp(at.0 - at.0 % together)
}

fn say(cx: &mut Cx<'_>, link: LinkId, pulse: &mut Pulse) {
    match cx.state.peer(link).cloned() {
        Some(Peer::Agent(agent)) => {
            pulse.told = pulse.told.max(agent_interval(cx.config, cx.state.n_agents()));
            let interval = Some(pulse.told).filter(|told| *told > pulse.interval);
            cx.tell_agent(&agent, MasterMessage::Heartbeat { interval });
        }
        Some(Peer::Framework(_)) => cx.send(link, scheduler_link::Event::Heartbeat),
        None => {}
    }
}

fn end(cx: &mut Cx<'_>, link: LinkId, silence: Duration) {
    match cx.state.peer(link).cloned() {
        Some(Peer::Agent(agent)) => agent_lost::disconnected(cx, &agent, silence),
        Some(Peer::Framework(_)) => framework_gone::link_lost(cx, link),
        None => {}
    }
    cx.close(link, CloseReason::Silent);
}

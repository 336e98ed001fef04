//! Whether the other end of each link is still there.
//!
//! Both sides of a link say something each interval; one that was silent for three is lost. Agents have an interval of
//! their own, so that the death of a host is noticed soon. It grows with the cluster, and never shrinks in a term: an agent
//! keeps the one that it was told when it registered.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_types::agent_link::MasterMessage;
use proffer_types::{Timestamp, scheduler_link};

use crate::cx::Cx;
use crate::handlers::{agent_lost, framework_gone};
use crate::limits::{AGENT_HEARTBEAT, MAX_AGENT_HEARTBEATS_A_SECOND, MISSED_HEARTBEATS};
use crate::state::Peer;
use crate::{CloseReason, Command, Config, LinkId};

/// Who was heard when, and when something has to be said.
#[derive(Debug, Default)]
pub(crate) struct Heartbeats {
    /// When each link was last heard of.
    heard: BTreeMap<LinkId, Timestamp>,
    /// To frameworks.
    next: Option<Timestamp>,
    to_agents: Option<Timestamp>,
    /// The longest interval that agents were told in this term: who speaks as rarely as that is not silent.
    longest: Duration,
    /// The shortest one: who was told that expects to hear something as often.
    shortest: Option<Duration>,
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

/// The interval for an agent that registers among so many.
pub(crate) fn agent_interval(config: &Config, n_agents: usize) -> Duration {
    let n_agents = u32::try_from(n_agents).unwrap_or(u32::MAX);
    let shared = Duration::from_secs(n_agents.into()) / MAX_AGENT_HEARTBEATS_A_SECOND;
    shared.max(AGENT_HEARTBEAT).min(config.heartbeat_interval)
}

impl Heartbeats {
    /// Something came on a link that is up.
    pub(crate) fn heard(&mut self, link: LinkId, now: Timestamp) {
        self.heard.insert(link, now);
    }

    /// When [`Heartbeats::beat`] has something to do.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        [self.next, self.to_agents].into_iter().flatten().min()
    }

    /// Says what is due, and ends the links that were silent for too long.
    pub(crate) fn beat(&mut self, cx: &mut Cx<'_>) {
        let told = agent_interval(cx.config, cx.state.n_agents());
        self.longest = self.longest.max(told);
        let shortest = self.shortest.map_or(told, |shortest| shortest.min(told));
        self.shortest = Some(shortest);
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= cx.now);
        if is_due(self.to_agents) {
            // Who was late itself cannot say who was silent.
            let late = self.to_agents.map_or(Duration::ZERO, |at| cx.now.since(at));
            self.agents(cx, late < self.longest);
            self.to_agents = None;
        }
        if self.next.is_some_and(|at| at <= cx.now) {
            self.frameworks(cx);
            self.heard.retain(|link, _| cx.state.peer(*link).is_some());
            self.next = None;
        }
        if !self.heard.is_empty() {
            let now = cx.now;
            self.next.get_or_insert(now.after(cx.config.heartbeat_interval));
            self.to_agents.get_or_insert(now.after(shortest));
        }
    }

    fn agents(&mut self, cx: &mut Cx<'_>, may_end: bool) {
        let limit = self.longest * MISSED_HEARTBEATS;
        let links = cx.state.links().filter_map(|(link, peer)| match peer {
            Peer::Agent(agent) => Some((link, agent.clone())),
            Peer::Framework(_) => None,
        });
        for (link, agent) in links.collect::<Vec<_>>() {
            let silence = self.silence(cx, link);
            if silence < limit || !may_end {
                cx.tell_agent(&agent, MasterMessage::Heartbeat);
            } else {
                agent_lost::disconnected(cx, &agent, silence);
                cx.close(link, CloseReason::Silent);
            }
        }
    }

    fn frameworks(&mut self, cx: &mut Cx<'_>) {
        let limit = cx.config.heartbeat_interval * MISSED_HEARTBEATS;
        let links = cx.state.links().filter_map(|(link, peer)| match peer {
            Peer::Agent(_) => None,
            Peer::Framework(_) => Some(link),
        });
        for link in links.collect::<Vec<_>>() {
            if self.silence(cx, link) < limit {
                cx.send(link, scheduler_link::Event::Heartbeat);
            } else {
                framework_gone::link_lost(cx, link);
                cx.close(link, CloseReason::Silent);
            }
        }
    }

    fn silence(&mut self, cx: &Cx<'_>, link: LinkId) -> Duration {
        cx.now.since(*self.heard.entry(link).or_insert(cx.now))
    }
}

//! Whether the other end of each link is still there.
//!
//! Both sides of a link say something each interval; one that was silent for three is lost.

use std::collections::BTreeMap;

use proffer_types::agent_link::MasterMessage;
use proffer_types::{Timestamp, scheduler_link};

use crate::cx::Cx;
use crate::handlers::{agent_lost, framework_gone};
use crate::limits::MISSED_HEARTBEATS;
use crate::state::Peer;
use crate::{CloseReason, Command, LinkId};

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

/// Sends a heartbeat on every link, and ends the silent ones.
pub(crate) fn beat(cx: &mut Cx<'_>, heard: &mut BTreeMap<LinkId, Timestamp>) {
    let limit = cx.config.heartbeat_interval * MISSED_HEARTBEATS;
    let links: Vec<_> = cx
        .state
        .links()
        .map(|(link, peer)| (link, peer.clone()))
        .collect();
    for (link, peer) in links {
        let last = *heard.entry(link).or_insert(cx.now);
        let is_silent = cx.now.since(last) >= limit;
        match peer {
            Peer::Agent(_) if is_silent => agent_lost::link_lost(cx, link),
            Peer::Framework(_) if is_silent => framework_gone::link_lost(cx, link),
            Peer::Agent(agent) => {
                cx.tell_agent(&agent, MasterMessage::Heartbeat);
            }
            Peer::Framework(_) => cx.send(link, scheduler_link::Event::Heartbeat),
        }
        if is_silent {
            cx.close(link, CloseReason::Silent);
        }
    }
}

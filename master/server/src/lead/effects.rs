//! What leaves the core after a commit, gathered into as few frames as possible.

use std::collections::BTreeMap;
use std::fmt;

use proffer_master_core::{CloseReason, Event, LinkId};
use proffer_types::agent_link::MasterMessage;
use proffer_types::resources::format::format_scalar;
use proffer_types::{ResourceName, Session, scheduler_link};
use proffer_wire::agent_link::master_frames;
use proffer_wire::scheduler_link::event_frames;
use tonic::Status;
use tracing::{debug, info, warn};

use crate::links::Links;

/// The messages of one batch, by link.
#[derive(Debug, Default)]
pub(super) struct Sends {
    links: BTreeMap<LinkId, Send>,
}

#[derive(Debug, Default)]
struct Send {
    /// Runs of messages of one session.
    to_agent: Vec<(Session, Vec<MasterMessage>)>,
    to_framework: Vec<scheduler_link::Event>,
    close: Option<CloseReason>,
}

impl Sends {
    pub(super) fn add_to_agent(&mut self, link: LinkId, session: Session, message: MasterMessage) {
        let runs = &mut self.links.entry(link).or_default().to_agent;
        match runs.last_mut() {
            Some((last, messages)) if *last == session => messages.push(message),
            Some(_) | None => runs.push((session, vec![message])),
        }
    }

    pub(super) fn add_to_framework(&mut self, link: LinkId, event: scheduler_link::Event) {
        self.links.entry(link).or_default().to_framework.push(event);
    }

    pub(super) fn add_close(&mut self, link: LinkId, reason: CloseReason) {
        self.links.entry(link).or_default().close = Some(reason);
    }

    /// Puts everything into the links' queues. A closed link takes no more, so closing comes last.
    pub(super) fn perform(self, links: &Links) {
        for (link, send) in self.links {
            for (session, messages) in send.to_agent {
                links.to_agent(link, master_frames(session, &messages));
            }
            if !send.to_framework.is_empty() {
                links.to_scheduler(link, event_frames(&send.to_framework));
            }
            if let Some(reason) = send.close {
                debug!(link = link.0, %reason, "closing link");
                links.close(link, close_status(&reason));
            }
        }
    }
}

fn close_status(reason: &CloseReason) -> Status {
    let text = reason.to_string();
    match reason {
        CloseReason::Silent | CloseReason::TakenOver | CloseReason::WrongSession => Status::aborted(text),
        CloseReason::NotRegistered
        | CloseReason::AlreadyRegistered
        | CloseReason::Refused(_)
        | CloseReason::FrameworkCompleted => Status::failed_precondition(text),
    }
}

/// Limits as they are written on the command line.
struct Limits<'a>(&'a BTreeMap<ResourceName, u64>);

impl fmt::Display for Limits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (name, units)) in self.0.iter().enumerate() {
            let gap = if n == 0 { "" } else { ";" };
            write!(f, "{gap}{name}:{}", format_scalar(name, *units))?;
        }
        Ok(())
    }
}

/// Tells of changes a user would notice.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other events are for whoever debugs"
)]
pub(super) fn log(event: &Event) {
    match event {
        Event::AgentAdmitted { agent_id, info } => {
            info!(%agent_id, hostname = info.hostname, resources = %info.resources, "agent admitted");
        }
        Event::AgentRegistered {
            agent_id, session, ..
        } => info!(%agent_id, session = session.0, "agent registered"),
        Event::AgentDisconnected { agent_id, .. } => info!(%agent_id, "agent disconnected"),
        Event::AgentUnreachable { agent_id, .. } => info!(%agent_id, "agent is unreachable"),
        Event::AgentUpkeep { agent_id, upkeep } => {
            let drain = upkeep.drain.as_ref().map(|drain| drain.phase);
            let coming = upkeep.coming().map(|window| window.name.as_str());
            info!(%agent_id, deactivated = upkeep.deactivated.is_some(), ?drain, coming, "agent's upkeep changed");
        }
        Event::AgentRemovalDelayed { agent_id, until, .. } => {
            info!(%agent_id, until_ms = until.0, "agent is away for too long, its removal waits");
        }
        Event::RemovalsHeld { n_away, n_expected } => warn!(
            n_away,
            n_expected,
            "more agents than --recovery-agent-removal-limit allows did not come back, so none is removed: see whether this master is cut off; declare those gone that are lost, or start it with another limit"
        ),
        Event::AgentGone { agent_id, .. } => info!(%agent_id, "agent is gone"),
        Event::FrameworkSubscribed {
            framework_id, info, ..
        } => info!(%framework_id, name = info.name, "framework subscribed"),
        Event::FrameworkDisconnected { framework_id, .. } => info!(%framework_id, "framework disconnected"),
        Event::FrameworkCompleted { framework_id } => info!(%framework_id, "framework completed"),
        Event::RoleSet { role, config } => info!(
            %role,
            weight_millis = config.weight_millis,
            priority = config.priority,
            guarantee = %config.quota.guarantee,
            limit = %Limits(&config.quota.limit),
            "role set"
        ),
        Event::OffersWithheld(withheld) => info!(
            n_expected = withheld.n_expected,
            n_needed = withheld.n_needed,
            "offers are withheld until agents are back"
        ),
        Event::OffersResumed => info!("offers are made again"),
        _ => debug!(?event, "changed"),
    }
}

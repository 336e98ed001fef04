//! Everything the master knows, as the fold of its events.
//!
//! Only [`State::apply`] writes it. Indexes (deadlines, links, an agent's tasks and offers, the ledger) are kept in
//! step there; [`State::check`] says whether they are.

mod agents;
mod check;
mod frameworks;
mod offers;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};

use proffer_allocator::{Change, Ledger};
use proffer_types::{AgentId, FrameworkId, MasterId, OfferId, Role, Session, TaskId, Timestamp};

pub use agents::{Agent, AgentPresence};
pub use frameworks::{Framework, FrameworkPresence};
pub use offers::OfferEntry;
pub use tasks::Task;

use crate::{Event, LinkId, Registry, RegistryChange, RoleRecord};
use agents::Agents;
use frameworks::Frameworks;
use offers::Offers;
use tasks::Tasks;

/// A task's name in the whole cluster.
pub(crate) type TaskKey = (FrameworkId, TaskId);

/// Who is at the other end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    Agent(AgentId),
    Framework(FrameworkId),
}

/// Whose time runs out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    Agent(AgentId),
    Framework(FrameworkId),
    Offer(OfferId),
}

/// The master's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    master_id: MasterId,
    term: u32,
    started: bool,
    n_sessions: u32,
    agents: Agents,
    frameworks: Frameworks,
    tasks: Tasks,
    offers: Offers,
    ledger: Ledger,
    links: BTreeMap<LinkId, Peer>,
    deadlines: BTreeSet<(Timestamp, Deadline)>,
}

impl State {
    /// The state before the first event: what the registry holds, all of it away.
    #[must_use]
    pub fn new(master_id: MasterId, term: u32, registry: &Registry) -> Self {
        let mut state = Self {
            master_id,
            term,
            started: false,
            n_sessions: 0,
            agents: Agents::default(),
            frameworks: Frameworks::default(),
            tasks: Tasks::default(),
            offers: Offers::default(),
            ledger: Ledger::default(),
            links: BTreeMap::new(),
            deadlines: BTreeSet::new(),
        };
        for role in &registry.roles {
            state.ledger.set_weight(&role.role, role.weight_millis);
        }
        state.recover_agents(&registry.agents);
        state.recover_frameworks(&registry.frameworks);
        state
    }

    /// Applies one fact. Returns what it changed in the ledger, as hints for the allocator.
    pub fn apply(&mut self, event: &Event) -> Vec<Change> {
        match event {
            Event::Started { deadline, .. } => self.start(*deadline),
            Event::AgentAdmitted { agent_id, info } => self.agent_admitted(agent_id, info),
            Event::AgentRegistered {
                agent_id,
                link,
                session,
            } => self.agent_registered(agent_id, *link, *session),
            Event::AgentDisconnected { agent_id, deadline } => self.agent_disconnected(agent_id, *deadline),
            Event::AgentUnreachable { agent_id, since } => self.agent_unreachable(agent_id, *since),
            Event::AgentForgotten { agent_id } => self.agent_forgotten(agent_id),
            Event::FrameworkSubscribed {
                framework_id,
                info,
                suppressed_roles,
                link,
            } => self.framework_subscribed(framework_id, info, suppressed_roles, *link),
            Event::FrameworkRecovered {
                framework_id,
                info,
                deadline,
            } => self.framework_recovered(framework_id, info, *deadline),
            Event::FrameworkDisconnected {
                framework_id,
                deadline,
            } => self.framework_disconnected(framework_id, *deadline),
            Event::FrameworkCompleted { framework_id } => self.framework_completed(framework_id),
            Event::FrameworkForgotten { framework_id } => self.framework_forgotten(framework_id),
            Event::RolesSuppressed { framework_id, roles } => vec![self.ledger.suppress(framework_id, roles)],
            Event::RolesRevived { framework_id, roles } => vec![self.ledger.revive(framework_id, roles)],
            Event::RoleWeightSet { role, weight_millis } => {
                vec![self.ledger.set_weight(role, *weight_millis)]
            }
            Event::OfferMade {
                offer_id,
                framework_id,
                agent_id,
                role,
                resources,
                expires,
            } => {
                let entry = OfferEntry {
                    framework_id: framework_id.clone(),
                    agent_id: agent_id.clone(),
                    role: role.clone(),
                    resources: resources.clone(),
                    expires: *expires,
                };
                self.offer_made(offer_id, entry)
            }
            Event::OfferEnded { offer_id, .. } => self.offer_ended(offer_id),
            Event::FilterSet {
                framework_id,
                role,
                agent_id,
                refused,
                until,
            } => {
                let filter = proffer_allocator::Filter {
                    refused: refused.clone(),
                    until: *until,
                };
                self.ledger.add_filter(framework_id, role, agent_id, filter);
                Vec::new()
            }
            Event::FiltersExpired { at } => self.ledger.expire_filters(*at),
            Event::TaskLaunched {
                framework_id,
                role,
                info,
                at,
            } => self.task_launched(framework_id, role, info, *at),
            Event::TaskAdded {
                framework_id,
                role,
                info,
                status,
            } => self.task_added(framework_id, role, info, status),
            Event::TaskReported {
                framework_id,
                task_id,
                state,
            } => self.task_reported(framework_id, task_id, *state),
            Event::TaskUpdated {
                framework_id,
                status,
                latest_state,
            } => self.task_updated(framework_id, status, *latest_state),
            Event::TaskKillRequested {
                framework_id,
                task_id,
                kill_policy,
            } => self.task_kill_requested(framework_id, task_id, *kill_policy),
            Event::TaskAcknowledged {
                framework_id,
                task_id,
            } => self.task_acknowledged(framework_id, task_id),
            Event::TaskCompleted {
                framework_id,
                task_id,
            } => self.task_completed(framework_id, task_id),
        }
    }

    fn start(&mut self, deadline: Timestamp) -> Vec<Change> {
        self.started = true;
        self.expect_recovered_agents(deadline);
        Vec::new()
    }

    /// The record a durable event leaves in the store; asked right after the event was applied.
    pub(crate) fn registry_change(&self, event: &Event) -> Option<RegistryChange> {
        match event {
            Event::AgentAdmitted { agent_id, .. } | Event::AgentUnreachable { agent_id, .. } => {
                self.agent_record(agent_id).map(RegistryChange::PutAgent)
            }
            Event::AgentForgotten { agent_id } => Some(RegistryChange::DeleteAgent(agent_id.clone())),
            Event::FrameworkSubscribed { framework_id, .. }
            | Event::FrameworkRecovered { framework_id, .. }
            | Event::FrameworkDisconnected { framework_id, .. }
            | Event::FrameworkCompleted { framework_id } => self
                .framework_record(framework_id)
                .map(RegistryChange::PutFramework),
            Event::FrameworkForgotten { framework_id } => {
                Some(RegistryChange::DeleteFramework(framework_id.clone()))
            }
            Event::RoleWeightSet { role, weight_millis } => Some(role_change(role, *weight_millis)),
            Event::Started { .. }
            | Event::AgentRegistered { .. }
            | Event::AgentDisconnected { .. }
            | Event::RolesSuppressed { .. }
            | Event::RolesRevived { .. }
            | Event::OfferMade { .. }
            | Event::OfferEnded { .. }
            | Event::FilterSet { .. }
            | Event::FiltersExpired { .. }
            | Event::TaskLaunched { .. }
            | Event::TaskAdded { .. }
            | Event::TaskReported { .. }
            | Event::TaskUpdated { .. }
            | Event::TaskKillRequested { .. }
            | Event::TaskAcknowledged { .. }
            | Event::TaskCompleted { .. } => None,
        }
    }

    /// The name of this leadership.
    #[must_use]
    pub fn master_id(&self) -> &MasterId {
        &self.master_id
    }

    /// Whether the first step was taken.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// Totals, claims, roles and filters.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Who is at the other end of a link.
    #[must_use]
    pub fn peer(&self, link: LinkId) -> Option<&Peer> {
        self.links.get(&link)
    }

    /// The links that are up.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, &Peer)> {
        self.links.iter().map(|(link, peer)| (*link, peer))
    }

    /// The next session to open: later than any of this and earlier terms.
    pub(crate) fn next_session(&self) -> Session {
        Session(u64::from(self.term) << 32 | u64::from(self.n_sessions + 1))
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Whose time has run out by `now`, earliest first.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<Deadline> {
        let due = self.deadlines.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, whose)| whose.clone()).collect()
    }

    fn set_deadline(&mut self, whose: &Deadline, old: Option<Timestamp>, new: Option<Timestamp>) {
        if let Some(old) = old {
            self.deadlines.remove(&(old, whose.clone()));
        }
        if let Some(new) = new {
            self.deadlines.insert((new, whose.clone()));
        }
    }
}

fn role_change(role: &Role, weight_millis: u64) -> RegistryChange {
    if weight_millis == proffer_allocator::DEFAULT_WEIGHT_MILLIS {
        RegistryChange::DeleteRole(role.clone())
    } else {
        RegistryChange::PutRole(RoleRecord {
            role: role.clone(),
            weight_millis,
        })
    }
}

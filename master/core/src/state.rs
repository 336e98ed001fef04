//! Everything the master knows, as the fold of its events.
//!
//! Only [`State::apply`] writes it. Indexes (deadlines, links, an agent's tasks and offers, the ledger) are kept in
//! step there; [`State::check`] says whether they are.

mod agents;
mod check;
mod frameworks;
mod inverse;
mod offers;
mod operations;
mod suspensions;
mod tasks;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proffer_allocator::{Change, Filter, Ledger, RoleConfig};
use proffer_types::{AgentId, FrameworkId, MasterId, OfferId, Role, Session, TaskId, Timestamp};

pub use agents::{Agent, AgentPresence};
pub use frameworks::{Framework, FrameworkPresence};
pub use inverse::{Asked, InverseAnswer};
pub use offers::OfferEntry;
pub use operations::OperationEntry;
pub use tasks::Task;
pub use upkeep::GoneAgent;

use crate::limits::MAX_REMOVALS;
use crate::{Config, Event, LinkId, Registry, RegistryChange, RoleRecord};
use agents::Agents;
use frameworks::Frameworks;
use inverse::InverseOffers;
use offers::{OfferClaim, Offers};
pub(crate) use operations::OperationKey;
use operations::Operations;
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
    /// What is left on the agent is killed.
    Drain(AgentId),
    /// A maintenance window of the agent begins or ends.
    Window(AgentId),
    /// The framework may be asked again to leave the agent.
    Inverse(AgentId, FrameworkId),
}

/// The master's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    master_id: MasterId,
    term: u32,
    started: bool,
    /// When the agents that the store may not know of have had their time to come back, too.
    settled_at: Timestamp,
    n_sessions: u32,
    agents: Agents,
    frameworks: Frameworks,
    tasks: Tasks,
    offers: Offers,
    inverse: InverseOffers,
    operations: Operations,
    /// Shared with snapshots; copied when it changes under one.
    ledger: Arc<Ledger>,
    links: BTreeMap<LinkId, Peer>,
    deadlines: BTreeSet<(Timestamp, Deadline)>,
    withheld: Option<Withheld>,
}

/// No offers are made until enough agents are back from before the master's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld {
    /// How many agents were known at the start.
    pub n_expected: u32,
    /// How many of them must be back, or given up.
    pub n_needed: u32,
    /// When the wait ends in any case.
    pub until: Timestamp,
}

impl State {
    /// The state before the first event: what the registry holds, all of it away.
    #[must_use]
    pub fn new(config: &Config, master_id: MasterId, term: u32, registry: &Registry) -> Self {
        let region = config.domain.as_ref().map(|domain| domain.region.clone());
        let mut state = Self {
            master_id,
            term,
            started: false,
            settled_at: Timestamp(0),
            n_sessions: 0,
            agents: Agents::default(),
            frameworks: Frameworks::default(),
            tasks: Tasks::default(),
            offers: Offers::default(),
            inverse: InverseOffers::default(),
            operations: Operations::default(),
            ledger: Arc::new(Ledger::new(region)),
            links: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            withheld: None,
        };
        let limit = config.removal_limit.map_or(0, |limit| limit.n.min(MAX_REMOVALS));
        state.agents.n_removals_kept = usize::try_from(limit).unwrap_or(usize::MAX);
        for role in &registry.roles {
            state.ledger_mut().set_role(&role.role, role.config.clone());
        }
        state.recover_agents(&registry.agents);
        state.recover_frameworks(&registry.frameworks);
        state
    }

    /// Applies one fact. Returns what it changed in the ledger, as hints for the allocator.
    pub fn apply(&mut self, event: &Event) -> Vec<Change> {
        match event {
            Event::Started { deadline, .. } => self.start(*deadline),
            Event::OffersWithheld(hold) => {
                self.withheld = Some(*hold);
                Vec::new()
            }
            Event::OffersResumed => {
                self.withheld = None;
                Vec::new()
            }
            Event::AgentAdmitted { agent_id, info } => self.agent_admitted(agent_id, info),
            Event::AgentRegistered {
                agent_id,
                link,
                session,
            } => self.agent_registered(agent_id, *link, *session),
            Event::AgentDisconnected { agent_id, deadline } => self.agent_disconnected(agent_id, *deadline),
            Event::AgentUnreachable { agent_id, since } => self.agent_unreachable(agent_id, *since),
            Event::AgentRemovalDelayed { agent_id, why, until } => {
                self.agent_removal_delayed(agent_id, *why, *until)
            }
            Event::RemovalsHeld { .. } => Vec::new(),
            Event::AgentForgotten { agent_id } => self.agent_forgotten(agent_id),
            Event::AgentUpkeep { agent_id, upkeep } => self.agent_upkeep(agent_id, upkeep),
            Event::AgentGone { agent_id, since } => self.agent_gone(agent_id, *since),
            Event::ResourcesChanged { agent_id, total } => self.resources_changed(agent_id, total),
            Event::FrameworkSubscribed {
                framework_id,
                info,
                suppressed_roles,
                link,
            } => self.framework_subscribed(framework_id, info, suppressed_roles, *link),
            Event::FrameworkUpdated {
                framework_id,
                info,
                suppressed_roles,
            } => self.framework_updated(framework_id, info, suppressed_roles),
            Event::FrameworkOrphaned {
                framework_id,
                info,
                since,
            } => self.framework_orphaned(framework_id, info, *since),
            Event::OrphanIdle {
                framework_id,
                deadline,
            } => self.orphan_idle(framework_id, *deadline),
            Event::FrameworkDisconnected {
                framework_id,
                deadline,
            } => self.framework_disconnected(framework_id, *deadline),
            Event::FrameworkCompleted { framework_id } => self.framework_completed(framework_id),
            Event::FrameworkForgotten { framework_id } => self.framework_forgotten(framework_id),
            Event::RolesSuppressed { framework_id, roles } => self.ledger_mut().suppress(framework_id, roles),
            Event::DemandStated {
                framework_id,
                role,
                demand,
                at,
            } => {
                let demand = demand.clone();
                let changed = self.ledger_mut().set_demand(framework_id, role, demand, *at);
                changed.into_iter().collect()
            }
            Event::RolesRevived { framework_id, roles } => self.ledger_mut().revive(framework_id, roles),
            Event::RoleSet { role, config } => vec![self.ledger_mut().set_role(role, config.clone())],
            Event::OfferMade {
                offer_id,
                framework_id,
                agent_id,
                role,
                resources,
                shapes,
                gang,
                expires,
            } => {
                let claim = OfferClaim {
                    framework_id,
                    agent_id,
                    role,
                    resources,
                    shapes,
                    gang: gang.as_ref(),
                };
                self.offer_made(offer_id, claim, *expires)
            }
            Event::OfferGrown {
                offer_id,
                more,
                shape,
            } => self.offer_grown(offer_id, more, *shape),
            Event::OfferEnded { offer_id, end, at } => self.offer_ended(offer_id, *end, *at),
            Event::InverseOfferMade {
                offer_id,
                framework_id,
                agent_id,
            } => self.inverse_offer_made(offer_id, framework_id, agent_id),
            Event::InverseOfferEnded { offer_id, end, at } => self.inverse_offer_ended(offer_id, *end, *at),
            Event::InverseRefusalOver {
                framework_id,
                agent_id,
            } => self.inverse_refusal_over(framework_id, agent_id),
            Event::HoldSet {
                framework_id,
                role,
                waiting,
                agents,
                since,
                until,
            } => self.hold_set(framework_id, role, *waiting, agents, *since..*until),
            Event::HoldEnded { framework_id, role } => self.ledger_mut().end_hold(framework_id, role),
            Event::FilterSet {
                framework_id,
                role,
                agent_id,
                refused,
                at_least,
                until,
            } => {
                let filter = Filter {
                    refused: refused.clone(),
                    at_least: at_least.clone(),
                    until: *until,
                };
                if let Some(agent) = self.ledger.agent_ix(agent_id) {
                    self.ledger_mut().add_filter(framework_id, role, agent, filter);
                }
                Vec::new()
            }
            Event::FiltersExpired { at } => self.ledger_mut().expire_filters(*at),
            Event::OperationSent {
                framework_id,
                operation_id,
                agent_id,
                change,
                at,
            } => {
                let key = (framework_id.clone(), operation_id.clone());
                self.operation_sent(key, agent_id, change, *at)
            }
            Event::OperationUpdated {
                framework_id,
                agent_id,
                status,
            } => self.operation_updated(framework_id, agent_id, status),
            Event::OperationForgotten {
                framework_id,
                operation_id,
            } => self.operation_forgotten(framework_id, operation_id),
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
                suspension,
            } => self.task_reported(framework_id, task_id, *state, *suspension),
            Event::TaskUpdated {
                framework_id,
                status,
                latest_state,
                latest_suspension,
            } => self.task_updated(framework_id, status, *latest_state, *latest_suspension),
            Event::TaskSuspendRequested {
                framework_id,
                task_id,
            } => self.task_suspend_requested(framework_id, task_id),
            Event::TaskResumed {
                framework_id,
                task_id,
                at,
            } => self.task_resumed(framework_id, task_id, *at),
            Event::TaskKillRequested {
                framework_id,
                task_id,
                kill_policy,
                by_drain,
            } => self.task_kill_requested(framework_id, task_id, *kill_policy, *by_drain),
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
        self.settled_at = deadline;
        self.expect_recovered_agents(deadline);
        Vec::new()
    }

    /// The record a durable event leaves in the store; asked right after the event was applied.
    pub(crate) fn registry_change(&self, event: &Event) -> Option<RegistryChange> {
        match event {
            Event::AgentAdmitted { agent_id, .. }
            | Event::AgentUnreachable { agent_id, .. }
            | Event::AgentUpkeep { agent_id, .. }
            | Event::AgentGone { agent_id, .. } => self.agent_record(agent_id).map(RegistryChange::PutAgent),
            Event::AgentForgotten { agent_id } => Some(RegistryChange::DeleteAgent(agent_id.clone())),
            Event::FrameworkSubscribed { framework_id, .. }
            | Event::FrameworkUpdated { framework_id, .. }
            | Event::FrameworkOrphaned { framework_id, .. }
            | Event::OrphanIdle { framework_id, .. }
            | Event::FrameworkDisconnected { framework_id, .. }
            | Event::FrameworkCompleted { framework_id } => self
                .framework_record(framework_id)
                .map(RegistryChange::PutFramework),
            Event::FrameworkForgotten { framework_id } => {
                Some(RegistryChange::DeleteFramework(framework_id.clone()))
            }
            Event::RoleSet { role, config } => Some(role_change(role, config)),
            Event::Started { .. }
            | Event::OffersWithheld(_)
            | Event::OffersResumed
            | Event::AgentRegistered { .. }
            | Event::AgentDisconnected { .. }
            | Event::AgentRemovalDelayed { .. }
            | Event::RemovalsHeld { .. }
            | Event::ResourcesChanged { .. }
            | Event::DemandStated { .. }
            | Event::OperationSent { .. }
            | Event::OperationUpdated { .. }
            | Event::OperationForgotten { .. }
            | Event::RolesSuppressed { .. }
            | Event::RolesRevived { .. }
            | Event::OfferMade { .. }
            | Event::OfferGrown { .. }
            | Event::HoldSet { .. }
            | Event::HoldEnded { .. }
            | Event::OfferEnded { .. }
            | Event::InverseOfferMade { .. }
            | Event::InverseOfferEnded { .. }
            | Event::InverseRefusalOver { .. }
            | Event::FilterSet { .. }
            | Event::FiltersExpired { .. }
            | Event::TaskLaunched { .. }
            | Event::TaskAdded { .. }
            | Event::TaskReported { .. }
            | Event::TaskUpdated { .. }
            | Event::TaskSuspendRequested { .. }
            | Event::TaskResumed { .. }
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

    /// From when on what nobody reported is not there: a store that was lost, or is an older one, does not know every
    /// agent that runs tasks.
    #[must_use]
    pub fn settled_at(&self) -> Timestamp {
        self.settled_at
    }

    /// Why no offers are made at all, if that is so.
    #[must_use]
    pub fn withheld(&self) -> Option<&Withheld> {
        self.withheld.as_ref()
    }

    /// Totals, claims, roles and filters.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    fn ledger_mut(&mut self) -> &mut Ledger {
        Arc::make_mut(&mut self.ledger)
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

fn role_change(role: &Role, config: &RoleConfig) -> RegistryChange {
    if *config == RoleConfig::default() {
        RegistryChange::DeleteRole(role.clone())
    } else {
        RegistryChange::PutRole(RoleRecord {
            role: role.clone(),
            config: config.clone(),
        })
    }
}

//! Agents: admitted once, then active, away or unreachable.
//!
//! `Recovered | Disconnected --register--> Active --link lost--> Disconnected --deadline--> Unreachable --register--> Active`
//! An agent is in the ledger from its registration until it is unreachable, and offered only while active and not out of
//! use by an operator's word. Whoever an operator declares gone leaves for good, from anywhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use proffer_allocator::Change;
use proffer_types::{AgentId, AgentInfo, OfferId, Resources, Session, TaskState, Timestamp};

use super::upkeep::{Drains, GoneAgent, Windows};
use super::{Deadline, OperationKey, Peer, State, TaskKey};
use crate::{AgentRecord, LinkId, RemovalDelay, Upkeep};

/// Where an agent is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentPresence {
    Active {
        link: LinkId,
        session: Session,
    },
    Disconnected {
        deadline: Timestamp,
    },
    /// Known from the registry, not back since the start; the deadline is set by the first step.
    Recovered {
        deadline: Option<Timestamp>,
    },
    Unreachable {
        since: Timestamp,
    },
}

/// One admitted agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Shared with the ledger and with snapshots.
    pub info: Arc<AgentInfo>,
    pub presence: AgentPresence,
    /// What operators decided of it.
    pub upkeep: Upkeep,
    /// Why it is not given up though its time is over.
    pub removal_delay: Option<RemovalDelay>,
    /// The latest link it ever registered on: what comes on an older one is out of date.
    pub(crate) latest_link: Option<LinkId>,
    /// Live tasks there, by framework and id.
    pub(crate) tasks: BTreeSet<TaskKey>,
    pub(crate) offers: BTreeSet<OfferId>,
    /// Not acknowledged, in the order in which they were sent.
    pub(crate) operations: Vec<OperationKey>,
}

impl Agent {
    /// The link and session, while there is one.
    #[must_use]
    pub fn link(&self) -> Option<(LinkId, Session)> {
        match self.presence {
            AgentPresence::Active { link, session } => Some((link, session)),
            AgentPresence::Disconnected { .. }
            | AgentPresence::Recovered { .. }
            | AgentPresence::Unreachable { .. } => None,
        }
    }

    /// Whether the agent is expected back from before the master's start.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        matches!(self.presence, AgentPresence::Recovered { .. })
    }

    /// Whether the agent may be offered: it is there, and no operator took it out of use.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        matches!(self.presence, AgentPresence::Active { .. }) && self.upkeep.is_offered()
    }

    /// Whether the agent was given up.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self.presence, AgentPresence::Unreachable { .. })
    }

    /// When it is given up if it stays away.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        match self.presence {
            AgentPresence::Disconnected { deadline } => Some(deadline),
            AgentPresence::Recovered { deadline } => deadline,
            AgentPresence::Active { .. } | AgentPresence::Unreachable { .. } => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Agents {
    pub(super) by_id: BTreeMap<AgentId, Agent>,
    n_admitted: u64,
    /// Expected back from before the start.
    n_recovered: u32,
    /// How many were at the start.
    n_expected: u32,
    /// When agents became unreachable, as many of the latest as a limit counts.
    removals: VecDeque<Timestamp>,
    pub(super) n_removals_kept: usize,
    /// How many agents that are not unreachable have just this total.
    shapes: BTreeMap<Resources, u32>,
    /// Who is in which drain.
    pub(super) drains: Drains,
    /// Those that are draining and empty.
    pub(super) emptied: BTreeSet<AgentId>,
    /// Who is in which maintenance window.
    pub(super) windows: Windows,
    /// Shared with snapshots.
    pub(super) gone: Arc<BTreeMap<AgentId, GoneAgent>>,
    pub(super) gone_order: BTreeSet<(Timestamp, AgentId)>,
}

impl State {
    /// One admitted agent.
    #[must_use]
    pub fn agent(&self, agent: &AgentId) -> Option<&Agent> {
        self.agents.by_id.get(agent)
    }

    /// All admitted agents, by id.
    pub fn agents(&self) -> impl Iterator<Item = (&AgentId, &Agent)> {
        self.agents.by_id.iter()
    }

    /// How many agents are admitted, whatever became of them.
    pub(crate) fn n_agents(&self) -> usize {
        self.agents.by_id.len()
    }

    /// The id for the next new agent.
    pub(crate) fn next_agent_id(&self) -> AgentId {
        self.master_id.agent(self.agents.n_admitted)
    }

    /// The totals of the agents that are not unreachable, and how many have each.
    pub(crate) fn shapes(&self) -> &BTreeMap<Resources, u32> {
        &self.agents.shapes
    }

    /// How many agents are expected back from before the start.
    pub(crate) fn n_recovered_agents(&self) -> u32 {
        self.agents.n_recovered
    }

    /// How many agents were expected back at the start.
    pub(crate) fn n_expected_agents(&self) -> u32 {
        self.agents.n_expected
    }

    /// When agents became unreachable lately, oldest first.
    pub(crate) fn removals(&self) -> impl Iterator<Item = &Timestamp> {
        self.agents.removals.iter()
    }

    /// How many agents are unreachable. Costs a step per different size of agent.
    pub(crate) fn n_unreachable_agents(&self) -> usize {
        let n_expected: u64 = self.agents.shapes.values().map(|n| u64::from(*n)).sum();
        let n_expected = usize::try_from(n_expected).unwrap_or(usize::MAX);
        self.agents.by_id.len().saturating_sub(n_expected)
    }

    pub(super) fn agent_mut(&mut self, agent: &AgentId) -> Option<&mut Agent> {
        self.agents.by_id.get_mut(agent)
    }

    pub(super) fn agent_record(&self, agent_id: &AgentId) -> Option<AgentRecord> {
        let Some(agent) = self.agent(agent_id) else {
            let gone = self.agents.gone.get(agent_id)?;
            return Some(AgentRecord {
                agent_id: agent_id.clone(),
                info: AgentInfo::clone(&gone.info),
                unreachable_since: None,
                gone_since: Some(gone.since),
                upkeep: Upkeep::default(),
            });
        };
        let unreachable_since = match agent.presence {
            AgentPresence::Unreachable { since } => Some(since),
            AgentPresence::Active { .. }
            | AgentPresence::Disconnected { .. }
            | AgentPresence::Recovered { .. } => None,
        };
        Some(AgentRecord {
            agent_id: agent_id.clone(),
            info: AgentInfo::clone(&agent.info),
            unreachable_since,
            gone_since: None,
            upkeep: agent.upkeep.clone(),
        })
    }

    pub(super) fn recover_agents(&mut self, records: &[AgentRecord]) {
        for record in records {
            let (id, info) = (&record.agent_id, Arc::new(record.info.clone()));
            if let Some(since) = record.gone_since {
                self.insert_gone(id, GoneAgent { info, since });
                continue;
            }
            let recovered = AgentPresence::Recovered { deadline: None };
            let presence = record
                .unreachable_since
                .map_or(recovered, |since| AgentPresence::Unreachable { since });
            self.insert_agent(id, &info, presence);
            self.agent_upkeep(id, &record.upkeep);
        }
        self.agents.n_admitted = 0;
    }

    pub(super) fn expect_recovered_agents(&mut self, deadline: Timestamp) {
        self.agents.n_expected = self.agents.n_recovered;
        let recovered = self.agents().filter(|(_, agent)| agent.is_recovered());
        for id in recovered.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            let deadline = Some(deadline);
            self.set_agent_presence(&id, AgentPresence::Recovered { deadline });
        }
    }

    pub(super) fn agent_admitted(&mut self, id: &AgentId, info: &Arc<AgentInfo>) -> Vec<Change> {
        match self.agent(id).map(|agent| agent.presence.clone()) {
            None | Some(AgentPresence::Unreachable { .. }) => {
                // Registered right after: expected, with no deadline of its own.
                let recovered = AgentPresence::Recovered { deadline: None };
                if self.agent(id).is_some() {
                    self.set_agent_presence(id, recovered);
                    self.set_agent_info(id, info);
                } else {
                    self.insert_agent(id, info, recovered);
                }
            }
            Some(_) => self.set_agent_info(id, info),
        }
        Vec::new()
    }

    pub(super) fn agent_registered(&mut self, id: &AgentId, link: LinkId, session: Session) -> Vec<Change> {
        self.n_sessions += 1;
        self.set_agent_presence(id, AgentPresence::Active { link, session });
        self.links.insert(link, Peer::Agent(id.clone()));
        if let Some(agent) = self.agent_mut(id) {
            agent.latest_link = Some(link);
        }
        let Some(info) = self.agent(id).map(|agent| Arc::clone(&agent.info)) else {
            return Vec::new();
        };
        let changed = self.ledger_mut().set_agent(id, info);
        let is_offered = self.agent(id).is_some_and(Agent::is_offered);
        let ledger = self.ledger_mut();
        ledger.set_agent_out_of_use(id, !is_offered);
        let active = ledger.set_agent_active(id, is_offered);
        [changed].into_iter().chain(active).collect()
    }

    pub(super) fn agent_disconnected(&mut self, id: &AgentId, deadline: Timestamp) -> Vec<Change> {
        self.unlink_agent(id);
        self.set_agent_presence(id, AgentPresence::Disconnected { deadline });
        self.ledger_mut()
            .set_agent_active(id, false)
            .into_iter()
            .collect()
    }

    pub(super) fn agent_removal_delayed(
        &mut self,
        id: &AgentId,
        why: RemovalDelay,
        until: Timestamp,
    ) -> Vec<Change> {
        let is_recovered = self.agent(id).is_some_and(Agent::is_recovered);
        let presence = match is_recovered {
            true => AgentPresence::Recovered {
                deadline: Some(until),
            },
            false => AgentPresence::Disconnected { deadline: until },
        };
        self.set_agent_presence(id, presence);
        if let Some(agent) = self.agent_mut(id) {
            agent.removal_delay = Some(why);
        }
        Vec::new()
    }

    pub(super) fn agent_unreachable(&mut self, id: &AgentId, since: Timestamp) -> Vec<Change> {
        self.unlink_agent(id);
        self.set_agent_presence(id, AgentPresence::Unreachable { since });
        self.agents.removals.push_back(since);
        while self.agents.removals.len() > self.agents.n_removals_kept {
            self.agents.removals.pop_front();
        }
        let tasks = self.agent(id).map(|agent| agent.tasks.clone());
        let mut changes = Vec::new();
        for key in tasks.unwrap_or_default() {
            changes.extend(self.set_task_state(&key, TaskState::Unreachable));
        }
        changes.extend(self.ledger_mut().remove_agent(id));
        changes
    }

    pub(super) fn agent_forgotten(&mut self, id: &AgentId) -> Vec<Change> {
        self.forget_gone(id);
        self.drop_agent(id)
    }

    /// Takes an agent out of every index, and its id with it.
    pub(super) fn drop_agent(&mut self, id: &AgentId) -> Vec<Change> {
        self.set_agent_presence(id, AgentPresence::Unreachable { since: Timestamp(0) });
        self.leave_drain(id);
        self.leave_windows(id);
        self.forget_asked_agent(id);
        self.agents.by_id.remove(id);
        self.index_emptied(id);
        self.ledger_mut().remove_agent(id)
    }

    pub(super) fn resources_changed(&mut self, id: &AgentId, total: &Resources) -> Vec<Change> {
        let Some(agent) = self.agent(id) else {
            return Vec::new();
        };
        let info = Arc::new(AgentInfo {
            resources: total.clone(),
            ..AgentInfo::clone(&agent.info)
        });
        self.set_agent_info(id, &info);
        if self.ledger.agent_ix(id).is_none() {
            return Vec::new();
        }
        vec![self.ledger_mut().set_agent(id, info)]
    }

    pub(super) fn unlink_agent(&mut self, id: &AgentId) {
        if let Some((link, _)) = self.agent(id).and_then(Agent::link) {
            self.links.remove(&link);
        }
    }

    fn insert_agent(&mut self, id: &AgentId, info: &Arc<AgentInfo>, presence: AgentPresence) {
        let agent = Agent {
            info: Arc::clone(info),
            presence,
            upkeep: Upkeep::default(),
            removal_delay: None,
            latest_link: None,
            tasks: BTreeSet::new(),
            offers: BTreeSet::new(),
            operations: Vec::new(),
        };
        self.agents.n_admitted += 1;
        self.agents.n_recovered += u32::from(agent.is_recovered());
        if !agent.is_unreachable() {
            self.count_shape(&info.resources, true);
        }
        self.agents.by_id.insert(id.clone(), agent);
    }

    fn set_agent_info(&mut self, id: &AgentId, info: &Arc<AgentInfo>) {
        let Some(agent) = self.agents.by_id.get_mut(id) else {
            return;
        };
        let old = std::mem::replace(&mut agent.info, Arc::clone(info))
            .resources
            .clone();
        if !agent.is_unreachable() {
            self.count_shape(&info.resources, true);
            self.count_shape(&old, false);
        }
    }

    fn set_agent_presence(&mut self, id: &AgentId, presence: AgentPresence) {
        let Some(agent) = self.agents.by_id.get_mut(id) else {
            return;
        };
        let (was_unreachable, old) = (agent.is_unreachable(), agent.deadline());
        self.agents.n_recovered -= u32::from(agent.is_recovered());
        agent.presence = presence;
        agent.removal_delay = None;
        self.agents.n_recovered += u32::from(agent.is_recovered());
        let (is_unreachable, new) = (agent.is_unreachable(), agent.deadline());
        let total = agent.info.resources.clone();
        if was_unreachable != is_unreachable {
            self.count_shape(&total, was_unreachable);
        }
        self.set_deadline(&Deadline::Agent(id.clone()), old, new);
        self.index_emptied(id);
    }

    /// Whoever holds what does not count: a reservation makes an agent no smaller.
    fn count_shape(&mut self, total: &Resources, joins: bool) {
        let total = &total.flattened();
        let n = self.agents.shapes.entry(total.clone()).or_default();
        *n = if joins { *n + 1 } else { *n - 1 };
        if *n == 0 {
            self.agents.shapes.remove(total);
        }
    }
}

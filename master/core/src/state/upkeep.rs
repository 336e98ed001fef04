//! What operators decided of agents, who is next in a drain, and who is empty.
//!
//! Three indexes are kept in step with the agents: the members of each drain request and of each maintenance window, and the
//! draining agents of which nothing is left. So is the deadline of an agent's windows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proffer_allocator::Change;
use proffer_types::{AgentId, AgentInfo, Timestamp};

use super::{Agent, AgentPresence, Deadline, State};
use crate::{Drain, DrainPhase, Upkeep, Window};

/// An agent that an operator declared gone: its id is spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneAgent {
    /// What it last said of itself.
    pub info: Arc<AgentInfo>,
    pub since: Timestamp,
}

/// The agents of each drain request, by position.
pub(super) type Drains = BTreeMap<u64, BTreeMap<u32, AgentId>>;
/// The agents of each maintenance window, by its name.
pub(super) type Windows = BTreeMap<String, BTreeSet<AgentId>>;

impl Agent {
    /// Whether it is there, draining, and without a task or operation that anybody waits for.
    pub(super) fn is_emptied(&self) -> bool {
        let drain = self.upkeep.drain.as_ref();
        drain.is_some_and(|drain| drain.phase == DrainPhase::Draining)
            && matches!(self.presence, AgentPresence::Active { .. })
            && self.tasks.is_empty()
            && self.operations.is_empty()
    }
}

impl State {
    /// The agents that are gone, by id.
    #[must_use]
    pub fn gone_agents(&self) -> &Arc<BTreeMap<AgentId, GoneAgent>> {
        &self.agents.gone
    }

    /// The agent that has been gone for longest, when there are more than `limit`.
    pub(crate) fn surplus_gone_agent(&self, limit: usize) -> Option<&AgentId> {
        let oldest = self.agents.gone_order.first().map(|(_, id)| id);
        oldest.filter(|_| self.agents.gone.len() > limit)
    }

    /// A name for the next drain request: no agent is in another of that name.
    pub(crate) fn next_drain_request(&self) -> u64 {
        let last = self.agents.drains.last_key_value();
        last.map_or(0, |(request, _)| request.saturating_add(1))
    }

    /// A draining agent that is empty.
    pub(crate) fn emptied_agent(&self) -> Option<&AgentId> {
        self.agents.emptied.first()
    }

    /// The waiting agents whose turn it is. Linear in the agents that are in a drain.
    pub(crate) fn drains_due(&self) -> Vec<AgentId> {
        let requests = self.agents.drains.values();
        requests.flat_map(|members| self.due_of(members)).collect()
    }

    fn due_of(&self, members: &BTreeMap<u32, AgentId>) -> Vec<AgentId> {
        let drain = |id: &AgentId| self.agent(id).and_then(|agent| agent.upkeep.drain.clone());
        let drains = members.values().filter_map(|id| Some((id, drain(id)?)));
        let (waiting, running): (Vec<_>, Vec<_>) =
            drains.partition(|(_, drain)| drain.phase == DrainPhase::Waiting);
        let at_once = waiting.first().map_or(0, |(_, drain): &(_, Drain)| drain.at_once);
        let room = usize::try_from(at_once)
            .unwrap_or(usize::MAX)
            .saturating_sub(running.len());
        waiting.into_iter().take(room).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn agent_upkeep(&mut self, id: &AgentId, upkeep: &Upkeep) -> Vec<Change> {
        self.leave_drain(id);
        self.leave_windows(id);
        // What was said about a window is kept while that lasts.
        let subject = |upkeep: &Upkeep| {
            let window = upkeep.windows.first();
            let window = window.map(|window| (window.name.clone(), window.time));
            (upkeep.asks_until(), window)
        };
        if self.agent(id).map(|agent| subject(&agent.upkeep)) != Some(subject(upkeep)) {
            self.forget_asked_agent(id);
        }
        let Some(agent) = self.agents.by_id.get_mut(id) else {
            return Vec::new();
        };
        agent.upkeep = upkeep.clone();
        let (is_offered, out_of_use) = (agent.is_offered(), !upkeep.is_offered());
        self.enter_drain(id);
        self.enter_windows(id);
        self.index_emptied(id);
        let ledger = self.ledger_mut();
        ledger.set_agent_out_of_use(id, out_of_use);
        let changed = ledger.set_agent_active(id, is_offered);
        changed.into_iter().collect()
    }

    pub(super) fn agent_gone(&mut self, id: &AgentId, since: Timestamp) -> Vec<Change> {
        let info = self.agent(id).map(|agent| Arc::clone(&agent.info));
        self.unlink_agent(id);
        let changes = self.drop_agent(id);
        if let Some(info) = info {
            self.insert_gone(id, GoneAgent { info, since });
        }
        changes
    }

    pub(super) fn insert_gone(&mut self, id: &AgentId, gone: GoneAgent) {
        self.agents.gone_order.insert((gone.since, id.clone()));
        Arc::make_mut(&mut self.agents.gone).insert(id.clone(), gone);
    }

    pub(super) fn forget_gone(&mut self, id: &AgentId) {
        if self.agents.gone.contains_key(id)
            && let Some(gone) = Arc::make_mut(&mut self.agents.gone).remove(id)
        {
            self.agents.gone_order.remove(&(gone.since, id.clone()));
        }
    }

    /// The agents that are in a drain.
    pub(crate) fn agents_in_drains(&self) -> impl Iterator<Item = &AgentId> {
        self.agents.drains.values().flat_map(BTreeMap::values)
    }

    pub(super) fn enter_drain(&mut self, id: &AgentId) {
        let drain = self
            .agents
            .by_id
            .get(id)
            .and_then(|agent| agent.upkeep.drain.as_ref());
        let Some((request, position, kills_at)) =
            drain.map(|drain| (drain.request, drain.position, drain.kills_at))
        else {
            return;
        };
        let members = self.agents.drains.entry(request).or_default();
        members.insert(position, id.clone());
        self.set_deadline(&Deadline::Drain(id.clone()), None, kills_at);
    }

    pub(super) fn leave_drain(&mut self, id: &AgentId) {
        let drain = self
            .agents
            .by_id
            .get(id)
            .and_then(|agent| agent.upkeep.drain.as_ref());
        let Some((request, position, kills_at)) =
            drain.map(|drain| (drain.request, drain.position, drain.kills_at))
        else {
            return;
        };
        self.set_deadline(&Deadline::Drain(id.clone()), kills_at, None);
        if let Some(members) = self.agents.drains.get_mut(&request) {
            members.remove(&position);
            if members.is_empty() {
                self.agents.drains.remove(&request);
            }
        }
    }

    /// The agents of a maintenance window, if there is one of that name.
    pub(crate) fn agents_of_window(&self, name: &str) -> Option<&BTreeSet<AgentId>> {
        self.agents.windows.get(name)
    }

    fn enter_windows(&mut self, id: &AgentId) {
        let Some(upkeep) = self.agents.by_id.get(id).map(|agent| &agent.upkeep) else {
            return;
        };
        let turn = upkeep.next_turn();
        for window in &upkeep.windows {
            let members = self.agents.windows.entry(window.name.clone()).or_default();
            members.insert(id.clone());
        }
        self.set_deadline(&Deadline::Window(id.clone()), None, turn);
    }

    pub(super) fn leave_windows(&mut self, id: &AgentId) {
        let Some(upkeep) = self.agents.by_id.get(id).map(|agent| &agent.upkeep) else {
            return;
        };
        let turn = upkeep.next_turn();
        for window in &upkeep.windows {
            if let Some(members) = self.agents.windows.get_mut(&window.name) {
                members.remove(id);
                if members.is_empty() {
                    self.agents.windows.remove(&window.name);
                }
            }
        }
        self.set_deadline(&Deadline::Window(id.clone()), turn, None);
    }

    /// Asked after anything that an empty agent is empty by has changed.
    pub(super) fn index_emptied(&mut self, id: &AgentId) {
        if self.agents.by_id.get(id).is_some_and(Agent::is_emptied) {
            self.agents.emptied.insert(id.clone());
        } else if !self.agents.emptied.is_empty() {
            self.agents.emptied.remove(id);
        }
    }

    pub(super) fn check_upkeep(&self) {
        let emptied = self.agents().filter(|(_, agent)| agent.is_emptied());
        let emptied: BTreeSet<_> = emptied.map(|(id, _)| id.clone()).collect();
        assert_eq!(self.agents.emptied, emptied, "the index of drained agents");
        self.check_windows();
        let mut drains = Drains::new();
        for (id, agent) in self.agents() {
            if let Some(drain) = &agent.upkeep.drain {
                let members = drains.entry(drain.request).or_default();
                let other = members.insert(drain.position, id.clone());
                assert_eq!(other, None, "who has the place of agent {id} in its drain");
                assert!(
                    drain.kills_at.is_none() || drain.phase == DrainPhase::Draining,
                    "only of an agent that is draining frameworks are asked"
                );
            }
            assert!(
                !self.agents.gone.contains_key(id),
                "agent {id} is gone, and there"
            );
        }
        assert_eq!(self.agents.drains, drains, "the index of drains");
        let order = self.agents.gone.iter().map(|(id, gone)| (gone.since, id.clone()));
        assert_eq!(
            self.agents.gone_order,
            order.collect::<BTreeSet<_>>(),
            "the order of gone agents"
        );
    }

    fn check_windows(&self) {
        let mut windows = Windows::new();
        for (id, agent) in self.agents() {
            for window in &agent.upkeep.windows {
                let members = windows.entry(window.name.clone()).or_default();
                assert!(members.insert(id.clone()), "agent {id} is in a window twice");
            }
            let in_order = |pair: &[Window]| pair[0].time.end() <= pair[1].time.start && !pair[1].begun;
            assert!(
                agent.upkeep.windows.windows(2).all(in_order),
                "the windows of agent {id} come one after the other"
            );
            let is_drain_of_window = agent.upkeep.drain.as_ref().is_some_and(|drain| drain.by_window);
            let is_in_window = agent.upkeep.windows.first().is_some_and(|window| window.begun);
            assert!(
                !is_drain_of_window || is_in_window,
                "agent {id} is in the window it is drained for"
            );
        }
        assert_eq!(self.agents.windows, windows, "the index of maintenance windows");
    }
}

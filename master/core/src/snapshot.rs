//! What readers see: a copy of the state for lists, tables and metrics, taken between steps.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use proffer_allocator::{Allocator, Ledger, Quantities, RoleEntry};
use proffer_types::{
    AgentId, AgentInfo, FrameworkId, FrameworkInfo, MasterId, Offer, Quota, ResourceName, Resources, Role,
    TaskInfo, TaskState, TaskStatus, Timestamp,
};

use crate::state::{Agent, AgentPresence, Framework, FrameworkPresence, GoneAgent, State, Task, Withheld};
use crate::{InverseAnswer, RemovalDelay, Upkeep};

/// The cluster at one moment. Tasks are shared, not copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub master_id: MasterId,
    /// The allocator's name.
    pub allocator: &'static str,
    pub agents: Vec<AgentView>,
    /// Those that operators declared gone; shared until another one is.
    pub gone_agents: Arc<BTreeMap<AgentId, GoneAgent>>,
    /// Those not completed.
    pub frameworks: Vec<FrameworkView>,
    /// Those a framework has not seen the end of, by framework and id.
    pub tasks: Vec<Arc<TaskView>>,
    /// Those that ended, oldest first per framework; a bounded number of each.
    pub completed_tasks: Vec<Arc<TaskView>>,
    pub offers: Vec<Offer>,
    pub roles: Vec<RoleView>,
    /// Shared until the master changes it; what an explanation is made from.
    pub ledger: Arc<Ledger>,
    /// Present while no offers are made at all.
    pub withheld: Option<Withheld>,
}

/// Where an agent is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentState {
    Active,
    /// Its link is down; it has until the re-registration timeout.
    Disconnected,
    /// Known from the registry, not back since the master started.
    Recovered,
    Unreachable,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentView {
    pub agent_id: AgentId,
    pub info: Arc<AgentInfo>,
    pub state: AgentState,
    pub used: Resources,
    pub offered: Resources,
    /// Those that hold resources there.
    pub n_tasks: u32,
    /// Those of them that come with the agent.
    pub n_daemons: u32,
    /// What operators decided of it.
    pub upkeep: Upkeep,
    /// The frameworks that have tasks there, or were asked to leave, while it has a maintenance window.
    pub asked: Vec<AskedView>,
    /// Tasks that are not over and seen to be, and operations that are not acknowledged: what a drain waits for.
    pub n_unfinished: u32,
    /// Why it is not given up though its time is over, and when that is looked at again.
    pub removal_delay: Option<(RemovalDelay, Timestamp)>,
    /// Since when it is unreachable; absent in other states.
    pub unreachable_since: Option<Timestamp>,
}

/// One framework on an agent with a maintenance window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedView {
    pub framework_id: FrameworkId,
    /// Those that hold resources there.
    pub n_tasks: u32,
    /// What it said to being asked to leave before the first window; absent while it has said nothing.
    pub answer: Option<InverseAnswer>,
}

/// Where a framework is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameworkState {
    Active,
    Disconnected,
    /// Known from the registry, not back since the master started.
    Recovered,
    /// Known only by its tasks: the registry had no record of it when an agent reported them.
    Orphaned,
}

/// One framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameworkView {
    pub framework_id: FrameworkId,
    pub info: FrameworkInfo,
    pub state: FrameworkState,
    pub used: Resources,
    pub offered: Resources,
    pub n_tasks: u32,
    /// The largest share of any one resource, in thousandths of the cluster, over the role's weight.
    pub dominant_share_permille: u32,
    /// When its tasks are killed if it stays away; of an orphan, when it is forgotten.
    pub failover_deadline: Option<Timestamp>,
    /// Since when its tasks are nobody's, while they are.
    pub orphaned_since: Option<Timestamp>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskView {
    pub framework_id: FrameworkId,
    pub role: Role,
    pub info: Arc<TaskInfo>,
    /// The newest state known.
    pub state: TaskState,
    /// The newest status that came by; may lag behind `state`, but for the suspension, which is the newest known.
    pub status: TaskStatus,
}

impl TaskView {
    /// What it holds of its agent, while its state holds anything.
    #[must_use]
    pub fn held(&self) -> Cow<'_, Resources> {
        self.info.held(self.status.condition.is_suspended())
    }
}

/// One role that has a setting, a framework, a claim or a reservation in or below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleView {
    pub role: Role,
    pub weight_millis: u64,
    /// Higher goes first under the `priority` allocator.
    pub priority: i32,
    pub quota: Quota,
    /// Claimed by this role and those below it.
    pub allocated: Resources,
    /// What counts against the quota: the unreserved that is offered or allocated, and everything reserved, to this
    /// role and those below it.
    pub consumed: Resources,
    /// Those subscribed in this very role.
    pub n_frameworks: u32,
}

pub(crate) fn snapshot(state: &State, allocator: &dyn Allocator) -> Snapshot {
    Snapshot {
        master_id: state.master_id().clone(),
        allocator: allocator.name(),
        agents: state
            .agents()
            .map(|(id, agent)| agent_view(state, id, agent))
            .collect(),
        gone_agents: Arc::clone(state.gone_agents()),
        frameworks: state
            .frameworks()
            .filter_map(|(id, framework)| framework_view(state, id, framework))
            .collect(),
        tasks: state.tasks().map(|task| Arc::clone(&task.view)).collect(),
        completed_tasks: state.completed_tasks().map(Arc::clone).collect(),
        offers: state
            .offers()
            .filter_map(|(id, _)| state.offer_view(id))
            .collect(),
        roles: state
            .ledger()
            .roles()
            .map(|(role, entry)| role_view(state, role, entry))
            .collect(),
        ledger: Arc::clone(state.ledger()),
        withheld: state.withheld().copied(),
    }
}

/// What of some claims is used by tasks, what is offered, and how many tasks there are.
fn sums<'a>(tasks: impl Iterator<Item = &'a Task>, offers: impl Iterator<Item = &'a Resources>) -> Sums {
    let mut sums = Sums {
        offered: offers.sum(),
        ..Sums::default()
    };
    for task in tasks.filter(|task| task.view.state.holds_resources()) {
        sums.used.add(&task.view.held());
        sums.n_tasks += 1;
        sums.n_daemons += u32::from(task.view.info.is_daemon());
    }
    sums
}

#[derive(Default)]
struct Sums {
    used: Resources,
    offered: Resources,
    n_tasks: u32,
    n_daemons: u32,
}

fn agent_view(state: &State, id: &AgentId, agent: &Agent) -> AgentView {
    let tasks = agent
        .tasks
        .iter()
        .filter_map(|(framework, task)| state.task(framework, task));
    let offers = agent.offers.iter().filter_map(|id| state.offered(id));
    let sums = sums(tasks, offers.map(|claim| &claim.resources));
    AgentView {
        agent_id: id.clone(),
        info: Arc::clone(&agent.info),
        state: match agent.presence {
            AgentPresence::Active { .. } => AgentState::Active,
            AgentPresence::Disconnected { .. } => AgentState::Disconnected,
            AgentPresence::Recovered { .. } => AgentState::Recovered,
            AgentPresence::Unreachable { .. } => AgentState::Unreachable,
        },
        used: sums.used,
        offered: sums.offered,
        n_tasks: sums.n_tasks,
        n_daemons: sums.n_daemons,
        upkeep: agent.upkeep.clone(),
        asked: match agent.upkeep.windows.is_empty() {
            true => Vec::new(),
            false => asked_views(state, id, agent),
        },
        removal_delay: agent.removal_delay.zip(agent.deadline()),
        n_unfinished: u32::try_from(agent.tasks.len() + agent.operations.len()).unwrap_or(u32::MAX),
        unreachable_since: match agent.presence {
            AgentPresence::Unreachable { since } => Some(since),
            AgentPresence::Active { .. }
            | AgentPresence::Disconnected { .. }
            | AgentPresence::Recovered { .. } => None,
        },
    }
}

fn asked_views(state: &State, id: &AgentId, agent: &Agent) -> Vec<AskedView> {
    let mut views = BTreeMap::new();
    let view = |framework_id: &FrameworkId| AskedView {
        framework_id: framework_id.clone(),
        n_tasks: 0,
        answer: None,
    };
    for (framework, task) in &agent.tasks {
        let task = state.task(framework, task);
        if task.is_some_and(|task| task.view.state.holds_resources()) {
            views.entry(framework).or_insert_with(|| view(framework)).n_tasks += 1;
        }
    }
    for (framework, asked) in state.asked_for(id) {
        views.entry(framework).or_insert_with(|| view(framework)).answer = asked.answer;
    }
    views.into_values().collect()
}

fn framework_view(state: &State, id: &FrameworkId, framework: &Framework) -> Option<FrameworkView> {
    let presence = match framework.presence {
        FrameworkPresence::Active { .. } => FrameworkState::Active,
        FrameworkPresence::Disconnected { .. } => FrameworkState::Disconnected,
        FrameworkPresence::Recovered { .. } => FrameworkState::Recovered,
        FrameworkPresence::Orphaned { .. } => FrameworkState::Orphaned,
        FrameworkPresence::Completed => return None,
    };
    let tasks = state.tasks_of(id).map(|(_, task)| task);
    let offers = framework.offers.iter().filter_map(|id| state.offered(id));
    let sums = sums(tasks, offers.map(|claim| &claim.resources));
    // An orphan's is looked at again while something runs.
    let is_over = presence != FrameworkState::Orphaned || sums.n_tasks == 0;
    Some(FrameworkView {
        framework_id: id.clone(),
        info: framework.info.clone(),
        state: presence,
        used: sums.used,
        offered: sums.offered,
        n_tasks: sums.n_tasks,
        dominant_share_permille: state.ledger().share(id).permille(),
        failover_deadline: framework.deadline().filter(|_| is_over),
        orphaned_since: framework.orphaned_since(),
    })
}

fn role_view(state: &State, role: &Role, entry: &RoleEntry) -> RoleView {
    let below = entry.children().filter_map(|child| state.ledger().role(child));
    let n_below: u64 = below.map(|child| child.usage.n_frameworks).sum();
    RoleView {
        role: role.clone(),
        weight_millis: entry.config.weight_millis,
        priority: entry.config.priority,
        quota: entry.config.quota.clone(),
        allocated: entry.usage.claimed.to_resources(),
        consumed: consumed(entry),
        n_frameworks: u32::try_from(entry.usage.n_frameworks - n_below).unwrap_or(u32::MAX),
    }
}

/// What counts against a role's quota.
pub(crate) fn consumed(entry: &RoleEntry) -> Resources {
    let sums = [&entry.usage.common, &entry.reserved];
    let names = sums.into_iter().flat_map(Quantities::iter).map(|(name, _)| name);
    names.fold(Resources::new(), |sum, name: &ResourceName| {
        let units = u64::try_from(entry.consumed(name)).unwrap_or(u64::MAX);
        sum.with(name.clone(), units)
    })
}

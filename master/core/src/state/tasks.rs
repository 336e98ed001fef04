//! Tasks: live until their framework has seen the end of them, then in a bounded list.
//!
//! `state` is the newest state known and never leaves a terminal one; `status` is the newest status that came by
//! and may lag behind, for agents send only the head of each task's queue; the suspension in it is always the newest known.
//! A live task claims its resources exactly while its state holds them, without its cpus while it is suspended.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use proffer_allocator::{Change, Claim, ClaimIx, ClaimKind};
use proffer_types::{
    FrameworkId, GroupId, KillPolicy, Resources, Role, StatusReason, StatusSource, TaskId, TaskInfo,
    TaskState, TaskStatus, Timestamp,
};

use super::{State, TaskKey};
use crate::TaskView;
use crate::limits::MAX_COMPLETED_TASKS;

/// From one to another, as ranges of maps are named; the first is not behind the other.
type Span<T> = (Bound<T>, Bound<T>);

/// One live task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Shared with snapshots; copied when it changes under one.
    pub view: Arc<TaskView>,
    /// A kill that is wanted: repeated when the agent comes back.
    pub kill: Option<KillPolicy>,
    /// That its agent is drained was the first reason for the kill.
    pub drained: bool,
    /// A suspension that is wanted: repeated when the agent comes back.
    pub suspend: bool,
    /// The newest suspension that was ended in the agent's session: what it says of that one now, it said before it heard.
    pub resumed: u32,
    /// Whether `view.status` waits for the framework's acknowledgement.
    pub unacknowledged: bool,
    /// Whether the agent ever spoke of the task.
    pub reported: bool,
    /// Present exactly while the task holds its resources.
    pub(crate) claim: Option<ClaimIx>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tasks {
    live: BTreeMap<FrameworkId, BTreeMap<TaskId, Task>>,
    completed: BTreeMap<FrameworkId, VecDeque<Arc<TaskView>>>,
    n_launched: u64,
}

impl State {
    /// The id for a group that is launched next.
    pub(crate) fn next_group_id(&self) -> GroupId {
        self.master_id.group(self.tasks.n_launched)
    }

    /// One live task.
    #[must_use]
    pub fn task(&self, framework: &FrameworkId, task: &TaskId) -> Option<&Task> {
        self.tasks.live.get(framework)?.get(task)
    }

    /// The live tasks of a framework, by id.
    pub fn tasks_of(&self, framework: &FrameworkId) -> impl Iterator<Item = (&TaskId, &Task)> {
        self.tasks.live.get(framework).into_iter().flatten()
    }

    /// All live tasks, by framework and id.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.live.values().flat_map(BTreeMap::values)
    }

    /// How many live tasks a framework has, or all have.
    #[must_use]
    pub fn n_tasks(&self, framework: Option<&FrameworkId>) -> usize {
        match framework {
            Some(framework) => self.tasks.live.get(framework).map_or(0, BTreeMap::len),
            None => self.tasks.live.values().map(BTreeMap::len).sum(),
        }
    }

    /// The live tasks of some frameworks, by id.
    pub(crate) fn live_tasks(
        &self,
        frameworks: Span<FrameworkId>,
    ) -> impl Iterator<Item = (&FrameworkId, &BTreeMap<TaskId, Task>)> {
        self.tasks.live.range(frameworks)
    }

    /// The tasks of some frameworks that ended, oldest first.
    pub(crate) fn completed_by_framework(
        &self,
        frameworks: Span<FrameworkId>,
    ) -> impl Iterator<Item = (&FrameworkId, &VecDeque<Arc<TaskView>>)> {
        self.tasks.completed.range(frameworks)
    }

    /// The tasks that ended, oldest first per framework.
    pub fn completed_tasks(&self) -> impl Iterator<Item = &Arc<TaskView>> {
        self.tasks.completed.values().flatten()
    }

    /// A task that ended, while it is remembered. Looks from the newest on.
    #[must_use]
    pub fn completed_task(&self, framework: &FrameworkId, task: &TaskId) -> Option<&Arc<TaskView>> {
        let completed = self.tasks.completed.get(framework)?;
        completed.iter().rev().find(|view| view.info.id == *task)
    }

    pub(super) fn task_launched(
        &mut self,
        framework: &FrameworkId,
        role: &Role,
        info: &Arc<TaskInfo>,
        at: Timestamp,
    ) -> Vec<Change> {
        self.tasks.n_launched += 1;
        let status = TaskStatus {
            task_id: info.id.clone(),
            agent_id: Some(info.agent_id.clone()),
            state: TaskState::Staging,
            source: StatusSource::Master,
            reason: None,
            message: String::new(),
            timestamp: at,
            uuid: None,
            exit: None,
            usage: None,
            condition: proffer_types::TaskCondition::default(),
        };
        self.insert_task(framework, role, info, status, false)
    }

    pub(super) fn task_added(
        &mut self,
        framework: &FrameworkId,
        role: &Role,
        info: &Arc<TaskInfo>,
        status: &TaskStatus,
    ) -> Vec<Change> {
        self.insert_task(framework, role, info, status.clone(), true)
    }

    pub(super) fn task_reported(
        &mut self,
        framework: &FrameworkId,
        task: &TaskId,
        state: TaskState,
        suspension: u32,
    ) -> Vec<Change> {
        let key = (framework.clone(), task.clone());
        if let Some(task) = self.task_mut(&key) {
            task.reported = true;
        }
        let mut changes = self.set_task_state(&key, state);
        changes.extend(self.suspension_listed(&key, suspension));
        changes
    }

    pub(super) fn task_updated(
        &mut self,
        framework: &FrameworkId,
        status: &TaskStatus,
        latest_state: TaskState,
        latest_suspension: u32,
    ) -> Vec<Change> {
        let key = (framework.clone(), status.task_id.clone());
        let Some(task) = self.task_mut(&key) else {
            return Vec::new();
        };
        task.reported |= status.source == StatusSource::Agent;
        task.unacknowledged = status.uuid.is_some();
        let was_away = !task.view.state.holds_resources();
        let view = Arc::make_mut(&mut task.view);
        let suspension = view.status.condition.suspension;
        view.status = status.clone();
        view.status.condition.suspension = suspension;
        let is_answered = status.reason == Some(StatusReason::TaskSuspendFailed);
        task.suspend &= !is_answered && latest_state == TaskState::Running;
        let mut changes = self.set_task_state(&key, latest_state);
        changes.extend(match was_away {
            true => self.suspension_listed(&key, latest_suspension),
            false => self.suspension_told(&key, latest_suspension),
        });
        changes
    }

    pub(super) fn task_kill_requested(
        &mut self,
        framework: &FrameworkId,
        task: &TaskId,
        kill_policy: KillPolicy,
        by_drain: bool,
    ) -> Vec<Change> {
        if let Some(task) = self.task_mut(&(framework.clone(), task.clone())) {
            task.drained |= by_drain && task.kill.is_none();
            let old = task.kill.and_then(|kill| kill.grace_period);
            let new = kill_policy.grace_period;
            // A later kill can only shorten the grace.
            let grace_period = old.map_or(new, |old| Some(new.map_or(old, |new| new.min(old))));
            task.kill = Some(KillPolicy { grace_period });
        }
        Vec::new()
    }

    pub(super) fn task_acknowledged(&mut self, framework: &FrameworkId, task: &TaskId) -> Vec<Change> {
        if let Some(task) = self.task_mut(&(framework.clone(), task.clone())) {
            task.unacknowledged = false;
        }
        Vec::new()
    }

    pub(super) fn task_completed(&mut self, framework: &FrameworkId, task: &TaskId) -> Vec<Change> {
        let Some(task) = self.take_task(framework, task) else {
            return Vec::new();
        };
        let released = task.claim.and_then(|claim| self.ledger_mut().release(claim));
        // Nothing is remembered of a framework that is forgotten.
        if self.framework(framework).is_some() {
            let completed = self.tasks.completed.entry(framework.clone()).or_default();
            completed.push_back(task.view);
            if completed.len() > MAX_COMPLETED_TASKS {
                completed.pop_front();
            }
        }
        released.into_iter().collect()
    }

    pub(super) fn forget_completed_tasks(&mut self, framework: &FrameworkId) {
        self.tasks.completed.remove(framework);
    }

    /// Moves a task to a state, unless it is in a terminal one, and keeps its claim in step.
    pub(super) fn set_task_state(&mut self, key: &TaskKey, state: TaskState) -> Vec<Change> {
        let Some(task) = self.task_mut(key) else {
            return Vec::new();
        };
        if task.view.state.is_terminal() || task.view.state == state {
            return Vec::new();
        }
        Arc::make_mut(&mut task.view).state = state;
        if !state.holds_resources() {
            // Whoever speaks of the task next has a session of its own.
            task.resumed = 0;
        }
        match task.claim.is_some() == state.holds_resources() {
            true => Vec::new(),
            false => self.keep_claim(key).into_iter().collect(),
        }
    }

    fn insert_task(
        &mut self,
        framework: &FrameworkId,
        role: &Role,
        info: &Arc<TaskInfo>,
        status: TaskStatus,
        reported: bool,
    ) -> Vec<Change> {
        let view = Arc::new(TaskView {
            framework_id: framework.clone(),
            role: role.clone(),
            info: Arc::clone(info),
            state: status.state,
            status,
        });
        if let Some(agent) = self.agent_mut(&info.agent_id) {
            agent.tasks.insert((framework.clone(), info.id.clone()));
        }
        self.index_emptied(&info.agent_id);
        let (claim, change) = self.claim(&view).unzip();
        let task = Task {
            view,
            kill: None,
            drained: false,
            suspend: false,
            resumed: 0,
            unacknowledged: false,
            reported,
            claim,
        };
        let live = self.tasks.live.entry(framework.clone()).or_default();
        live.insert(info.id.clone(), task);
        change.into_iter().collect()
    }

    /// Claims what a task holds from now on, or gives it back.
    fn keep_claim(&mut self, key: &TaskKey) -> Option<Change> {
        let task = self.task(&key.0, &key.1)?;
        let holds = task.view.state.holds_resources();
        match (task.claim, holds) {
            (None, true) => {
                let (claim, change) = self.claim(&Arc::clone(&task.view))?;
                self.task_mut(key)?.claim = Some(claim);
                Some(change)
            }
            (Some(claim), false) => {
                self.task_mut(key)?.claim = None;
                self.ledger_mut().release(claim)
            }
            (None, false) | (Some(_), true) => None,
        }
    }

    /// Claims what a task holds, if it holds anything and its agent is in the pool.
    fn claim(&mut self, view: &TaskView) -> Option<(ClaimIx, Change)> {
        if !view.state.holds_resources() {
            return None;
        }
        let claim = self.claim_for(view)?;
        let change = Change::Claimed(claim.agent, claim.leaf);
        Some((self.ledger_mut().claim(claim), change))
    }

    /// `None` when the task's agent is not in the pool.
    fn claim_for(&mut self, view: &TaskView) -> Option<Claim> {
        let agent = self.ledger.agent_ix(&view.info.agent_id)?;
        let leaf = self.ledger_mut().ensure_leaf(&view.framework_id, &view.role);
        let (info, is_suspended) = (&view.info, view.status.condition.is_suspended());
        // Of a suspended one nobody knows: the time that it is suspended for does not count.
        let limit = info.max_completion_time.filter(|_| !is_suspended);
        let held = info.held(is_suspended).into_owned();
        Some(Claim {
            suspended: match is_suspended {
                true => info.resources.cpus(),
                false => Resources::new(),
            },
            shapes: info.shape.map(|shape| (shape, 1)).into_iter().collect(),
            ends_by: limit.map(|limit| view.status.timestamp.after(limit)),
            ..Claim::new(ClaimKind::Task, leaf, agent, held)
        })
    }

    pub(super) fn task_mut(&mut self, key: &TaskKey) -> Option<&mut Task> {
        self.tasks.live.get_mut(&key.0)?.get_mut(&key.1)
    }

    fn take_task(&mut self, framework: &FrameworkId, task: &TaskId) -> Option<Task> {
        let live = self.tasks.live.get_mut(framework)?;
        let taken = live.remove(task)?;
        if live.is_empty() {
            self.tasks.live.remove(framework);
        }
        if let Some(agent) = self.agent_mut(&taken.view.info.agent_id) {
            agent.tasks.remove(&(framework.clone(), task.clone()));
        }
        self.index_emptied(&taken.view.info.agent_id);
        Some(taken)
    }
}

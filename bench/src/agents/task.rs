//! The tasks of one simulated agent, and what it has to say of them.
//!
//! Of each task one status at most is under way, as from the real agent; the next one waits for its acknowledgement.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use proffer_wire::v1;
use proffer_wire::v1::agent_message::{Message, Status};
use tokio::time::Instant;

use super::{Shared, now_us};

/// Numbers statuses: distinct within the process.
static N_STATUSES: AtomicU64 = AtomicU64::new(1);

#[derive(Debug, Default)]
pub(super) struct Tasks {
    by_id: BTreeMap<String, Task>,
    /// When running tasks end, soonest first: all run equally long.
    ends: VecDeque<(Instant, String)>,
}

#[derive(Debug)]
struct Task {
    listed: v1::RegisteredTask,
    /// Whether the newest status was acknowledged.
    is_acknowledged: bool,
    /// Whether RUNNING ever was.
    was_seen: bool,
}

impl Task {
    fn state(&self) -> v1::TaskState {
        self.listed
            .latest_status
            .as_ref()
            .map_or(v1::TaskState::TaskStaging, |status| status.state())
    }

    fn message(&self) -> v1::AgentMessage {
        let status = Status {
            framework_id: self.listed.framework_id.clone(),
            status: self.listed.latest_status.clone(),
            latest_state: self.state().into(),
            latest_suspension: 0,
        };
        v1::AgentMessage {
            message: Some(Message::Status(status)),
        }
    }

    /// Turns to a state, and says so.
    fn turn(&mut self, state: v1::TaskState) -> v1::AgentMessage {
        if let Some(status) = &mut self.listed.latest_status {
            let n = N_STATUSES.fetch_add(1, Ordering::Relaxed);
            status.set_state(state);
            status.timestamp_ms = now_us() / 1000;
            status.uuid = (u128::from(n) << 64 | u128::from(now_us()))
                .to_be_bytes()
                .to_vec();
        }
        self.is_acknowledged = false;
        self.message()
    }
}

fn is_terminal(state: v1::TaskState) -> bool {
    matches!(
        state,
        v1::TaskState::TaskFinished | v1::TaskState::TaskFailed | v1::TaskState::TaskKilled
    )
}

impl Tasks {
    /// All of them, as a registration lists them.
    pub(super) fn listed(&self) -> Vec<v1::RegisteredTask> {
        self.by_id.values().map(|task| task.listed.clone()).collect()
    }

    /// What a new session has to hear first.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = v1::AgentMessage> {
        let waiting = self.by_id.values().filter(|task| !task.is_acknowledged);
        waiting.map(Task::message)
    }

    /// A task that was launched runs at once.
    pub(super) fn run(
        &mut self,
        run: v1::master_message::RunTask,
        agent_id: &str,
        shared: &Shared,
    ) -> Option<v1::AgentMessage> {
        let info = run.task_info?;
        let id = info.task_id.clone();
        let status = v1::TaskStatus {
            task_id: id.clone(),
            agent_id: agent_id.to_owned(),
            source: v1::StatusSource::SourceAgent.into(),
            ..Default::default()
        };
        let mut task = Task {
            listed: v1::RegisteredTask {
                framework_id: run.framework_id,
                task_info: Some(info),
                latest_status: Some(status),
                role: run.role,
                group_id: String::new(),
            },
            is_acknowledged: false,
            was_seen: false,
        };
        shared.n_launched.fetch_add(1, Ordering::Relaxed);
        let message = task.turn(v1::TaskState::TaskRunning);
        self.by_id.insert(id, task);
        Some(message)
    }

    /// An acknowledgement came; returns what is to be said next.
    pub(super) fn acknowledged(
        &mut self,
        acknowledged: &v1::master_message::AcknowledgeStatus,
        shared: &Shared,
    ) -> Option<v1::AgentMessage> {
        let id = &acknowledged.task_id;
        let task = self.by_id.get_mut(id)?;
        let newest = task.listed.latest_status.as_ref()?;
        if task.is_acknowledged || newest.uuid != acknowledged.uuid {
            return None;
        }
        task.is_acknowledged = true;
        if is_terminal(task.state()) {
            shared.n_ended.fetch_add(1, Ordering::Relaxed);
            self.by_id.remove(id);
            return None;
        }
        let count = if task.was_seen {
            &shared.n_updates
        } else {
            &shared.n_running
        };
        count.fetch_add(1, Ordering::Relaxed);
        if !task.was_seen
            && let Some(lifetime) = shared.lifetime()
        {
            self.ends.push_back((Instant::now() + lifetime, id.clone()));
        }
        task.was_seen = true;
        shared
            .chatty
            .borrow()
            .then(|| task.turn(v1::TaskState::TaskRunning))
    }

    /// Something is new of every task that runs and has nothing under way.
    pub(super) fn chat(&mut self) -> Vec<v1::AgentMessage> {
        let quiet = self.by_id.values_mut().filter(|task| task.is_acknowledged);
        quiet.map(|task| task.turn(v1::TaskState::TaskRunning)).collect()
    }

    pub(super) fn kill(&mut self, id: &str) -> Option<v1::AgentMessage> {
        let task = self.by_id.get_mut(id)?;
        (!is_terminal(task.state())).then(|| task.turn(v1::TaskState::TaskKilled))
    }

    pub(super) fn shut_down(&mut self, framework_id: &str) -> Vec<v1::AgentMessage> {
        let theirs = self
            .by_id
            .iter()
            .filter(|(_, task)| task.listed.framework_id == framework_id);
        let ids: Vec<String> = theirs.map(|(id, _)| id.clone()).collect();
        ids.iter().filter_map(|id| self.kill(id)).collect()
    }

    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.front().map(|(at, _)| *at)
    }

    /// Tasks whose time is over have finished.
    pub(super) fn end(&mut self, now: Instant) -> Vec<v1::AgentMessage> {
        let mut messages = Vec::new();
        while let Some((at, id)) = self.ends.pop_front() {
            if at > now {
                self.ends.push_front((at, id));
                break;
            }
            let task = self.by_id.get_mut(&id).filter(|task| !is_terminal(task.state()));
            messages.extend(task.map(|task| task.turn(v1::TaskState::TaskFinished)));
        }
        messages
    }
}

//! The trait an author of an executor implements, and the conversation with the agent kept honest: nothing that was reported
//! is lost, whoever is restarted, and no task is started twice.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use proffer_types::{ExecutorCall, ExecutorEvent, ExecutorUpdate, StatusUuid, TaskId, TaskInfo, TaskState};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// A program that runs tasks of a framework inside one container.
///
/// Every method runs to completion before the next one starts, and must not block: work goes on elsewhere, in threads or
/// processes, and its end is reported from there.
pub trait Executor: Send {
    /// Starts a task; its [`TaskInfo::data`] says what is to be done. Comes once for each task.
    fn launch(&mut self, task: TaskInfo);

    /// Ends a task, which is to be reported within the grace period: else the agent kills the executor with all of its
    /// tasks. Comes for tasks that are live, and may come again. Also how a shutdown is told.
    fn kill(&mut self, task: &TaskId, grace: Duration);
}

/// What is to be done about an event of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deliver {
    Launch(TaskInfo),
    Kill {
        task: TaskId,
        grace: Duration,
    },
    /// End every task, then end.
    Shutdown {
        grace: Duration,
    },
}

/// An executor's half of the conversation with its agent.
#[derive(Debug)]
pub struct ExecutorSession {
    rng: ChaCha8Rng,
    live: BTreeSet<TaskId>,
    /// Not acknowledged, oldest first.
    updates: VecDeque<ExecutorUpdate>,
    /// How many of them were sent on this stream.
    n_sent: usize,
}

impl ExecutorSession {
    /// An executor without tasks. The marks of its updates are drawn from the generator.
    #[must_use]
    pub fn new(rng: ChaCha8Rng) -> Self {
        Self {
            rng,
            live: BTreeSet::new(),
            updates: VecDeque::new(),
            n_sent: 0,
        }
    }

    /// Begins a new stream. Every update that is not acknowledged is to be sent again.
    pub fn subscribe(&mut self) -> ExecutorCall {
        self.n_sent = 0;
        let unacknowledged = self.updates.iter().map(|update| &update.task_id);
        let tasks: BTreeSet<&TaskId> = self.live.iter().chain(unacknowledged).collect();
        ExecutorCall::Subscribe {
            tasks: tasks.into_iter().cloned().collect(),
        }
    }

    /// Takes an event of the agent in. What was told before, or comes too late, leads to nothing.
    pub fn event(&mut self, event: ExecutorEvent) -> Option<Deliver> {
        match event {
            ExecutorEvent::Subscribed { .. } => None,
            ExecutorEvent::Launch(info) => {
                let is_known = self.updates.iter().any(|update| update.task_id == info.id);
                (!is_known && self.live.insert(info.id.clone())).then_some(Deliver::Launch(info))
            }
            ExecutorEvent::Kill { task_id, grace } => {
                let task = self.live.get(&task_id)?.clone();
                Some(Deliver::Kill { task, grace })
            }
            ExecutorEvent::Acknowledged { task_id, uuid } => {
                let is_meant = |update: &ExecutorUpdate| update.uuid == uuid && update.task_id == task_id;
                let place = self.updates.iter().position(is_meant)?;
                self.updates.remove(place);
                self.n_sent -= usize::from(place < self.n_sent);
                None
            }
            ExecutorEvent::Shutdown { grace } => Some(Deliver::Shutdown { grace }),
        }
    }

    /// Notes what became of a task, to be sent. A task that is not live, or a state that is not an executor's to say, leads
    /// to nothing; answers whether it did.
    pub fn report(&mut self, task: &TaskId, state: TaskState, message: String) -> bool {
        if !ExecutorUpdate::is_for_executors(state) || !self.live.contains(task) {
            return false;
        }
        if state.is_terminal() {
            self.live.remove(task);
        }
        self.updates.push_back(ExecutorUpdate {
            task_id: task.clone(),
            state,
            message,
            uuid: StatusUuid(self.rng.random()),
        });
        true
    }

    /// The next update to be sent, if there is one; it counts as sent.
    pub fn next_update(&mut self) -> Option<ExecutorCall> {
        let update = self.updates.get(self.n_sent)?;
        self.n_sent += 1;
        Some(ExecutorCall::Update(update.clone()))
    }

    /// Whether there is something to be sent.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.n_sent < self.updates.len()
    }

    /// Tasks that have not ended.
    pub fn live(&self) -> impl Iterator<Item = &TaskId> {
        self.live.iter()
    }

    /// Whether every task has ended, and the agent knows it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.live.is_empty() && self.updates.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proffer_types::{AgentId, ExecutorId, ExecutorInfo, Resources};
    use rand::SeedableRng as _;

    use super::*;

    fn session() -> ExecutorSession {
        ExecutorSession::new(ChaCha8Rng::seed_from_u64(1))
    }

    fn id(name: &str) -> TaskId {
        TaskId::new(name).unwrap()
    }

    fn launch(name: &str) -> ExecutorEvent {
        let executor = ExecutorInfo::new(ExecutorId::new("e").unwrap(), ["true"]);
        let agent = AgentId::new("a").unwrap();
        let info = TaskInfo::for_executor(id(name), agent, Resources::of(10, 1, 0), executor, *b"");
        ExecutorEvent::Launch(info)
    }

    fn subscribed(session: &mut ExecutorSession) -> Vec<TaskId> {
        match session.subscribe() {
            ExecutorCall::Subscribe { tasks } => tasks,
            ExecutorCall::Update(update) => panic!("{update:?} before the subscription"),
        }
    }

    fn acknowledge(session: &mut ExecutorSession) {
        let update = session.updates.front().unwrap();
        let (task_id, uuid) = (update.task_id.clone(), update.uuid);
        let acknowledged = ExecutorEvent::Acknowledged { task_id, uuid };
        assert_eq!(session.event(acknowledged), None);
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again_on_the_next_stream_with_the_same_mark() {
        let mut session = session();
        assert!(session.event(launch("t")).is_some());
        session.report(&id("t"), TaskState::Running, String::new());
        session.report(&id("t"), TaskState::Finished, "42".into());
        let first = [session.next_update(), session.next_update()];
        assert_eq!(session.next_update(), None);
        acknowledge(&mut session);
        assert_eq!(session.next_update(), None);

        assert_eq!(subscribed(&mut session), [id("t")]);
        assert_eq!(session.next_update(), first[1]);
        acknowledge(&mut session);
        assert!(session.is_done() && !session.has_unsent());
        assert_eq!(subscribed(&mut session), []);
    }

    #[test]
    fn a_task_is_started_once_while_anything_is_known_of_it() {
        let mut session = session();
        assert!(session.event(launch("t")).is_some());
        assert_eq!(session.event(launch("t")), None);
        session.report(&id("t"), TaskState::Failed, String::new());
        assert_eq!(session.event(launch("t")), None);
        acknowledge(&mut session);
        assert!(session.event(launch("t")).is_some(), "a new task of that id");
    }

    #[test]
    fn a_task_that_is_not_live_is_neither_reported_nor_killed() {
        let mut session = session();
        assert!(!session.report(&id("t"), TaskState::Finished, String::new()));
        session.event(launch("t"));
        assert!(!session.report(&id("t"), TaskState::Lost, String::new()));
        assert!(session.report(&id("t"), TaskState::Killed, String::new()));
        assert!(!session.report(&id("t"), TaskState::Running, String::new()));
        let (task_id, grace) = (id("t"), Duration::ZERO);
        assert_eq!(session.event(ExecutorEvent::Kill { task_id, grace }), None);
    }
}

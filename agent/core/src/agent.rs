//! The agent itself: its tasks, its link, and the few moves every handler makes.
//!
//! All change of a task goes through [`Agent::update`] and [`Agent::save`], which put the checkpoint before the
//! report. The sum of live tasks' resources never passes the agent's own through anything a master sends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_types::agent_link::{AgentMessage, RegisteredOperation};
use proffer_types::{
    AgentId, AgentInfo, GroupId, Resources, Session, StatusReason, StatusSource, StatusUuid, TaskExit,
    TaskInfo, TaskState, TaskStatus, Timestamp, Usage,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::MAX_UPDATES;
use crate::executor::{Executor, key_of};
use crate::link::Link;
use crate::operation::Operations;
use crate::restore;
use crate::task::{Phase, Sent, Task};
use crate::{
    Command, Config, ContainerId, Effect, Event, LinkId, Output, Process, ResourcesRecord, TaskKey, handlers,
};

/// How soon the head of a queue is repeated when the task has meanwhile ended, or was suspended: the master frees the
/// resources by the newest state, which travels with the head, and the scheduler may be away for long.
const ENDED_HINT: std::time::Duration = std::time::Duration::from_secs(1);

/// An agent: commands in, effects out.
#[derive(Debug)]
pub struct Agent {
    pub(crate) config: Config,
    pub(crate) agent_id: Option<AgentId>,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) link: Link,
    pub(crate) tasks: BTreeMap<TaskKey, Task>,
    pub(crate) containers: BTreeMap<ContainerId, TaskKey>,
    /// By the names of their files, which are no tasks'.
    pub(crate) executors: BTreeMap<TaskKey, Executor>,
    pub(crate) operations: Operations,
    /// How it was asked to end, if it was.
    pub(crate) stopping: Option<Stopping>,
    /// Until when it waits for acknowledgements before it ends.
    pub(crate) report_until: Option<Timestamp>,
    /// Why its id is spent, if an operator declared it gone.
    pub(crate) gone: Option<String>,
    /// `Exit` went out; nothing more is done.
    pub(crate) exited: bool,
    /// Containers from before the host was last rebooted, which are not reported yet.
    pub(crate) before_reboot: BTreeSet<ContainerId>,
    /// What was found on disk at start holds more than the agent now says it has.
    pub(crate) recovered_over: bool,
}

/// One task as readers outside the core see it.
#[derive(Debug, Clone, Copy)]
pub struct TaskView<'a> {
    pub key: &'a TaskKey,
    pub container_id: ContainerId,
    pub group: Option<&'a GroupId>,
    pub info: &'a TaskInfo,
    pub process: Option<Process>,
    /// The newest status.
    pub latest: &'a TaskStatus,
    pub n_updates_pending: usize,
}

/// How an agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopping {
    /// After the launches under way: a launch that nobody waits for would be lost.
    LeavingTasks,
    /// After the last task.
    WithTasks,
}

/// What a status says beside its task and time.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) reason: Option<StatusReason>,
    pub(crate) message: String,
    pub(crate) exit: Option<TaskExit>,
    pub(crate) usage: Option<Usage>,
    /// The mark of an executor's update, where it is one.
    pub(crate) executor: Option<StatusUuid>,
}

/// Drops the newest update when it was not sent and `next` says all that it says, or when too many wait.
fn make_room(task: &mut Task, next: &TaskStatus) {
    let n_sent = usize::from(task.sent.is_some());
    let is_passing = |status: &TaskStatus| {
        let by_executor = status.source == StatusSource::Executor && status.state == TaskState::Running;
        by_executor
            || matches!(
                status.reason,
                Some(
                    StatusReason::ContainerPreparing
                        | StatusReason::TaskHealthCheckStatusUpdated
                        | StatusReason::TaskCheckStatusUpdated
                )
            )
    };
    let is_outdated = |last: &TaskStatus| last.state == next.state && is_passing(last) && is_passing(next);
    if task.updates.len() > n_sent && task.updates.back().is_some_and(is_outdated) {
        task.updates.pop_back();
    }
    task.updates.truncate(MAX_UPDATES - 1);
}

impl Agent {
    /// Starts an agent from what its earlier life left on disk; nothing, for a new one. The seed must be
    /// another at each start: ids of containers and updates are drawn from it.
    #[must_use]
    pub fn recover(now: Timestamp, config: Config, seed: u64, recovered: crate::Recovered) -> (Self, Output) {
        let mut agent = Self {
            config,
            agent_id: recovered.agent_id,
            rng: ChaCha8Rng::seed_from_u64(seed),
            link: Link::Down,
            tasks: BTreeMap::new(),
            containers: BTreeMap::new(),
            executors: BTreeMap::new(),
            operations: Operations::recovered(recovered.operations),
            stopping: None,
            report_until: None,
            gone: None,
            exited: false,
            before_reboot: recovered.before_reboot,
            recovered_over: false,
        };
        let mut out = Output::new();
        let mut tasks = recovered.tasks;
        // Where two records name one task, the live one is in force.
        tasks.sort_by_key(|task| {
            task.state
                .as_ref()
                .is_some_and(|state| state.latest.state.is_terminal())
        });
        for task in tasks {
            handlers::recover::task(&mut agent, now, task, &mut out);
        }
        handlers::executor::recover::all(&mut agent, now, recovered.executors, &mut out);
        handlers::group::recovered(&mut agent, now, &mut out);
        agent.recovered_over = !agent.config.info.resources.contains(&agent.used());
        (agent, out)
    }

    /// Takes one command in. Never blocks and never fails; a peer's mistake is an event.
    pub fn step(&mut self, now: Timestamp, command: Command, out: &mut Output) {
        if self.exited {
            return;
        }
        match command {
            Command::LinkUp { link } => handlers::link_up::handle(self, now, link, out),
            Command::LinkDown { link } => handlers::link_down::handle(self, link, out),
            Command::MasterFrame {
                link,
                session,
                messages,
            } => handlers::master_frame::handle(self, now, link, session, messages, out),
            Command::Preparing {
                container_id,
                message,
            } => handlers::preparing::handle(self, now, container_id, message, out),
            Command::Launched {
                container_id,
                process,
                addresses,
            } => handlers::launched::handle(self, now, container_id, process, addresses, out),
            Command::LaunchFailed {
                container_id,
                error,
                exit,
            } => {
                handlers::launch_failed::handle(self, now, container_id, error, exit, out);
            }
            Command::Exited {
                container_id,
                end,
                usage,
            } => handlers::exited::handle(self, now, container_id, &end, usage, out),
            Command::CheckResult {
                container_id,
                which,
                ok,
            } => handlers::check_result::handle(self, now, container_id, which, ok, out),
            Command::Frozen { container_id, result } => {
                handlers::frozen::handle(self, now, container_id, result, out)
            }
            Command::LimitExceeded {
                container_id,
                reason,
                message,
            } => handlers::limit_exceeded::handle(self, now, container_id, reason, message, out),
            Command::Executor {
                container_id,
                connection,
                news,
            } => handlers::executor::heard::handle(self, now, container_id, connection, news, out),
            Command::CheckpointFailed {
                container_id,
                launch_skipped,
                error,
            } => handlers::checkpoint_failed::handle(self, now, container_id, launch_skipped, error, out),
            Command::ResourcesFailed { error } => {
                handlers::resources_failed::handle(self, now, error, out);
            }
            Command::Tick => handlers::tick::handle(self, now, out),
            Command::Stop { kill_tasks } => handlers::stop::handle(self, now, kill_tasks, out),
        }
        handlers::stop::exit_when_done(self, now, out);
    }

    /// When [`Command::Tick`] is wanted next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.exited {
            return None;
        }
        let registered = self.link.session().is_some();
        let restarts = self.stopping.is_none();
        let tasks = self.tasks.values().flat_map(|task| {
            [
                task.kill_deadline(),
                task.completion_deadline(),
                task.restart_deadline().filter(|_| restarts),
                task.save_at,
                task.retry_deadline().filter(|_| registered),
            ]
        });
        tasks
            .chain([
                self.link.next_deadline(),
                self.report_until,
                self.executors.values().filter_map(Executor::next_deadline).min(),
                self.operations.save_at,
                self.operations.retry_deadline().filter(|_| registered),
            ])
            .flatten()
            .min()
    }

    /// The id given by the master, if it ever was registered.
    #[must_use]
    pub fn agent_id(&self) -> Option<&AgentId> {
        self.agent_id.as_ref()
    }

    /// What it says of itself; its resources are the total of now.
    #[must_use]
    pub fn info(&self) -> &AgentInfo {
        &self.config.info
    }

    /// What keeps the open session alive while no step is taken: where a heartbeat goes, and how often.
    #[must_use]
    pub fn heartbeat(&self) -> Option<(LinkId, Session, Duration)> {
        match self.link {
            Link::Up {
                link,
                session,
                heartbeat,
                ..
            } => Some((link, session, heartbeat)),
            Link::Down | Link::Registering { .. } => None,
        }
    }

    /// Whether a session is open.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.link.session().is_some()
    }

    /// All tasks, in order of their keys.
    pub fn tasks(&self) -> impl Iterator<Item = TaskView<'_>> {
        self.tasks.iter().map(|(key, task)| TaskView {
            key,
            container_id: task.container_id,
            group: task.group.as_ref(),
            info: &task.info,
            process: task.process,
            latest: &task.latest,
            n_updates_pending: task.updates.len(),
        })
    }

    /// All executors: the names of their files, and their containers.
    pub fn executors(&self) -> impl Iterator<Item = (&TaskKey, ContainerId)> {
        let executors = self.executors.iter();
        executors.map(|(key, executor)| (key, executor.container_id))
    }

    /// The task a container is for, until it is forgotten.
    #[must_use]
    pub fn key_of(&self, container_id: ContainerId) -> Option<&TaskKey> {
        self.containers.get(&container_id)
    }

    /// The first process of a container, once it was launched.
    #[must_use]
    pub fn process_of(&self, container_id: ContainerId) -> Option<Process> {
        self.tasks.get(self.key_of(container_id)?)?.process
    }

    /// How long what the task of a container leaves behind is kept, where that has ended and says so.
    #[must_use]
    pub fn retention_of(&self, container_id: ContainerId) -> Option<Duration> {
        let task = self.tasks.get(self.key_of(container_id)?)?;
        task.info.container.retention.after(task.latest.state)
    }

    /// The container of a task, until it is forgotten.
    #[must_use]
    pub fn container_of(&self, key: &TaskKey) -> Option<ContainerId> {
        self.tasks.get(key).map(|task| task.container_id)
    }

    /// What live tasks hold.
    #[must_use]
    pub fn used(&self) -> Resources {
        let live = self.tasks.values().filter(|task| task.is_live());
        live.fold(Resources::new(), |mut sum, task| {
            sum.add(&task.held());
            sum
        })
    }

    /// What a new task may take.
    #[must_use]
    pub fn free(&self) -> Resources {
        self.config.info.resources.minus(&self.used())
    }

    pub(crate) fn new_container_id(&mut self) -> ContainerId {
        loop {
            let id = ContainerId(self.rng.random());
            let is_executor = self
                .executors
                .values()
                .any(|executor| executor.container_id == id);
            if !is_executor && !self.containers.contains_key(&id) {
                return id;
            }
        }
    }

    pub(crate) fn status(
        &mut self,
        now: Timestamp,
        key: &TaskKey,
        state: TaskState,
        report: Report,
    ) -> TaskStatus {
        TaskStatus {
            task_id: key.task_id.clone(),
            agent_id: self.agent_id.clone(),
            state,
            source: match report.executor {
                Some(_) => StatusSource::Executor,
                None => StatusSource::Agent,
            },
            reason: report.reason,
            message: report.message,
            timestamp: now,
            uuid: Some(report.executor.unwrap_or_else(|| StatusUuid(self.rng.random()))),
            exit: report.exit,
            usage: report.usage,
            condition: proffer_types::TaskCondition::default(),
        }
    }

    /// Moves a task to a state and checkpoints it. The report follows with [`Agent::send_head`].
    pub(crate) fn update(
        &mut self,
        now: Timestamp,
        key: &TaskKey,
        state: TaskState,
        report: Report,
        out: &mut Output,
    ) {
        let mut status = self.status(now, key, state, report);
        let Some(task) = self.tasks.get_mut(key) else {
            return;
        };
        if state.is_terminal() {
            task.condition.suspension = 0;
            task.freezing = false;
        }
        status.condition = task.condition.clone();
        assert!(
            task.is_live(),
            "{key} has ended and cannot become {}",
            state.as_str()
        );
        out.event(Event::TaskState {
            key: key.clone(),
            state,
            reason: status.reason,
            message: status.message.clone(),
            usage: status.usage,
        });
        // Whether it holds its cpus is known by what travels with the head.
        let frees = state.is_terminal() || status.condition.suspension != task.latest.condition.suspension;
        if frees && let Some(sent) = &mut task.sent {
            sent.retry_at = sent.retry_at.min(now.after(ENDED_HINT));
        }
        task.latest = status.clone();
        make_room(task, &status);
        task.updates.push_back(status);
        if state.is_terminal() {
            task.phase = Phase::Ended;
            let executor = key_of(&key.framework_id, &task.info);
            if let Some(executor) = executor.and_then(|key| self.executors.get_mut(&key)) {
                executor.tasks.remove(key);
            }
        }
        Self::save(task, out);
    }

    /// Checkpoints what changes of a task; refused tasks are not kept on disk.
    pub(crate) fn save(task: &mut Task, out: &mut Output) {
        let failed_before = task.save_at.take().is_some();
        if task.durable {
            out.effect(Effect::CheckpointState {
                container_id: task.container_id,
                state: task.record(),
            });
        }
        // The removal was skipped together with what the failed checkpoint was to come before.
        if failed_before && !task.is_live() {
            out.effect(Effect::Destroy {
                container_id: task.container_id,
            });
        }
    }

    /// Sends the oldest update of a task, unless it is on its way already or not on disk yet.
    pub(crate) fn send_head(&mut self, now: Timestamp, key: &TaskKey, out: &mut Output) {
        let Some(task) = self.tasks.get_mut(key) else {
            return;
        };
        if task.sent.is_none() {
            Self::send(&self.link, now, key, task, out);
        }
    }

    /// Sends the oldest update of a task, again if need be.
    pub(crate) fn send(link: &Link, now: Timestamp, key: &TaskKey, task: &mut Task, out: &mut Output) {
        let (Some((link, session)), Some(head), None) = (link.session(), task.updates.front(), task.save_at)
        else {
            return;
        };
        out.effect(Effect::Send {
            link,
            session,
            message: AgentMessage::Status {
                framework_id: key.framework_id.clone(),
                status: head.clone(),
                latest_state: task.latest.state,
                latest_suspension: task.latest.condition.suspension,
            },
        });
        task.sent = Some(task.sent.map_or_else(|| Sent::first(now), |sent| sent.again(now)));
    }

    /// Ends the session, if there is one; updates wait for the next.
    pub(crate) fn lose_session(&mut self, why: &'static str, out: &mut Output) {
        if self.link.session().is_some() {
            out.event(Event::SessionLost { why });
        }
        self.link = Link::Down;
        for task in self.tasks.values_mut() {
            task.sent = None;
        }
        self.operations.forget_sent();
    }

    /// Ends the session and the stream under it.
    pub(crate) fn close_link(&mut self, why: &'static str, out: &mut Output) {
        if let Some(link) = self.link.id() {
            out.effect(Effect::CloseLink { link });
        }
        self.lose_session(why, out);
    }

    /// Operations that ended and are not acknowledged.
    pub(crate) fn registered_operations(&self) -> Vec<RegisteredOperation> {
        self.operations.registered()
    }

    /// Checkpoints the resources and the operations on them.
    pub(crate) fn save_resources(&mut self, out: &mut Output) {
        self.operations.save_at = None;
        out.effect(Effect::CheckpointResources(ResourcesRecord {
            changed: restore::changed(&self.config.info.resources),
            operations: self.operations.registered(),
        }));
    }

    /// Sends the statuses of operations that are on disk and not on their way, and what follows for the total.
    pub(crate) fn send_operations(&mut self, now: Timestamp, out: &mut Output) {
        let Some((link, session)) = self.link.session() else {
            return;
        };
        let mut messages = self.operations.take_due(now);
        if self.operations.save_at.is_none() && std::mem::take(&mut self.operations.total_due) {
            messages.push(AgentMessage::Total(self.config.info.resources.clone()));
        }
        for message in messages {
            out.effect(Effect::Send {
                link,
                session,
                message,
            });
        }
    }
}

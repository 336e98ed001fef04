//! Effects carried out: checkpoints first, then the rest in order.
//!
//! What belongs to a container whose checkpoint failed is skipped, signals excepted, and the core is told. So are
//! operation statuses and totals when the checkpoint of the resources failed.

use std::collections::BTreeMap;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use proffer_agent_core::{Agent, Command, ContainerId, Effect, ExecutorOrder, LinkId, TaskKey};
use proffer_types::agent_link::AgentMessage;
use proffer_types::{ExecutorEvent, Session};
use proffer_wire::agent_link::agent_frames;
use tracing::warn;

use crate::AgentError;
use crate::checkpoint::{self, Checkpoints, Durability};
use crate::containers::Containers;
use crate::driver::{is_checkpoint, link_down};
use crate::executors::Executors;
use crate::link::LinkHandle;
use crate::provision::Request;

/// How long a master may take to end a stream that the agent has ended: some round trips.
const CLOSE_GRACE: Duration = Duration::from_millis(300);

/// The longest write that the agent calls itself well over. Launches and ends wait for it as well, so a disk that takes
/// longer makes the host one that is not to be offered: the master takes it for silent then. Below the 75 s after which
/// its tasks would be given up.
const LONGEST_WRITE: Duration = Duration::from_secs(30);

/// Files that wait to be synced together; each holds a descriptor.
const MAX_UNSYNCED: usize = 128;

/// What came of a batch of effects.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// To be told to the core.
    pub(crate) failures: Vec<Command>,
    /// How the agent ends, if it does.
    pub(crate) end: Option<Result<(), AgentError>>,
}

#[derive(Debug)]
pub(crate) struct Performer {
    pub(crate) checkpoints: Checkpoints,
    pub(crate) containers: Containers,
    pub(crate) executors: Executors,
    link: Option<LinkHandle>,
}

/// A container whose checkpoint failed.
#[derive(Debug)]
struct Failure {
    error: String,
    launch_skipped: bool,
}

/// The checkpoints that failed.
#[derive(Debug, Default)]
struct Failed {
    containers: BTreeMap<ContainerId, Failure>,
    /// The error, when it was the one of the resources.
    resources: Option<String>,
}

/// Messages for one frame.
#[derive(Debug)]
struct Outgoing {
    link: LinkId,
    session: Session,
    messages: Vec<AgentMessage>,
}

impl Performer {
    pub(crate) fn new(checkpoints: Checkpoints, containers: Containers, executors: Executors) -> Self {
        Self {
            checkpoints,
            containers,
            executors,
            link: None,
        }
    }

    /// Takes a new stream; an older one ends.
    pub(crate) fn open(&mut self, handle: LinkHandle) {
        if let Some(old) = self.link.replace(handle) {
            old.close.cancel();
        }
    }

    pub(crate) async fn perform(&mut self, agent: &Agent, effects: Vec<Effect>) -> Verdict {
        let (writes, rest): (Vec<_>, Vec<_>) = effects.into_iter().partition(is_checkpoint);
        let mut verdict = Verdict {
            failures: Vec::new(),
            end: None,
        };
        let mut failed = match self.write(writes, agent).await {
            Ok(failed) => failed,
            Err(error) => {
                verdict.end = Some(Err(error));
                return verdict;
            }
        };
        let mut outgoing: Option<Outgoing> = None;
        for effect in rest {
            if let Some(failure) = owner(agent, &effect).and_then(|id| failed.containers.get_mut(&id)) {
                failure.launch_skipped |= is_launch(&effect);
                continue;
            }
            if failed.resources.is_some() && is_of_resources(&effect) {
                continue;
            }
            self.one(agent, effect, &mut outgoing, &mut verdict).await;
        }
        self.flush(outgoing, &mut verdict);
        let resources = failed.resources.map(|error| Command::ResourcesFailed { error });
        verdict.failures.extend(resources);
        let told = failed
            .containers
            .into_iter()
            .map(|(container_id, failure)| Command::CheckpointFailed {
                container_id,
                launch_skipped: failure.launch_skipped,
                error: failure.error,
            });
        verdict.failures.extend(told);
        verdict
    }

    /// Writes checkpoints off the runtime's threads. Without its id the agent must not go on.
    async fn write(&self, writes: Vec<Effect>, agent: &Agent) -> Result<Failed, AgentError> {
        if writes.is_empty() {
            return Ok(Failed::default());
        }
        let has_resources = writes
            .iter()
            .any(|effect| matches!(effect, Effect::CheckpointResources(_)));
        let checkpoints = self.checkpoints.clone();
        let ids: Vec<ContainerId> = writes.iter().filter_map(|effect| owner(agent, effect)).collect();
        let writing = tokio::task::spawn_blocking(move || write_all(&checkpoints, writes));
        let written = self.beat_while(agent, writing).await;
        if has_resources {
            let containers = self.containers.clone();
            tokio::task::spawn_blocking(move || containers.remove_volumes());
        }
        written.unwrap_or_else(|error| {
            // Nothing is known of any of them.
            let failure = || Failure {
                error: format!("writing did not finish: {error}"),
                launch_skipped: false,
            };
            Ok(Failed {
                containers: ids.into_iter().map(|id| (id, failure())).collect(),
                resources: has_resources.then(|| failure().error),
            })
        })
    }

    /// Waits for a write, with heartbeats meanwhile: the core takes no step before it has ended, and disks may take seconds.
    async fn beat_while<T>(&self, agent: &Agent, writing: impl Future<Output = T>) -> T {
        let mut writing = pin!(writing);
        let started = Instant::now();
        let (Some((link, session, interval)), Some(handle)) = (agent.heartbeat(), &self.link) else {
            return writing.await;
        };
        while handle.link == link && started.elapsed() < LONGEST_WRITE {
            if let Ok(written) = tokio::time::timeout(interval, &mut writing).await {
                if started.elapsed() > interval {
                    warn!(took = ?started.elapsed(), "a checkpoint took long to be written");
                }
                return written;
            }
            let interval = Some(interval);
            for frame in agent_frames(Some(session), &[AgentMessage::Heartbeat { interval }]) {
                // A stream that is full or gone is noticed by what comes after the write.
                let _ = handle.frames.try_send(frame);
            }
        }
        writing.await
    }

    async fn one(
        &mut self,
        agent: &Agent,
        effect: Effect,
        outgoing: &mut Option<Outgoing>,
        verdict: &mut Verdict,
    ) {
        match effect {
            Effect::Launch {
                container_id,
                framework_id,
                group,
                info,
                replaces,
            } => {
                let key = TaskKey {
                    framework_id,
                    task_id: info.id.clone(),
                };
                let request = Request {
                    container_id,
                    key,
                    group,
                    info,
                    keeps_sandbox: replaces.is_some(),
                    executor: None,
                };
                self.containers.launch(request, replaces);
            }
            Effect::Executor { container_id, order } => {
                Box::pin(self.executors.order(container_id, order)).await;
            }
            Effect::AbortLaunch { container_id } => self.containers.abort(container_id),
            Effect::RunChecks {
                container_id,
                info,
                running_for,
            } => {
                let process = agent.process_of(container_id);
                self.containers.check(container_id, process, &info, running_for);
            }
            Effect::Freezer { container_id, freeze } => self.containers.freezer(container_id, freeze),
            Effect::Adopt {
                container_id,
                process,
                frozen,
            } => {
                // Before its end can be heard of, after which nothing is wanted of it.
                self.containers.freezer(container_id, frozen);
                self.containers.adopt(container_id, process).await;
            }
            Effect::Signal { container_id, signal } => self.containers.signal(container_id, signal),
            Effect::Destroy { container_id } => {
                let key = agent.key_of(container_id).cloned();
                let retention = agent.retention_of(container_id);
                self.containers.destroy(container_id, key, retention);
            }
            Effect::Send {
                link,
                session,
                message,
            } => self.queue(link, session, message, outgoing, verdict),
            Effect::CloseLink { link } => {
                self.flush(outgoing.take(), verdict);
                self.close(link);
            }
            Effect::Exit { error } => {
                self.flush(outgoing.take(), verdict);
                verdict.end = Some(match error {
                    Some(message) => Err(AgentError::Refused { message }),
                    None => Ok(()),
                });
            }
            Effect::SaveAgentId(_)
            | Effect::CheckpointTask { .. }
            | Effect::CheckpointExecutor { .. }
            | Effect::CheckpointState { .. }
            | Effect::CheckpointResources(_)
            | Effect::Renew { .. }
            | Effect::Forget { .. } => {}
        }
    }

    /// Collects messages of one link and session into one list of frames.
    fn queue(
        &mut self,
        link: LinkId,
        session: Session,
        message: AgentMessage,
        outgoing: &mut Option<Outgoing>,
        verdict: &mut Verdict,
    ) {
        match outgoing {
            Some(open) if open.link == link && open.session == session => open.messages.push(message),
            Some(_) | None => {
                let next = Outgoing {
                    link,
                    session,
                    messages: vec![message],
                };
                self.flush(outgoing.replace(next), verdict);
            }
        }
    }

    fn flush(&mut self, outgoing: Option<Outgoing>, verdict: &mut Verdict) {
        let Some(Outgoing {
            link,
            session,
            messages,
        }) = outgoing
        else {
            return;
        };
        let Some(handle) = self.link.as_ref().filter(|handle| handle.link == link) else {
            return;
        };
        let session = (session != Session(0)).then_some(session);
        for frame in agent_frames(session, &messages) {
            if handle.frames.try_send(frame).is_err() {
                warn!("the master does not take frames, closing the stream");
                self.close(link);
                verdict.failures.push(link_down(link));
                return;
            }
        }
    }

    /// Ends our half of a stream; what is queued still goes out, and the master ends the other half or is cut off.
    fn close(&mut self, link: LinkId) {
        let Some(LinkHandle { frames, close, .. }) = self.link.take_if(|handle| handle.link == link) else {
            return;
        };
        drop(frames);
        tokio::spawn(async move {
            tokio::time::sleep(CLOSE_GRACE).await;
            close.cancel();
        });
    }
}

/// The container an effect must be skipped for when its checkpoint failed.
fn owner(agent: &Agent, effect: &Effect) -> Option<ContainerId> {
    match effect {
        Effect::Executor { container_id, order } => match order {
            ExecutorOrder::Launch { .. } => Some(*container_id),
            ExecutorOrder::Tell { record, .. } => *record,
            ExecutorOrder::Adopt { .. }
            | ExecutorOrder::Resize { .. }
            | ExecutorOrder::Disconnect { .. }
            | ExecutorOrder::Destroy { .. } => None,
        },
        Effect::CheckpointTask { container_id, .. }
        | Effect::CheckpointExecutor { container_id, .. }
        | Effect::CheckpointState { container_id, .. }
        | Effect::Renew { container_id, .. }
        | Effect::Launch { container_id, .. }
        | Effect::Destroy { container_id } => Some(*container_id),
        Effect::Send { message, .. } => match message {
            AgentMessage::Status {
                framework_id, status, ..
            } => agent.container_of(&TaskKey {
                framework_id: framework_id.clone(),
                task_id: status.task_id.clone(),
            }),
            AgentMessage::Register { .. }
            | AgentMessage::OperationUpdate { .. }
            | AgentMessage::Total(_)
            | AgentMessage::Heartbeat { .. } => None,
        },
        Effect::SaveAgentId(_)
        | Effect::CheckpointResources(_)
        | Effect::Forget { .. }
        | Effect::Adopt { .. }
        | Effect::AbortLaunch { .. }
        | Effect::RunChecks { .. }
        | Effect::Freezer { .. }
        | Effect::Signal { .. }
        | Effect::CloseLink { .. }
        | Effect::Exit { .. } => None,
    }
}

/// Whether something is not launched, or not handed over, when the effect is skipped.
fn is_launch(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Launch { .. }
            | Effect::Executor {
                order: ExecutorOrder::Launch { .. }
                    | ExecutorOrder::Tell {
                        event: ExecutorEvent::Launch(_),
                        ..
                    },
                ..
            }
    )
}

/// What is not told of resources while their checkpoint fails.
fn is_of_resources(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Send {
            message: AgentMessage::OperationUpdate { .. } | AgentMessage::Total(_),
            ..
        }
    )
}

/// Writes checkpoints in order; those of a container are skipped after its first failure. What has to be on disk is
/// synced together, at the end.
fn write_all(checkpoints: &Checkpoints, writes: Vec<Effect>) -> Result<Failed, AgentError> {
    let mut all = Failed::default();
    let failed = &mut all.containers;
    let is_of_resources = |effect: &Effect| matches!(effect, Effect::CheckpointResources(_));
    let last_of_resources = writes.iter().rposition(is_of_resources);
    let mut unsynced = Vec::new();
    for (index, write) in writes.into_iter().enumerate() {
        let (container_id, result) = match write {
            Effect::SaveAgentId(id) => {
                checkpoints.save_agent_id(&id)?;
                continue;
            }
            Effect::CheckpointResources(record) => {
                // A later one in the batch holds all that an earlier one did.
                let durability = match Some(index) == last_of_resources {
                    true => Durability::Synced,
                    false => Durability::Cached,
                };
                let saved = checkpoints.save_resources(&record, durability);
                all.resources = saved.err().map(|error| error.to_string());
                continue;
            }
            Effect::CheckpointTask { container_id, task } => {
                let saved = checkpoints.save_task(container_id, &task);
                (container_id, saved.map(|()| None))
            }
            Effect::CheckpointExecutor {
                container_id,
                executor,
            } => {
                let saved = checkpoints.save_executor(container_id, &executor);
                (container_id, saved.map(|()| None))
            }
            Effect::CheckpointState { container_id, state } if !failed.contains_key(&container_id) => {
                (container_id, checkpoints.save_state(container_id, &state))
            }
            Effect::Renew {
                old,
                container_id,
                state,
            } => (container_id, checkpoints.renew(old, container_id, &state)),
            Effect::Forget { container_id } => {
                forget(checkpoints, container_id);
                continue;
            }
            Effect::CheckpointState { .. }
            | Effect::Executor { .. }
            | Effect::Launch { .. }
            | Effect::AbortLaunch { .. }
            | Effect::RunChecks { .. }
            | Effect::Freezer { .. }
            | Effect::Adopt { .. }
            | Effect::Signal { .. }
            | Effect::Destroy { .. }
            | Effect::Send { .. }
            | Effect::CloseLink { .. }
            | Effect::Exit { .. } => continue,
        };
        match result {
            Ok(file) => unsynced.extend(file.map(|file| (container_id, file))),
            Err(error) => {
                failed.insert(container_id, failure(&error));
            }
        }
        if unsynced.len() >= MAX_UNSYNCED {
            note(failed, checkpoint::sync(std::mem::take(&mut unsynced)));
        }
    }
    note(failed, checkpoint::sync(unsynced));
    Ok(all)
}

fn note(failed: &mut BTreeMap<ContainerId, Failure>, errors: Vec<(ContainerId, io::Error)>) {
    for (container_id, error) in errors {
        failed.insert(container_id, failure(&error));
    }
}

fn failure(error: &io::Error) -> Failure {
    Failure {
        error: error.to_string(),
        launch_skipped: false,
    }
}

/// A record that stays is found again at the next start, and its task reported once more.
fn forget(checkpoints: &Checkpoints, container_id: ContainerId) {
    if let Err(error) = checkpoints.forget(container_id) {
        warn!(%container_id, %error, "cannot remove a checkpoint");
    }
}

//! The one task that owns the core: commands in, steps, effects out.
//!
//! Commands are taken in batches; what a batch checkpoints is written before anything else of it is done.

use std::sync::Arc;

use proffer_agent_core::{Agent, Command, Effect, Event, LinkId, Output};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::AgentError;
use crate::clock::Clock;
use crate::link::LinkHandle;
use crate::metrics::Metrics;
use crate::perform::{Performer, Verdict};
use crate::shared::Shared;

/// Commands waiting for the driver. Senders wait when it is full; for the master that is HTTP/2's own flow
/// control.
pub(crate) const MAX_COMMANDS_QUEUED: usize = 1024;

/// Commands taken at once: more would only delay the first one's effects.
const MAX_BATCH: usize = 128;

/// What reaches the driver.
#[derive(Debug)]
pub(crate) enum Input {
    Command(Command),
    LinkUp(LinkHandle),
    /// Somebody wants to read the metrics, which what the agent holds is looked through for.
    Observe(oneshot::Sender<()>),
}

#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) agent: Agent,
    pub(crate) clock: Clock,
    pub(crate) performer: Performer,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) kill_tasks_on_stop: bool,
}

impl Driver {
    /// Runs until the core says that it is over.
    pub(crate) async fn run(
        mut self,
        recovered: Output,
        mut inputs: mpsc::Receiver<Input>,
        shutdown: CancellationToken,
    ) -> Result<(), AgentError> {
        let mut batch = Vec::new();
        let mut stop_told = false;
        let mut out = recovered;
        loop {
            if let Some(end) = self.carry_out(out).await {
                return end;
            }
            let deadline = self.agent.next_deadline();
            let timer = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep(self.clock.until(deadline)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // What came while a slow write was waited for comes before the time that passed meanwhile: the master was
                // not silent.
                biased;
                () = shutdown.cancelled(), if !stop_told => {
                    stop_told = true;
                    let kill_tasks = self.kill_tasks_on_stop;
                    batch.push(Input::Command(Command::Stop { kill_tasks }));
                }
                n = inputs.recv_many(&mut batch, MAX_BATCH) => if n == 0 {
                    return Ok(());
                },
                () = timer => {}
            }
            out = self.step(batch.drain(..));
        }
    }

    fn step(&mut self, batch: impl Iterator<Item = Input>) -> Output {
        let now = self.clock.now();
        let mut out = Output::new();
        for input in batch {
            let command = match input {
                Input::Command(command) => command,
                Input::LinkUp(handle) => {
                    let link = handle.link;
                    self.performer.open(handle);
                    Command::LinkUp { link }
                }
                Input::Observe(done) => {
                    self.metrics.observe(&self.agent);
                    // Whoever wanted it may be gone.
                    let _ = done.send(());
                    continue;
                }
            };
            self.agent.step(now, command, &mut out);
        }
        // Not left to the timer: while commands keep coming, it is never the first to be ready.
        if self.agent.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.agent.step(now, Command::Tick, &mut out);
        }
        out
    }

    /// Carries out an output and what follows from its failures. Answers how the agent ends, if it does.
    async fn carry_out(&mut self, mut out: Output) -> Option<Result<(), AgentError>> {
        loop {
            self.tell(&out.events);
            let verdict = self.performer.perform(&self.agent, out.effects).await;
            let Verdict { failures, end } = verdict;
            if end.is_some() {
                return end;
            }
            if failures.is_empty() {
                break;
            }
            out = self.step(failures.into_iter().map(Input::Command));
        }
        self.shared.set_registered(self.agent.is_registered());
        None
    }

    fn tell(&self, events: &[Event]) {
        for event in events {
            self.metrics.apply(event);
            self.shared.apply(event);
            log(event);
        }
    }
}

fn log(event: &Event) {
    match event {
        Event::Registered { agent_id, session } => info!(%agent_id, session = session.0, "registered"),
        Event::SessionLost { why } => warn!(why, "session lost"),
        Event::FrameDropped { session, n_messages } => {
            info!(
                session = session.0,
                n_messages, "dropped a frame of another session"
            );
        }
        Event::TaskAccepted { key, container_id } => info!(task = %key, %container_id, "task accepted"),
        Event::ContainerReplaced { key, container_id } => {
            debug!(task = %key, %container_id, "container replaced")
        }
        Event::ExecutorStarted { key, container_id } => {
            info!(executor = %key, %container_id, "executor started");
        }
        Event::ExecutorSubscribed { key, n_tasks } => {
            info!(executor = %key, n_tasks, "executor subscribed");
        }
        Event::ExecutorRefused { key, why } => warn!(executor = %key, why, "executor refused"),
        Event::ExecutorEnded { key, message } => info!(executor = %key, message, "executor ended"),
        Event::TaskRefused { key, message } => warn!(task = %key, message, "task refused"),
        Event::DuplicateIgnored { key } => warn!(task = %key, "ignored a launch of a task id in use"),
        Event::UnknownIgnored { key, what } => {
            debug!(task = %key, what, "ignored a message for an unknown task")
        }
        Event::TaskState {
            key,
            state,
            reason,
            message,
            usage: _,
        } => {
            let reason = reason.map_or("", |reason| reason.as_str());
            info!(task = %key, state = state.as_str(), reason, message, "task state");
        }
        Event::CheckpointFailed { container_id, error } => {
            warn!(%container_id, error, "checkpoint not written");
        }
        Event::UpdateRetried { key } => info!(task = %key, "status update sent again"),
        Event::OperationEnded {
            framework_id,
            operation_id,
            state,
            message,
        } => {
            let operation = operation_id.as_ref().map_or("", |id| id.as_str());
            info!(%framework_id, operation, state = state.as_str(), message, "operation ended");
        }
        Event::ResourcesChanged { total } => info!(%total, "resources changed"),
        Event::ResourcesFailed { error } => warn!(error, "checkpoint of resources not written"),
        Event::OperationIgnored {
            framework_id,
            operation_id,
            what,
        } => debug!(%framework_id, %operation_id, what, "ignored a message for an operation"),
        Event::TaskForgotten { key } => debug!(task = %key, "task forgotten"),
    }
}

/// Whether an effect is a checkpoint, which comes before everything else of its batch.
pub(crate) fn is_checkpoint(effect: &Effect) -> bool {
    match effect {
        Effect::SaveAgentId(_)
        | Effect::CheckpointTask { .. }
        | Effect::CheckpointExecutor { .. }
        | Effect::CheckpointState { .. }
        | Effect::CheckpointResources(_)
        | Effect::Renew { .. }
        | Effect::Forget { .. } => true,
        Effect::Launch { .. }
        | Effect::Executor { .. }
        | Effect::AbortLaunch { .. }
        | Effect::RunChecks { .. }
        | Effect::Freezer { .. }
        | Effect::Adopt { .. }
        | Effect::Signal { .. }
        | Effect::Destroy { .. }
        | Effect::Send { .. }
        | Effect::CloseLink { .. }
        | Effect::Exit { .. } => false,
    }
}

/// The command that tells the core that a stream is gone.
pub(crate) fn link_down(link: LinkId) -> Command {
    Command::LinkDown { link }
}

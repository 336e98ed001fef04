//! The one queue into the core, and the questions that travel in it.

use std::fmt;
use std::sync::Arc;

use proffer_master_core::{Command, Master, OperatorError, OperatorRequest, Snapshot};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::readiness::Readiness;

/// Inputs that may wait for the core. Whoever fills the queue waits in its own task, so a fast peer slows
/// itself down through its stream's flow control.
const QUEUED_INPUTS: usize = 1024;

/// One input of the loop.
#[derive(Debug)]
pub(crate) enum Input {
    Command(Command),
    Operator {
        operation: OperatorRequest,
        reply: oneshot::Sender<Result<(), OperatorError>>,
    },
    /// Answered after the inputs before it took effect.
    Snapshot(oneshot::Sender<Arc<Snapshot>>),
    /// Likewise; what is read is up to whoever asks, and should be little.
    Read(Read),
}

/// A look at the core.
pub(crate) struct Read(Box<dyn FnOnce(&Master) + Send>);

impl Read {
    pub(crate) fn perform(self, master: &Master) {
        (self.0)(master);
    }
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Read")
    }
}

/// The sending end; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    queue: mpsc::Sender<Input>,
    readiness: Readiness,
}

impl Inbox {
    pub(crate) fn new(readiness: Readiness) -> (Self, mpsc::Receiver<Input>) {
        let (queue, inputs) = mpsc::channel(QUEUED_INPUTS);
        (Self { queue, readiness }, inputs)
    }

    /// Refuses new work while there is no core, with the cause.
    pub(crate) fn check_ready(&self) -> Result<(), Status> {
        self.readiness.check().map_err(|unready| unready.status())
    }

    /// As [`Inbox::check_ready`], after a wait for the end of an election.
    pub(crate) async fn when_ready(&self) -> Result<(), Status> {
        self.readiness.elected().await;
        self.check_ready()
    }

    pub(crate) fn depth(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Queues a command; waits for room. Does nothing when the master is shutting down.
    pub(crate) async fn command(&self, command: Command) {
        let _ = self.queue.send(Input::Command(command)).await;
    }

    /// Asks for a change; returns once it is committed.
    pub(crate) async fn operator(&self, operation: OperatorRequest) -> Result<(), Status> {
        self.ask(|reply| Input::Operator { operation, reply })
            .await?
            .map_err(|error| operator_status(&error))
    }

    /// The state as of now.
    pub(crate) async fn snapshot(&self) -> Result<Arc<Snapshot>, Status> {
        self.ask(Input::Snapshot).await
    }

    /// What a look at the core finds, as of now.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Master) -> T + Send + 'static,
    ) -> Result<T, Status> {
        self.ask(|reply| {
            // Who went away does not want to know.
            Input::Read(Read(Box::new(move |master| drop(reply.send(look(master))))))
        })
        .await
    }

    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, Status> {
        self.when_ready().await?;
        let (reply, answer) = oneshot::channel();
        let unavailable = || {
            let interrupted = || Status::unavailable("the master was interrupted; try again");
            self.check_ready().err().unwrap_or_else(interrupted)
        };
        if self.queue.send(input(reply)).await.is_err() {
            return Err(unavailable());
        }
        answer.await.map_err(|_dropped| unavailable())
    }
}

fn operator_status(error: &OperatorError) -> Status {
    let text = error.to_string();
    match error {
        OperatorError::UnknownFramework(_)
        | OperatorError::UnknownTask { .. }
        | OperatorError::NoSuchAgent(_)
        | OperatorError::NoSuchWindow(_)
        | OperatorError::UnknownAgent(_) => Status::not_found(text),
        OperatorError::WindowExists(_) => Status::already_exists(text),
        OperatorError::WindowOverlaps { .. } => Status::failed_precondition(text),
        OperatorError::AgentGone(_) => Status::failed_precondition(text),
        OperatorError::AgentTwice(_)
        | OperatorError::WrongNumberOfAgents { .. }
        | OperatorError::WindowName(_)
        | OperatorError::WindowPast(_)
        | OperatorError::WindowTooFar
        | OperatorError::WindowDuration
        | OperatorError::NoneAtOnce => Status::invalid_argument(text),
        OperatorError::WeightOutOfRange { .. }
        | OperatorError::QuotaNotScalar { .. }
        | OperatorError::TooManyNames { .. }
        | OperatorError::GuaranteeBeyondLimit { .. } => Status::invalid_argument(text),
        OperatorError::LimitBelowConsumption { .. }
        | OperatorError::GuaranteesBeyondCapacity { .. }
        | OperatorError::GuaranteesBeyondParent { .. } => {
            Status::failed_precondition(format!("{text}; force sets it all the same"))
        }
        OperatorError::NotFree { .. } | OperatorError::Change { .. } => Status::failed_precondition(text),
        // Not `unavailable`: asked again, it would be done twice.
        OperatorError::CutOff => Status::aborted(text),
        OperatorError::TooManyRoles { .. } | OperatorError::TooManyWindows { .. } => {
            Status::resource_exhausted(text)
        }
    }
}

//! The two queues into the core, and the questions that travel in them.
//!
//! Agents have one, everybody else the other, and each batch of the loop takes from both. So when thousands of agents
//! register at once, what a framework or an operator says waits for a batch, and not for all of them. Nothing that one
//! peer says overtakes what it said before: all of it goes through one queue.

use std::sync::Arc;
use std::{fmt, iter};

use proffer_master_core::{Command, Master, OperatorError, OperatorRequest, Snapshot};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::readiness::Readiness;

/// Inputs of each queue that may wait for the core. Whoever fills the queue waits in its own task, so a fast peer slows
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
    of_agents: mpsc::Sender<Input>,
    of_others: mpsc::Sender<Input>,
    readiness: Readiness,
}

/// The receiving end.
#[derive(Debug)]
pub(crate) struct Inputs {
    of_agents: mpsc::Receiver<Input>,
    of_others: mpsc::Receiver<Input>,
}

impl Inputs {
    /// Waits for inputs, and takes what has come, up to `limit` of each queue and one. Cancelling it loses none.
    pub(crate) async fn take(&mut self, limit: usize, inputs: &mut Vec<Input>) {
        tokio::select! {
            input = self.of_others.recv() => inputs.extend(input),
            input = self.of_agents.recv() => inputs.extend(input),
        }
        for queue in [&mut self.of_others, &mut self.of_agents] {
            inputs.extend(iter::from_fn(|| queue.try_recv().ok()).take(limit));
        }
    }

    /// Drops all that waits.
    pub(crate) fn void(&mut self) {
        while self.of_others.try_recv().is_ok() || self.of_agents.try_recv().is_ok() {}
    }
}

impl Inbox {
    pub(crate) fn new(readiness: Readiness) -> (Self, Inputs) {
        let (of_agents, from_agents) = mpsc::channel(QUEUED_INPUTS);
        let (of_others, from_others) = mpsc::channel(QUEUED_INPUTS);
        let inbox = Self {
            of_agents,
            of_others,
            readiness,
        };
        let inputs = Inputs {
            of_agents: from_agents,
            of_others: from_others,
        };
        (inbox, inputs)
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
        let queues = [&self.of_agents, &self.of_others];
        queues
            .map(|queue| queue.max_capacity() - queue.capacity())
            .iter()
            .sum()
    }

    /// Queues a command; waits for room. Does nothing when the master is shutting down.
    pub(crate) async fn command(&self, command: Command) {
        let queue = match &command {
            Command::AgentRegister { .. } | Command::AgentFrame { .. } | Command::AgentLinkLost { .. } => {
                &self.of_agents
            }
            Command::SchedulerCalls { .. }
            | Command::SchedulerLinkLost { .. }
            | Command::Operator { .. }
            | Command::Tick => &self.of_others,
        };
        let _ = queue.send(Input::Command(command)).await;
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
        if self.of_others.send(input(reply)).await.is_err() {
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
        | OperatorError::NoneAtOnce
        | OperatorError::DrainDeadline => Status::invalid_argument(text),
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

#[cfg(test)]
mod tests {
    use proffer_master_core::LinkId;

    use super::*;

    #[tokio::test]
    async fn a_question_does_not_wait_for_all_agents_that_register() {
        let (reporter, _health) = tonic_health::server::health_reporter();
        let (inbox, mut inputs) = Inbox::new(Readiness::new(reporter));
        for link in 0..QUEUED_INPUTS as u64 {
            let link = LinkId(link);
            inbox.command(Command::AgentLinkLost { link }).await;
        }
        inbox
            .command(Command::SchedulerLinkLost { link: LinkId(0) })
            .await;
        assert_eq!(inbox.depth(), QUEUED_INPUTS + 1);
        let mut taken = Vec::new();
        inputs.take(8, &mut taken).await;
        let is_framework = |input: &Input| matches!(input, Input::Command(Command::SchedulerLinkLost { .. }));
        assert!(taken.iter().any(is_framework), "{taken:?}");
        assert!(taken.len() > 8 && taken.len() < 20, "{}", taken.len());
        let of_agents = taken.iter().filter_map(|input| {
            let Input::Command(Command::AgentLinkLost { link }) = input else {
                return None;
            };
            Some(link.0)
        });
        assert!(of_agents.eq(0..taken.len() as u64 - 1), "{taken:?}");
    }
}

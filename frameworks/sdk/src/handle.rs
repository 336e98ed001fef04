//! The running scheduler as the rest of the program sees it.

use proffer_session::{Context, Output, Session};
use proffer_types::{FrameworkId, Timestamp};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

/// Calls that may wait for the driver. More callers than that wait for a place.
pub(crate) const QUEUED_CALLS: usize = 256;

/// One call: runs in a step of the driver and leaves what delivers its result once that step is committed.
pub(crate) type Command<S> =
    Box<dyn FnOnce(&mut Session<S>, Timestamp, &mut Output) -> Deliver + Send + 'static>;
/// Told whether the step was committed, or why not.
pub(crate) type Deliver = Box<dyn FnOnce(Result<(), CallError>) + Send + 'static>;

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// The driver does not run any more.
    #[error("the framework has stopped")]
    Stopped,
    /// What the call asked for was written in full or not at all: the next call sees which.
    #[error("the framework's store failed, so look again whether the change was made: {0}")]
    NotStored(String),
    /// The call wrote more than a store takes at once, some 12 MiB. Nothing changed, and trying again does not help.
    #[error("this is too much to be stored at once: {0}")]
    TooLarge(String),
    /// Another process of the framework leads, or is about to. What the call asked for was written in full or not at all.
    #[error("this instance of the framework leads no more, so look again whether the change was made")]
    Deposed,
}

impl From<CallError> for tonic::Status {
    /// UNAVAILABLE with the cause: a client may try again. RESOURCE_EXHAUSTED where that would not help.
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        match error {
            CallError::TooLarge(_) => Self::resource_exhausted(message),
            CallError::Stopped | CallError::NotStored(_) | CallError::Deposed => Self::unavailable(message),
        }
    }
}

/// What can be seen of a framework without asking its scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Grows whenever the scheduler may have changed; calls that ask for nothing leave it.
    pub changes: u64,
    pub framework_id: Option<FrameworkId>,
    pub subscribed: bool,
}

/// A way to the scheduler inside a running [`crate::Driver`].
#[derive(Debug)]
pub struct Handle<S> {
    pub(crate) commands: mpsc::Sender<Command<S>>,
    pub(crate) progress: watch::Receiver<Progress>,
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            progress: self.progress.clone(),
        }
    }
}

impl<S: proffer_session::Scheduler> Handle<S> {
    /// Runs a closure on the scheduler, between two of its methods, and returns what it returns, once
    /// everything it wrote is committed. Works while no master is connected, too.
    pub async fn call<R, F>(&self, call: F) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: FnOnce(&mut S, &mut Context<'_>) -> R + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let command: Command<S> = Box::new(move |session, now, out| {
            let result = session.with(now, out, call);
            // A caller that went away does not want to know.
            Box::new(move |stored| {
                drop(answer.send(stored.map(|()| result)));
            })
        });
        self.commands
            .send(command)
            .await
            .map_err(|_| CallError::Stopped)?;
        answered.await.map_err(|_| CallError::Stopped)?
    }

    /// Ends the framework for good: its tasks are killed, its id is spent, and the driver ends.
    /// As [`Context::teardown`]; returns once that is certain to happen.
    pub async fn teardown(&self) -> Result<(), CallError> {
        self.call(|_, cx| cx.teardown()).await
    }

    /// The id the master gave; none before the first subscription.
    #[must_use]
    pub fn framework_id(&self) -> Option<FrameworkId> {
        self.progress.borrow().framework_id.clone()
    }

    /// Returns once the driver has ended.
    pub async fn stopped(&self) {
        self.commands.closed().await;
    }

    /// Tells when the scheduler may have changed.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }
}

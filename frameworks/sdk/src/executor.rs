//! The loop around an executor: dials the agent's socket, hands tasks over, sends what is reported.
//!
//! The agent may be restarted at any time: it is dialled again, and whatever it did not acknowledge is sent again.

use std::env;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proffer_grpc::v1::executor_client::ExecutorClient;
use proffer_session::{Deliver, Executor, ExecutorSession};
use proffer_types::executor::ENV_SOCKET;
use proffer_types::{ExecutorEvent, TaskId, TaskState};
use proffer_wire::v1;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};
use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::driver::seed;

/// Calls on their way to the agent; HTTP/2 holds back what it does not read.
const QUEUED_CALLS: usize = 64;

/// How long an executor waits for its agent (Mesos: `MESOS_RECOVERY_TIMEOUT`): by then the agent is gone for good, or has
/// given the executor up, and would kill it.
const AGENT_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Why an executor cannot go on.
#[derive(Debug, Error)]
pub enum ExecutorError {
    #[error("{ENV_SOCKET} is not set: an executor is started by an agent")]
    NoSocket,
    #[error("`{path}` cannot be dialled")]
    Address {
        path: String,
        source: tonic::transport::Error,
    },
    #[error("the agent was not reached for {} s", AGENT_TIMEOUT.as_secs())]
    AgentGone,
}

/// Reports what becomes of tasks, from any thread. What is reported is sent until the agent has it; what is said of a task
/// after its end counts for nothing.
#[derive(Debug, Clone)]
pub struct Reporter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    session: Mutex<ExecutorSession>,
    reported: Notify,
}

impl Reporter {
    fn session(&self) -> MutexGuard<'_, ExecutorSession> {
        // Every change is one call on the session, so a thread that panicked left it whole.
        self.shared.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task runs. Need not be said of one that ends at once.
    pub fn running(&self, task: &TaskId) {
        self.report(task, TaskState::Running, String::new());
    }

    /// The task ended well; up to 4 KiB of a message reach the framework.
    pub fn finished(&self, task: &TaskId, message: impl Into<String>) {
        self.report(task, TaskState::Finished, message.into());
    }

    /// The task failed.
    pub fn failed(&self, task: &TaskId, message: impl Into<String>) {
        self.report(task, TaskState::Failed, message.into());
    }

    /// The task was killed.
    pub fn killed(&self, task: &TaskId) {
        self.report(task, TaskState::Killed, String::new());
    }

    fn report(&self, task: &TaskId, state: TaskState, message: String) {
        if self.session().report(task, state, message) {
            self.shared.reported.notify_one();
        }
    }
}

/// Runs an executor inside its container.
#[derive(Debug)]
pub struct ExecutorDriver {
    endpoint: Endpoint,
    reporter: Reporter,
}

/// How a stream ended.
enum Ended {
    /// It was shut down; nothing is left to do.
    Done,
    Lost(Status),
}

impl ExecutorDriver {
    /// Finds the agent's socket by the environment. Nothing is dialled before [`ExecutorDriver::run`].
    pub fn from_env() -> Result<Self, ExecutorError> {
        let path = env::var(ENV_SOCKET).map_err(|_| ExecutorError::NoSocket)?;
        let endpoint = Endpoint::from_shared(format!("unix://{path}"))
            .map_err(|source| ExecutorError::Address { path, source })?;
        let session = ExecutorSession::new(ChaCha8Rng::seed_from_u64(seed()));
        let shared = Shared {
            session: Mutex::new(session),
            reported: Notify::new(),
        };
        Ok(Self {
            endpoint,
            reporter: Reporter {
                shared: Arc::new(shared),
            },
        })
    }

    /// A way to report what becomes of tasks.
    #[must_use]
    pub fn reporter(&self) -> Reporter {
        self.reporter.clone()
    }

    /// Runs until the agent shuts the executor down and all of its tasks have ended, or their time is over.
    pub async fn run(self, mut executor: impl Executor) -> Result<(), ExecutorError> {
        let mut backoff = Backoff::new(ChaCha8Rng::seed_from_u64(seed()));
        let mut shutdown: Option<Instant> = None;
        let mut last_seen = Instant::now();
        loop {
            match self.subscribe().await {
                Ok((calls, events)) => {
                    backoff.reset();
                    info!("subscribed");
                    match self.serve(&mut executor, calls, events, &mut shutdown).await {
                        Ended::Done => return Ok(()),
                        Ended::Lost(status) => warn!(why = status.message(), "the agent is away"),
                    }
                    last_seen = Instant::now();
                }
                Err(status) => debug!(why = status.message(), "the agent cannot be reached"),
            }
            if shutdown.is_some_and(|end| Instant::now() >= end) {
                return Ok(());
            }
            if last_seen.elapsed() >= AGENT_TIMEOUT {
                return Err(ExecutorError::AgentGone);
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    async fn subscribe(
        &self,
    ) -> Result<(mpsc::Sender<v1::ExecutorCall>, Streaming<v1::ExecutorEvent>), Status> {
        let channel: Channel = self
            .endpoint
            .connect()
            .await
            .map_err(|error| Status::from_error(error.into()))?;
        let (calls, queue) = mpsc::channel(QUEUED_CALLS);
        // There is room: it is the first.
        let _ = calls.try_send(self.reporter.session().subscribe().into());
        let events = ExecutorClient::new(channel)
            .subscribe(ReceiverStream::new(queue))
            .await?;
        Ok((calls, events.into_inner()))
    }

    /// Neither direction waits for the other one.
    async fn serve(
        &self,
        executor: &mut impl Executor,
        calls: mpsc::Sender<v1::ExecutorCall>,
        mut events: Streaming<v1::ExecutorEvent>,
        shutdown: &mut Option<Instant>,
    ) -> Ended {
        loop {
            let has_unsent = self.reporter.session().has_unsent();
            if shutdown.is_some() && self.reporter.session().is_done() {
                return Ended::Done;
            }
            let over = async {
                match *shutdown {
                    Some(end) => tokio::time::sleep_until(end.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = events.message() => match event {
                    Ok(Some(event)) => match ExecutorEvent::try_from(event) {
                        Ok(event) => self.take(executor, event, shutdown),
                        Err(error) => return Ended::Lost(Status::internal(error.to_string())),
                    },
                    Ok(None) => return Ended::Lost(Status::unavailable("the agent ended the stream")),
                    Err(status) => return Ended::Lost(status),
                },
                permit = calls.reserve(), if has_unsent => match permit {
                    Ok(permit) => {
                        if let Some(call) = self.reporter.session().next_update() {
                            permit.send(call.into());
                        }
                    }
                    Err(_) => return Ended::Lost(Status::unavailable("the agent does not read any more")),
                },
                () = self.reporter.shared.reported.notified() => {}
                () = over => return Ended::Done,
            }
        }
    }

    fn take(&self, executor: &mut impl Executor, event: ExecutorEvent, shutdown: &mut Option<Instant>) {
        // Not held while the author's methods run, which report.
        let deliver = self.reporter.session().event(event);
        match deliver {
            None => {}
            Some(Deliver::Launch(info)) => executor.launch(info),
            Some(Deliver::Kill { task, grace }) => executor.kill(&task, grace),
            Some(Deliver::Shutdown { grace }) => {
                info!(?grace, "shutting down");
                let end = Instant::now() + grace;
                *shutdown = Some(shutdown.map_or(end, |before| before.min(end)));
                let live: Vec<TaskId> = self.reporter.session().live().cloned().collect();
                live.iter().for_each(|task| executor.kill(task, grace));
            }
        }
    }
}

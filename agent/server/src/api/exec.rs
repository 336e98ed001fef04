//! Commands executed in tasks, and typing into tasks: the gRPC service.
//!
//! Everything a stream holds ends with it: a command whose client is gone is hung up on. Queues are short, and whoever
//! is slow makes only its own other end wait.

mod attach;
mod session;

use std::sync::Arc;

use proffer_agent_core::{ContainerId, TaskKey};
use proffer_container::User;
use proffer_grpc::v1::exec_server;
use proffer_linux::{ExecError, ExecRequest as Command, WindowSize};
use proffer_types::{FrameworkId, TaskId};
use proffer_wire::v1::exec_request::What;
use proffer_wire::v1::{
    self, AttachRequest, AttachResponse, ExecFailure, ExecRequest, ExecResponse, ExecStart, exec_response,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::State;
use crate::containers::{Containers, chain};

/// Commands and attached clients at once: people, and scripts of theirs.
const MAX_SESSIONS: usize = 128;

/// Answers waiting for a slow client; the pipe behind them is the buffer.
const MAX_ANSWERS_QUEUED: usize = 4;

/// The most input in one message: what a pipe holds.
const MAX_INPUT_BYTES: usize = 64 << 10;

/// The largest signal there is.
const MAX_SIGNAL: u32 = 64;

#[derive(Debug)]
pub(super) struct Service {
    state: State,
    containers: Containers,
    sessions: Arc<Semaphore>,
}

impl Service {
    pub(super) fn new(state: State, containers: Containers) -> Self {
        Self {
            state,
            containers,
            sessions: Arc::new(Semaphore::new(MAX_SESSIONS)),
        }
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        let permit = Arc::clone(&self.sessions).try_acquire_owned();
        permit.map_err(|_| Status::resource_exhausted(format!("{MAX_SESSIONS} clients are in tasks already")))
    }

    fn container(&self, framework_id: &str, task_id: &str) -> Result<ContainerId, Status> {
        let refuse = |field: &str, error: &dyn std::fmt::Display| {
            Status::invalid_argument(format!("{field}: {error}"))
        };
        let key = TaskKey {
            framework_id: FrameworkId::new(framework_id).map_err(|error| refuse("framework_id", &error))?,
            task_id: TaskId::new(task_id).map_err(|error| refuse("task_id", &error))?,
        };
        let container_id = self.state.shared.container(&key);
        container_id.ok_or_else(|| Status::not_found(format!("no task {key} runs on this agent")))
    }
}

#[tonic::async_trait]
impl exec_server::Exec for Service {
    type ExecStream = ReceiverStream<Result<ExecResponse, Status>>;

    async fn exec(
        &self,
        request: Request<Streaming<ExecRequest>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        let permit = self.permit()?;
        let mut asked = request.into_inner();
        let Some(ExecRequest {
            what: Some(What::Start(start)),
        }) = asked.message().await?
        else {
            return Err(Status::invalid_argument("the first message must be `start`"));
        };
        let container_id = self.container(&start.framework_id, &start.task_id)?;
        let user = match start.user.as_str() {
            "" => None,
            who => Some(self.containers.user(container_id, who.to_owned()).await?),
        };
        let executed = self.containers.exec(container_id, command(start, user)?).await;
        let (answers, stream) = mpsc::channel(MAX_ANSWERS_QUEUED);
        match executed {
            Ok(exec) => {
                let session = session::run(exec, asked, answers, self.state.end.clone(), permit);
                tokio::spawn(session);
            }
            Err(error) => {
                let answer = ExecResponse {
                    what: Some(exec_response::What::Failure(failure(&error)?)),
                };
                // The stream is here, and the queue empty.
                let _ = answers.send(Ok(answer)).await;
            }
        }
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn attach(
        &self,
        request: Request<Streaming<AttachRequest>>,
    ) -> Result<Response<AttachResponse>, Status> {
        let _permit = self.permit()?;
        let mut asked = request.into_inner();
        let Some(AttachRequest {
            what: Some(v1::attach_request::What::Start(start)),
        }) = asked.message().await?
        else {
            return Err(Status::invalid_argument("the first message must be `start`"));
        };
        let container_id = self.container(&start.framework_id, &start.task_id)?;
        let socket = self.state.data_dir.attach(container_id);
        let attached = attach::run(&socket, asked);
        let attached = self.state.end.run_until_cancelled(attached).await;
        attached.unwrap_or_else(|| Err(stopping()))?;
        Ok(Response::new(AttachResponse {}))
    }
}

fn stopping() -> Status {
    Status::unavailable("the agent is stopping")
}

fn command(start: ExecStart, user: Option<User>) -> Result<Command, Status> {
    let directory = start.working_directory;
    Ok(Command {
        argv: start.argv,
        env: start.env.into_iter().collect(),
        working_directory: (!directory.is_empty()).then_some(directory),
        user,
        terminal: start.terminal.map(window_size).transpose()?,
        stdin: start.stdin,
    })
}

fn window_size(size: v1::WindowSize) -> Result<WindowSize, Status> {
    match (size.rows.try_into(), size.columns.try_into()) {
        (Ok(rows), Ok(columns)) => Ok(WindowSize { rows, columns }),
        _ => Err(Status::invalid_argument(format!(
            "a terminal of {} rows and {} columns",
            size.rows, size.columns
        ))),
    }
}

fn check_input(input: &[u8]) -> Result<(), Status> {
    if input.len() <= MAX_INPUT_BYTES {
        return Ok(());
    }
    let problem = format!(
        "{} bytes of input in a message, at most {MAX_INPUT_BYTES}",
        input.len()
    );
    Err(Status::invalid_argument(problem))
}

/// What is the command's own fault is an answer; anything else ends the call.
fn failure(error: &ExecError) -> Result<ExecFailure, Status> {
    let message = chain(error);
    match error {
        ExecError::Command { is_missing, .. } => Ok(ExecFailure {
            message,
            not_found: *is_missing,
        }),
        ExecError::Directory { .. } => Ok(ExecFailure {
            message,
            not_found: false,
        }),
        ExecError::Request(_) => Err(Status::invalid_argument(message)),
        ExecError::Gone | ExecError::Frozen | ExecError::OtherVersion => {
            Err(Status::failed_precondition(message))
        }
        ExecError::TimedOut(_) => Err(Status::deadline_exceeded(message)),
        ExecError::Step { .. } | ExecError::Spawn(_) => Err(Status::internal(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_no_larger_than_the_kernel_can_tell() {
        let size = |rows, columns| window_size(v1::WindowSize { rows, columns }).is_ok();
        assert!(size(0, 65_535));
        assert!(!size(65_536, 1) && !size(1, u32::MAX));
    }
}

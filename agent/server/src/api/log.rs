//! A task's output, read from its sandbox as it grows.
//!
//! A stream that follows ends when the task has ended and everything it wrote has been sent. Ids are checked
//! before they become a path, and what a task put in the place of its output is not followed out of there.

use std::io::{self, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use proffer_agent_core::TaskKey;
use proffer_grpc::v1::agent_server;
use proffer_types::{FrameworkId, TaskId};
use proffer_wire::v1::{LogChunk, LogStream, ReadLogRequest};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::State;
use crate::data_dir::TaskDir;

/// The most bytes in one message.
const CHUNK_BYTES: usize = 64 << 10;

/// Chunks waiting for a slow reader; the file is the buffer.
const MAX_CHUNKS_QUEUED: usize = 2;

/// How often a file that is followed is looked at while its task runs; its end is an event.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(50);

/// `O_NOFOLLOW | O_NONBLOCK`: a task may replace its output by a link or a pipe.
const OPEN_FLAGS: i32 = 0o400_000 | 0o4_000;

#[derive(Debug)]
pub(super) struct Logs {
    state: State,
}

impl Logs {
    pub(super) fn new(state: State) -> Self {
        Self { state }
    }
}

type Chunks = mpsc::Sender<Result<LogChunk, Status>>;

/// One stream of one task's output.
struct Reader {
    state: State,
    key: TaskKey,
    path: PathBuf,
    file: Option<File>,
    offset: u64,
    follow: bool,
}

#[tonic::async_trait]
impl agent_server::Agent for Logs {
    type ReadLogStream = ReceiverStream<Result<LogChunk, Status>>;

    async fn read_log(
        &self,
        request: Request<ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        let reader = self.reader(request.into_inner()).await?;
        let (chunks, stream) = mpsc::channel(MAX_CHUNKS_QUEUED);
        tokio::spawn(async move {
            let end = reader.state.end.clone();
            let read = end.run_until_cancelled(reader.run(&chunks)).await;
            let outcome = read.unwrap_or_else(|| Err(Status::unavailable("the agent is stopping")));
            if let Err(status) = outcome {
                // The reader may be gone, which is why the stream ends.
                let _ = chunks.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl Logs {
    async fn reader(&self, request: ReadLogRequest) -> Result<Reader, Status> {
        let refuse = |field: &str, error: &dyn std::fmt::Display| {
            Err(Status::invalid_argument(format!("{field}: {error}")))
        };
        let framework_id = match FrameworkId::new(&request.framework_id) {
            Ok(id) => id,
            Err(error) => return refuse("framework_id", &error),
        };
        let task_id = match TaskId::new(&request.task_id) {
            Ok(id) => id,
            Err(error) => return refuse("task_id", &error),
        };
        let path = match request.stream() {
            LogStream::Stdout => TaskDir::stdout,
            LogStream::Stderr => TaskDir::stderr,
            LogStream::Unspecified => return refuse("stream", &"neither stdout nor stderr"),
        };
        let key = TaskKey {
            framework_id,
            task_id,
        };
        let dir = self.state.data_dir.task_dir(&key);
        let known =
            self.state.shared.is_live(&key) || tokio::fs::try_exists(dir.root()).await.unwrap_or(false);
        if !known {
            return Err(Status::not_found(format!(
                "no task {key} on this agent, or its output was collected"
            )));
        }
        Ok(Reader {
            state: self.state.clone(),
            key,
            path: path(&dir),
            file: None,
            offset: request.offset,
            follow: request.follow,
        })
    }
}

impl Reader {
    async fn run(mut self, chunks: &Chunks) -> Result<(), Status> {
        let mut ended = self.state.shared.ended();
        loop {
            // Asked before reading: what is there after the end of the task is all there will be.
            let is_live = self.state.shared.is_live(&self.key);
            let all_sent = self.send_new(chunks).await.map_err(|error| {
                Status::internal(format!("cannot read `{}`: {error}", self.path.display()))
            })?;
            if !all_sent || !is_live || !self.follow {
                return Ok(());
            }
            tokio::select! {
                _ = ended.changed() => {}
                () = tokio::time::sleep(FOLLOW_INTERVAL) => {}
                () = chunks.closed() => return Ok(()),
            }
        }
    }

    /// Sends what was written since the last time; `false` when nobody listens any more.
    async fn send_new(&mut self, chunks: &Chunks) -> io::Result<bool> {
        if self.file.is_none() {
            self.file = self.open().await?;
        }
        let Some(file) = &mut self.file else {
            return Ok(true);
        };
        loop {
            let mut data = vec![0; CHUNK_BYTES];
            let n_read = file.read(&mut data).await?;
            if n_read == 0 {
                return Ok(true);
            }
            data.truncate(n_read);
            let chunk = LogChunk {
                offset: self.offset,
                data,
            };
            self.offset += n_read as u64;
            if chunks.send(Ok(chunk)).await.is_err() {
                return Ok(false);
            }
        }
    }

    /// Opens the file at the offset; `None` while the container is still being built.
    async fn open(&self) -> io::Result<Option<File>> {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).custom_flags(OPEN_FLAGS);
        let mut file = match tokio::fs::OpenOptions::from(options).open(&self.path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.metadata().await?.is_file() {
            return Err(io::Error::other("it is no plain file any more"));
        }
        file.seek(SeekFrom::Start(self.offset)).await?;
        Ok(Some(file))
    }
}

#[cfg(test)]
#[path = "log/tests.rs"]
mod tests;

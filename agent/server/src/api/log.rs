//! A task's output, read from its files as they grow and are renamed.
//!
//! Offsets are those of the stream as a whole, from the task's first byte. Where older output has been removed, the
//! first chunk after the hole says so by its offset.
//!
//! A stream that follows ends when the task has ended and everything it wrote has been sent. Ids are checked
//! before they become a path.

mod parts;

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use proffer_agent_core::TaskKey;
use proffer_grpc::v1::agent_server;
use proffer_linux::watch::Watch;
use proffer_types::{FrameworkId, TaskId};
use proffer_wire::v1::{LogChunk, LogStream, ReadLogRequest};
use tokio::fs::File;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, Interest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::State;
use crate::data_dir::TaskDir;
use crate::descriptor;

/// The most bytes in one message.
const CHUNK_BYTES: usize = 64 << 10;

/// Chunks waiting for a slow reader; the file is the buffer.
const MAX_CHUNKS_QUEUED: usize = 2;

/// How often files are looked at that the kernel does not watch: before the container has any, or with all of the
/// user's inotify instances in use.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How often files are looked at that the kernel watches: some file systems change without telling it.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

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
    /// The newest file; older ones are beside it.
    path: PathBuf,
    open: Option<Open>,
    offset: u64,
    follow: bool,
    /// Start that many lines before the end.
    tail: Option<u32>,
}

/// The file that is being read.
struct Open {
    file: File,
    start: u64,
    is_complete: bool,
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
            open: None,
            offset: request.offset,
            follow: request.follow,
            tail: request.tail_lines,
        })
    }
}

impl Reader {
    async fn run(mut self, chunks: &Chunks) -> Result<(), Status> {
        let mut ended = self.state.shared.ended();
        let mut waker = Waker::new(&self.path);
        if let Some(lines) = self.tail {
            self.offset = self.look(move |path| parts::tail(path, lines)).await?;
        }
        loop {
            // Asked before reading: what is there after the end of the task is all there will be.
            let is_live = self.state.shared.is_live(&self.key);
            let all_sent = self.send_new(chunks).await?;
            if !all_sent || !is_live || !self.follow {
                return Ok(());
            }
            tokio::select! {
                _ = ended.changed() => {}
                () = waker.wait() => {}
                () = chunks.closed() => return Ok(()),
            }
        }
    }

    /// Sends what was written since the last time; `false` when nobody listens any more.
    async fn send_new(&mut self, chunks: &Chunks) -> Result<bool, Status> {
        loop {
            let Some(open) = &mut self.open else {
                if !self.open().await? {
                    return Ok(true);
                }
                continue;
            };
            let mut data = vec![0; CHUNK_BYTES];
            let read = open.file.read(&mut data).await;
            let n_read = read.map_err(|error| self.unreadable(&error))?;
            if n_read == 0 {
                if !self.turn().await? {
                    return Ok(true);
                }
                continue;
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

    /// Opens the file that holds the offset; `false` while there is none.
    async fn open(&mut self) -> Result<bool, Status> {
        let offset = self.offset;
        let Some(part) = self.look(move |path| parts::open(path, offset)).await? else {
            return Ok(false);
        };
        // What lies before it has been removed.
        self.offset = offset.max(part.start);
        let mut file = File::from_std(part.file);
        file.seek(SeekFrom::Start(self.offset - part.start))
            .await
            .map_err(|error| self.unreadable(&error))?;
        self.open = Some(Open {
            file,
            start: part.start,
            is_complete: part.is_complete,
        });
        Ok(true)
    }

    /// At the end of a file: `false` when that is the end of all there is so far.
    async fn turn(&mut self) -> Result<bool, Status> {
        let start = self.look(parts::start).await?;
        let Some(open) = &mut self.open else {
            return Ok(true);
        };
        if open.is_complete {
            self.open = None;
            return Ok(true);
        }
        // Renamed meanwhile: what was added before that is still to be read.
        open.is_complete = start > open.start;
        Ok(open.is_complete)
    }

    /// Looks at the files on a thread that may block.
    async fn look<T: Default + Send + 'static>(
        &self,
        look: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Status> {
        let path = self.path.clone();
        let looked = tokio::task::spawn_blocking(move || look(&path)).await;
        match looked.unwrap_or_else(|error| Err(io::Error::other(error))) {
            // The container is still being built.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
            other => other.map_err(|error| self.unreadable(&error)),
        }
    }

    fn unreadable(&self, error: &io::Error) -> Status {
        Status::internal(format!("cannot read `{}`: {error}", self.path.display()))
    }
}

/// Wakes a follower when there may be more to read.
struct Waker {
    /// `None` where the kernel cannot tell: then files are looked at every now and then.
    watch: Option<AsyncFd<Watch>>,
    path: PathBuf,
}

impl Waker {
    fn new(path: &Path) -> Self {
        let path = path.to_owned();
        Self { watch: None, path }
    }

    async fn wait(&mut self) {
        if self.watch.is_none() {
            // What came before the watch was there is not told: it is looked at once more.
            self.watch = self.watch();
            return tokio::time::sleep(LOOK_INTERVAL).await;
        }
        let Some(watch) = &self.watch else { return };
        tokio::select! {
            ready = watch.readable() => {
                if let Ok(mut ready) = ready {
                    watch.get_ref().clear();
                    ready.clear_ready();
                }
            }
            () = tokio::time::sleep(WATCH_INTERVAL) => {}
        }
    }

    fn watch(&self) -> Option<AsyncFd<Watch>> {
        let watch = Watch::new(self.path.parent()?).ok()?;
        descriptor::watch(watch, Interest::READABLE).ok()
    }
}

#[cfg(test)]
#[path = "log/tests.rs"]
mod tests;

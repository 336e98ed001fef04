//! The files of a task, listed and read.
//!
//! Nothing outside the sandbox is seen, whatever the task puts there, even while we look: every path is resolved by the
//! kernel below the sandbox, without following a link.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;

use proffer_agent_core::TaskKey;
use proffer_fetch::within::Within;
use proffer_grpc::v1::files_server;
use proffer_types::{FrameworkId, TaskId};
use proffer_wire::v1::{FileChunk, FileEntry, ListFilesRequest, ListFilesResponse, ReadFileRequest};
use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::State;

/// The most bytes in one message.
const CHUNK_BYTES: usize = 64 << 10;

/// The most entries in one message: with names of 255 bytes and links of 4 KiB some 2 MiB, as a rule far less.
const ENTRIES_A_MESSAGE: usize = 500;

/// Messages waiting for a slow reader.
const MAX_QUEUED: usize = 2;

#[derive(Debug)]
pub(super) struct Files {
    state: State,
}

type Answers<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl files_server::Files for Files {
    type ListFilesStream = Answers<ListFilesResponse>;
    type ReadFileStream = Answers<FileChunk>;

    async fn list_files(
        &self,
        request: Request<ListFilesRequest>,
    ) -> Result<Response<Self::ListFilesStream>, Status> {
        let request = request.into_inner();
        let key = key(&request.framework_id, &request.task_id)?;
        self.answer(key, request.path, |sandbox, path, answers| {
            list(&sandbox, path, answers)
        })
        .await
    }

    async fn read_file(
        &self,
        request: Request<ReadFileRequest>,
    ) -> Result<Response<Self::ReadFileStream>, Status> {
        let request = request.into_inner();
        let key = key(&request.framework_id, &request.task_id)?;
        let (offset, length) = (request.offset, request.length.unwrap_or(u64::MAX));
        self.answer(key, request.path, move |sandbox, path, answers| {
            read(&sandbox, path, offset, length, answers)
        })
        .await
    }
}

fn key(framework_id: &str, task_id: &str) -> Result<TaskKey, Status> {
    let refuse =
        |field: &str, error: &dyn std::fmt::Display| Status::invalid_argument(format!("{field}: {error}"));
    Ok(TaskKey {
        framework_id: FrameworkId::new(framework_id).map_err(|error| refuse("framework_id", &error))?,
        task_id: TaskId::new(task_id).map_err(|error| refuse("task_id", &error))?,
    })
}

impl Files {
    pub(super) fn new(state: State) -> Self {
        Self { state }
    }

    /// Answers from a thread of its own: a disk may be slow. It ends with the reader.
    async fn answer<T: Send + 'static>(
        &self,
        key: TaskKey,
        path: String,
        what: impl FnOnce(Within, &Path, &mpsc::Sender<Result<T, Status>>) -> Result<(), Status> + Send + 'static,
    ) -> Result<Response<Answers<T>>, Status> {
        let dir = self.state.data_dir.task_dir(&key).sandbox();
        let sandbox = Within::open(&dir).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return Status::not_found(format!(
                    "no task {key} on this agent, or its files were collected, or not yet made"
                ));
            }
            Status::internal(format!("cannot open the sandbox of {key}: {error}"))
        })?;
        let (answers, stream) = mpsc::channel(MAX_QUEUED);
        tokio::task::spawn_blocking(move || {
            if let Err(status) = what(sandbox, Path::new(&path), &answers) {
                // The reader may be gone, which is why it ended.
                let _ = answers.blocking_send(Err(status));
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// The kernel's answer as gRPC's.
fn refused(path: &Path, error: &io::Error) -> Status {
    let shown = path.display().to_string();
    let shown = shown.escape_debug();
    let message = format!("`{shown}`: {error}");
    let is = |kind| error.kind() == kind;
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        Status::failed_precondition(format!("`{shown}`: links are not followed"))
    } else if is(io::ErrorKind::NotFound) || is(io::ErrorKind::NotADirectory) {
        Status::not_found(message)
    } else if is(io::ErrorKind::InvalidInput) {
        Status::invalid_argument(message)
    } else {
        Status::internal(message)
    }
}

fn list(
    sandbox: &Within,
    path: &Path,
    answers: &mpsc::Sender<Result<ListFilesResponse, Status>>,
) -> Result<(), Status> {
    let refuse = |error: io::Error| refused(path, &error);
    let found = sandbox.find(path).map_err(refuse)?;
    let stat = rustix::fs::fstat(&found).map_err(|error| refuse(error.into()))?;
    if !FileType::from_raw_mode(stat.st_mode).is_dir() {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let target = rustix::fs::readlinkat(&found, "", Vec::new());
        let target = target.map(|target| target.to_string_lossy().into_owned());
        let entries = vec![entry(name, &stat, target.unwrap_or_default())];
        let _ = answers.blocking_send(Ok(ListFilesResponse { entries }));
        return Ok(());
    }
    let dir = sandbox.read(path).map_err(refuse)?;
    let mut entries = Vec::new();
    for item in Dir::read_from(&dir).map_err(|error| refuse(error.into()))? {
        let item = item.map_err(|error| refuse(error.into()))?;
        let name = item.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        // One that went away meanwhile is not there.
        let Ok(stat) = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let target = match FileType::from_raw_mode(stat.st_mode).is_symlink() {
            true => rustix::fs::readlinkat(&dir, name, Vec::new()).unwrap_or_default(),
            false => Default::default(),
        };
        let target = target.to_string_lossy().into_owned();
        entries.push(entry(name.to_string_lossy().into_owned(), &stat, target));
        if entries.len() == ENTRIES_A_MESSAGE {
            let entries = std::mem::take(&mut entries);
            if answers.blocking_send(Ok(ListFilesResponse { entries })).is_err() {
                return Ok(());
            }
        }
    }
    let _ = answers.blocking_send(Ok(ListFilesResponse { entries }));
    Ok(())
}

fn entry(name: String, stat: &Stat, target: String) -> FileEntry {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    FileEntry {
        name,
        mode: stat.st_mode,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        uid: stat.st_uid,
        gid: stat.st_gid,
        modified_ms: seconds
            .saturating_mul(1000)
            .saturating_add(stat.st_mtime_nsec / 1_000_000),
        target,
    }
}

fn read(
    sandbox: &Within,
    path: &Path,
    offset: u64,
    length: u64,
    answers: &mpsc::Sender<Result<FileChunk, Status>>,
) -> Result<(), Status> {
    let refuse = |error: io::Error| refused(path, &error);
    let mut file = open_plain(sandbox, path).map_err(refuse)?;
    file.seek(SeekFrom::Start(offset)).map_err(refuse)?;
    let mut offset = offset;
    let mut rest = file.take(length);
    loop {
        let mut data = vec![0; CHUNK_BYTES];
        let n_read = rest.read(&mut data).map_err(refuse)?;
        if n_read == 0 {
            return Ok(());
        }
        data.truncate(n_read);
        if answers.blocking_send(Ok(FileChunk { offset, data })).is_err() {
            return Ok(());
        }
        offset += n_read as u64;
    }
}

/// Opens a file only once it is known to be a plain one: opening a pipe or device may do something.
fn open_plain(sandbox: &Within, path: &Path) -> io::Result<File> {
    let found = sandbox.find(path)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
    if kind.is_symlink() {
        return Err(rustix::io::Errno::LOOP.into());
    }
    if !kind.is_file() {
        let what = match kind.is_dir() {
            true => "it is a directory",
            false => "it is no plain file",
        };
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let same = format!("/proc/self/fd/{}", found.as_fd().as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(same, flags, rustix::fs::Mode::empty())?.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn listed(sandbox: &Within, path: &str) -> Result<Vec<String>, tonic::Code> {
        let (answers, mut stream) = mpsc::channel(16);
        list(sandbox, Path::new(path), &answers).map_err(|status| status.code())?;
        let mut names = Vec::new();
        while let Ok(answer) = stream.try_recv() {
            names.extend(answer.unwrap().entries.into_iter().map(|entry| entry.name));
        }
        names.sort();
        Ok(names)
    }

    fn content(sandbox: &Within, path: &str, offset: u64, length: u64) -> Result<Vec<u8>, tonic::Code> {
        let (answers, mut stream) = mpsc::channel(16);
        read(sandbox, Path::new(path), offset, length, &answers).map_err(|status| status.code())?;
        let mut data = Vec::new();
        while let Ok(answer) = stream.try_recv() {
            data.extend(answer.unwrap().data);
        }
        Ok(data)
    }

    #[test]
    fn only_plain_files_below_the_sandbox_are_read() {
        use tonic::Code;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("sandbox");
        fs::create_dir_all(root.join("d")).unwrap();
        fs::write(root.join("d/file"), "content").unwrap();
        fs::write(dir.path().join("outside"), "secret").unwrap();
        symlink("../outside", root.join("link")).unwrap();
        symlink("..", root.join("up")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), 0o600.into()).unwrap();
        let sandbox = Within::open(&root).unwrap();
        assert_eq!(listed(&sandbox, "").unwrap(), ["d", "link", "pipe", "up"]);
        assert_eq!(listed(&sandbox, "d/file").unwrap(), ["file"]);
        assert_eq!(listed(&sandbox, "link").unwrap(), ["link"]);
        assert_eq!(content(&sandbox, "./d/file", 1, 3).unwrap(), b"ont");
        assert_eq!(content(&sandbox, "d/file", 99, 3).unwrap(), b"");
        let refused = [
            ("link", Code::FailedPrecondition),
            ("up/outside", Code::FailedPrecondition),
            ("../outside", Code::InvalidArgument),
            ("/etc/passwd", Code::InvalidArgument),
            ("pipe", Code::InvalidArgument),
            ("d", Code::InvalidArgument),
            ("none", Code::NotFound),
            ("d/file/x", Code::NotFound),
        ];
        for (path, code) in refused {
            assert_eq!(content(&sandbox, path, 0, 10).unwrap_err(), code, "{path}");
        }
        assert_eq!(
            listed(&sandbox, "up/sandbox").unwrap_err(),
            Code::FailedPrecondition
        );
        assert_eq!(listed(&sandbox, "..").unwrap_err(), Code::InvalidArgument);
    }
}

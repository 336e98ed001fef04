//! The agent's directory: what lies where, and that one agent at a time uses it.
//!
//! ```text
//! lock                                   held while an agent runs
//! format                                 of all that follows; an agent that does not know it changes nothing
//! damaged/<n>-<file>                     checkpoints that could not be read: the operator's to judge
//! agent_id                               given by the master
//! boot                                   which boot of the host this is, and which containers are of an earlier one
//! facts                                  what the operator said of the agent at its last start
//! tasks/<container>                      checkpoints of the container's task
//! tasks/<container>.exit                 how it ended, written by proffer-init
//! sandboxes/<framework>/<task>/          kept after the task until collected; holds
//!     sandbox/ tmp/                      what the task sees of it, and
//!     stdout stdout.1 .. stderr ..       its output, out of its reach
//! containers/<container>/                scratch of one container that needs some, gone with it; `group` names its group
//! groups/<group>/                        what its containers share, gone with the last of them; `members/<container>`,
//!                                        `disk/<task>` is what a task may have, `volumes` what they share
//! networks/<network>.json                 what each network of containers is made of, gone with it
//! networks.lock                          held while packet rules are changed, also by what outlives an agent
//! fetched/                               files fetched for tasks, kept for others
//! images/                                unpacked layers of images, and what they belong to
//! resources                              reservations, volumes and operations not acknowledged
//! volumes/roles/<role>/<volume>/         `/` in roles is written as a space, which no role has
//! volumes/removed/<n>/                   destroyed volumes, until their files are gone
//! volumes/unknown/<n>/                   what was found among volumes and is none: the operator's to judge
//! ```

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use proffer_agent_core::{ContainerId, TaskKey};
use proffer_types::GroupId;
use tracing::warn;

use crate::AgentError;
use crate::checkpoint::{Durability, ReadError, content, open_own, replace_text};

/// What tasks keep in volumes is theirs: other users of the host do not get in.
const PRIVATE_MODE: u32 = 0o700;

/// What this agent writes. To be raised with any change that an earlier agent would misread; a fixture of each is in
/// `checkpoint/testdata`, for every later agent to read.
///
/// | format | |
/// |---|---|
/// | 1 | a directory a task, with a file for what never changes and one for its state; says no format |
/// | 2 | a file a task that its states are appended to |
pub(crate) const FORMAT: u32 = 2;

/// What stands before the number in the file `format`.
const FORMAT_WORDS: &str = "proffer agent data, format ";

/// How long the lock is waited for: what an agent that was killed had just forked has a copy of it, until it executes its
/// own program.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

const LOCK_RETRY: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    /// Released by the kernel when the process ends, however it ends.
    lock: File,
}

impl DataDir {
    /// Creates what is missing and takes the lock.
    pub(crate) fn open(path: &Path) -> Result<Self, AgentError> {
        let refuse = |source| AgentError::DataDir {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).map_err(refuse)?;
        let root = path.canonicalize().map_err(refuse)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))
            .map_err(refuse)?;
        take(&lock).map_err(|error| match error {
            TryLockError::WouldBlock => AgentError::DataDirInUse { path: root.clone() },
            TryLockError::Error(source) => refuse(source),
        })?;
        let data_dir = Self { root, lock };
        data_dir.check_format()?;
        for dir in [data_dir.tasks(), data_dir.sandboxes()] {
            fs::create_dir_all(dir).map_err(refuse)?;
        }
        let private = [
            data_dir.damaged(),
            data_dir.containers(),
            data_dir.groups(),
            data_dir.fetched(),
            data_dir.volumes(),
            data_dir.removed_volumes(),
            data_dir.unknown_volumes(),
        ];
        for dir in private {
            let mut private = DirBuilder::new();
            private
                .recursive(true)
                .mode(PRIVATE_MODE)
                .create(dir)
                .map_err(refuse)?;
        }
        Ok(data_dir)
    }

    /// Refuses what a newer agent wrote, and marks what an older one did as this one's: it is read all the same, and an
    /// older agent would not read what is written from now on.
    fn check_format(&self) -> Result<(), AgentError> {
        let path = self.root.join("format");
        let refuse = |source: ReadError| AgentError::FormatUnread {
            path: path.clone(),
            source: source.into(),
        };
        let found = match open_own(&path, false).and_then(|file| content(&file)) {
            Ok(bytes) => parse_format(&bytes).ok_or_else(|| refuse(ReadError::NoCheckpoint))?,
            Err(ReadError::Missing) => 0,
            Err(error) => return Err(refuse(error)),
        };
        if found > FORMAT {
            return Err(AgentError::NewerFormat {
                path: self.root.clone(),
                found,
                known: FORMAT,
            });
        }
        if found < FORMAT {
            let text = format!("{FORMAT_WORDS}{FORMAT}\n");
            let written = replace_text(&path, &text, Durability::Synced);
            written.map_err(|source| AgentError::DataDir {
                path: self.root.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// Lets another agent use the directory, whoever still holds this value.
    pub(crate) fn release(&self) {
        if let Err(error) = self.lock.unlock() {
            warn!(%error, "cannot release the data directory");
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where checkpoints are put that cannot be read.
    pub(crate) fn damaged(&self) -> PathBuf {
        self.root.join("damaged")
    }

    /// How many checkpoints were put there and not taken away since.
    pub(crate) fn n_damaged(&self) -> usize {
        fs::read_dir(self.damaged()).map_or(0, Iterator::count)
    }

    pub(crate) fn agent_id(&self) -> PathBuf {
        self.root.join("agent_id")
    }

    pub(crate) fn boot(&self) -> PathBuf {
        self.root.join("boot")
    }

    pub(crate) fn facts(&self) -> PathBuf {
        self.root.join("facts")
    }

    pub(crate) fn tasks(&self) -> PathBuf {
        self.root.join("tasks")
    }

    /// The records of the task a container is for.
    pub(crate) fn task(&self, container_id: ContainerId) -> PathBuf {
        self.tasks().join(container_id.to_string())
    }

    /// Where proffer-init leaves the exit record.
    pub(crate) fn exit(&self, container_id: ContainerId) -> PathBuf {
        self.task(container_id).with_extension("exit")
    }

    /// Where those who attach connect to a container with input.
    pub(crate) fn attach(&self, container_id: ContainerId) -> PathBuf {
        self.container(container_id).join("attach")
    }

    /// Where an executor finds its socket.
    pub(crate) fn executor(&self, container_id: ContainerId) -> PathBuf {
        self.container(container_id).join("executor")
    }

    pub(crate) fn resources(&self) -> PathBuf {
        self.root.join("resources")
    }

    /// Has a directory a role, and each of these one a volume.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes/roles")
    }

    pub(crate) fn removed_volumes(&self) -> PathBuf {
        self.root.join("volumes/removed")
    }

    pub(crate) fn unknown_volumes(&self) -> PathBuf {
        self.root.join("volumes/unknown")
    }

    pub(crate) fn sandboxes(&self) -> PathBuf {
        self.root.join("sandboxes")
    }

    /// Ids are checked when they are made: they are plain names, so this is below [`Self::sandboxes`].
    pub(crate) fn task_dir(&self, key: &TaskKey) -> TaskDir {
        let framework = self.sandboxes().join(key.framework_id.as_str());
        TaskDir(framework.join(key.task_id.as_str()))
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// Where configs of tasks lie, which must not be on a disk: not in this directory, but in memory, under its hash. Everybody may
    /// make directories there, so it is used only where it is the agent's own.
    pub(crate) fn configs(&self) -> PathBuf {
        Path::new("/dev/shm").join(format!("proffer-{:08x}", self.hash()))
    }

    /// Scratch of one container: every stage of its provisioning may put what it needs here, once it has made it.
    pub(crate) fn container(&self, container_id: ContainerId) -> PathBuf {
        self.containers().join(container_id.to_string())
    }

    /// Makes the scratch of a container, where another stage has not. Most containers need none.
    pub(crate) fn make_container(&self, container_id: ContainerId) -> io::Result<PathBuf> {
        let path = self.container(container_id);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => Ok(path),
        }
    }

    /// The containers that have scratch.
    pub(crate) fn containers_found(&self) -> Vec<ContainerId> {
        let entries = fs::read_dir(self.containers()).into_iter().flatten().flatten();
        let id = |entry: fs::DirEntry| {
            let id = u64::from_str_radix(entry.file_name().to_str()?, 16).ok()?;
            Some(ContainerId(id))
        };
        entries.filter_map(id).collect()
    }

    pub(crate) fn fetched(&self) -> PathBuf {
        self.root.join("fetched")
    }

    /// The image store makes it.
    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(crate) fn groups(&self) -> PathBuf {
        self.root.join("groups")
    }

    /// What the containers of a group share.
    pub(crate) fn group(&self, group: &GroupId) -> PathBuf {
        self.groups().join(group.as_str())
    }

    /// What each container's network is, for whoever has to take it away.
    pub(crate) fn networks(&self) -> PathBuf {
        self.root.join("networks")
    }

    /// A cgroup of the agent's own, the same at every start on this directory.
    pub(crate) fn cgroup_root(&self) -> String {
        cgroup_root(&self.root)
    }

    /// Tells what the kernel has of this agent from what it has of others on the host.
    pub(crate) fn hash(&self) -> u32 {
        hash(&self.root)
    }
}

fn take(lock: &File) -> Result<(), TryLockError> {
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_RETRY),
            taken => return taken,
        }
    }
}

fn parse_format(bytes: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(bytes).ok()?;
    let number = text.strip_prefix(FORMAT_WORDS)?.strip_suffix('\n')?;
    number.parse().ok().filter(|number| *number > 0)
}

fn hash(root: &Path) -> u32 {
    crc32fast::hash(root.as_os_str().as_encoded_bytes())
}

/// The cgroup of the agent whose directory that is, without links.
pub(crate) fn cgroup_root(root: &Path) -> String {
    format!("proffer/{:08x}", hash(root))
}

/// The directory of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskDir(PathBuf);

impl TaskDir {
    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    /// What the task keeps, and whoever asks for its files gets to see.
    pub(crate) fn sandbox(&self) -> PathBuf {
        self.0.join("sandbox")
    }

    /// What the task has as `/tmp`.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.0.join("tmp")
    }

    /// How long all this is kept after the task's end, in milliseconds.
    pub(crate) fn retention(&self) -> PathBuf {
        self.0.join("retention")
    }

    pub(crate) fn stdout(&self) -> PathBuf {
        self.0.join("stdout")
    }

    pub(crate) fn stderr(&self) -> PathBuf {
        self.0.join("stderr")
    }
}

/// Removes a file, or a directory and all it holds: damage can make one of the other. What is not there is no error.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir_all(path),
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_agents_cannot_share_a_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        let second = DataDir::open(dir.path());
        assert!(matches!(second, Err(AgentError::DataDirInUse { .. })));
        drop(first);
        assert!(DataDir::open(dir.path()).is_ok());
    }

    #[test]
    fn an_agent_changes_nothing_in_the_directory_of_a_newer_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("format"), "proffer agent data, format 3\n").unwrap();
        let refused = DataDir::open(dir.path()).unwrap_err();
        assert!(
            matches!(
                refused,
                AgentError::NewerFormat {
                    found: 3,
                    known: 2,
                    ..
                }
            ),
            "{refused}"
        );
        let mut left: Vec<_> = names(dir.path());
        left.sort();
        assert_eq!(left, ["format", "lock"]);
    }

    #[test]
    fn a_format_that_cannot_be_read_is_not_taken_for_any() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(dir.path()).unwrap());
        let path = dir.path().join("format");
        let good = fs::read(&path).unwrap();
        drop(DataDir::open(dir.path()).unwrap());
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            let refused = DataDir::open(dir.path()).unwrap_err();
            assert!(
                matches!(refused, AgentError::FormatUnread { .. }),
                "{length}: {refused}"
            );
        }
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_data_directory_that_cannot_be_made_is_named() {
        let error = DataDir::open(Path::new("/proc/none/such")).unwrap_err();
        assert!(error.to_string().contains("/proc/none/such"), "{error}");
    }
}

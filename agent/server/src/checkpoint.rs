//! Checkpoints: plain files, one a task that its states are appended to, and one for the agent's resources that is
//! written beside its place and renamed into it. Either way a reader finds what was before a write, or after.
//!
//! A file that cannot be read costs one task: it is put aside, and the rest is taken. Where it is the one of the
//! resources, the agent does not start: volumes would be given to somebody else.

mod boot;
mod facts;
mod file;
mod log;
mod record;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use proffer_agent_core::{
    ContainerId, ExecutorRecord, Recovered, RecoveredExecutor, RecoveredTask, ResourcesRecord, StateRecord,
    TaskRecord,
};
use proffer_types::AgentId;
use tracing::{info, warn};

use crate::AgentError;
use crate::data_dir::{DataDir, remove};
use crate::volumes;

pub(crate) use file::{Durability, ReadError};

/// Synced at once: what the file system is told of together, it puts on disk together.
const SYNCING_THREADS: usize = 16;

/// Reads and writes the checkpoints of one agent. Every method blocks, as a rule for microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoints {
    data_dir: Arc<DataDir>,
}

impl Checkpoints {
    pub(crate) fn new(data_dir: Arc<DataDir>) -> Self {
        Self { data_dir }
    }

    pub(crate) fn save_agent_id(&self, id: &AgentId) -> Result<(), AgentError> {
        let path = self.data_dir.agent_id();
        let written = file::write(&path, id.as_str().as_bytes(), Durability::Synced);
        written.map_err(|source| AgentError::SaveAgentId { path, source })
    }

    pub(crate) fn save_task(&self, container_id: ContainerId, task: &TaskRecord) -> io::Result<()> {
        log::create(&self.data_dir.task(container_id), &record::encode_task(task))
    }

    pub(crate) fn save_executor(
        &self,
        container_id: ContainerId,
        executor: &ExecutorRecord,
    ) -> io::Result<()> {
        let path = executor_path(&self.data_dir.task(container_id));
        file::write(&path, &record::encode_executor(executor), Durability::Cached)
    }

    /// Replaces the state of a task, in the page cache: after a power loss the tasks that had not ended are dead
    /// anyway. Returns the file where it has to be synced: a terminal state has to be on disk before it is told.
    pub(crate) fn save_state(
        &self,
        container_id: ContainerId,
        state: &StateRecord,
    ) -> io::Result<Option<File>> {
        let path = self.data_dir.task(container_id);
        let file = log::append(&path, &record::encode_state(state))?;
        Ok(state.latest.state.is_terminal().then_some(file))
    }

    /// Gives the records of one container to another one, and its exit record to nobody.
    pub(crate) fn renew(
        &self,
        old: ContainerId,
        new: ContainerId,
        state: &StateRecord,
    ) -> io::Result<Option<File>> {
        remove(&self.data_dir.exit(old), |path| fs::remove_file(path))?;
        let unsynced = self.save_state(old, state)?;
        fs::rename(self.data_dir.task(old), self.data_dir.task(new))?;
        Ok(unsynced)
    }

    /// Replaces the record of the resources: synced, since the master and frameworks rely on a volume once it is
    /// reported, unless a later record of the same batch follows. A volume's directory is there before, and put
    /// aside after.
    pub(crate) fn save_resources(&self, record: &ResourcesRecord, durability: Durability) -> io::Result<()> {
        let path = self.data_dir.resources();
        // An unreadable one would have kept the agent from starting.
        let before = file::read(&path).ok();
        let before = before.and_then(|bytes| record::decode_resources(&bytes).ok());
        let before = before.unwrap_or_default().0.changed;
        let change = volumes::Change::of(&before, &record.changed);
        change.make(&self.data_dir)?;
        let bytes = record::encode_resources(record, change.destroyed.iter().cloned().collect());
        file::write(&path, &bytes, durability)?;
        change.put_aside(&self.data_dir);
        Ok(())
    }

    /// Reads what an earlier life kept of the resources; nothing, for a new agent.
    pub(crate) fn recover_resources(&self) -> Result<ResourcesRecord, AgentError> {
        let path = self.data_dir.resources();
        let refuse = |source: Box<dyn std::error::Error + Send + Sync>| AgentError::ResourcesCheckpoint {
            path: path.clone(),
            source,
        };
        let (record, destroyed) = match file::read(&path) {
            Ok(bytes) => record::decode_resources(&bytes).map_err(|error| refuse(error.into()))?,
            Err(ReadError::Missing) => Default::default(),
            Err(error) => return Err(refuse(error.into())),
        };
        volumes::sweep(&self.data_dir, &record.changed, &destroyed);
        Ok(record)
    }

    /// Removes a task or an executor; its records go first, so that a removal cut short is seen as one.
    pub(crate) fn forget(&self, container_id: ContainerId) -> io::Result<()> {
        let path = self.data_dir.task(container_id);
        remove(&path, |path| fs::remove_file(path))?;
        remove(&executor_path(&path), |path| fs::remove_file(path))?;
        remove(&self.data_dir.exit(container_id), |path| fs::remove_file(path))
    }

    /// Reads what an earlier life left of tasks.
    pub(crate) fn recover(&self) -> Result<Recovered, AgentError> {
        let root = self.data_dir.tasks();
        let refuse = |source| AgentError::DataDir {
            path: root.clone(),
            source,
        };
        let mut paths: Vec<PathBuf> = fs::read_dir(&root)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .map_err(refuse)?;
        paths.sort();
        let tasks: Vec<_> = paths.iter().filter_map(|path| self.recover_task(path)).collect();
        let executors = paths.iter().filter_map(|path| recover_executor(path)).collect();
        paths.iter().for_each(|path| sweep(path));
        // Every task carries the id of the agent it was launched on.
        let agent_id = self
            .recover_agent_id()
            .or_else(|| tasks.first().map(|task| task.task.info.agent_id.clone()));
        Ok(Recovered {
            agent_id,
            tasks,
            executors,
            ..Recovered::default()
        })
    }

    fn recover_agent_id(&self) -> Option<AgentId> {
        let bytes = read_or_put_aside(&self.data_dir.agent_id())?;
        let id = String::from_utf8(bytes).ok()?;
        AgentId::new(id).ok()
    }

    fn recover_task(&self, path: &Path) -> Option<RecoveredTask> {
        let container_id = container_id(path)?;
        let records = or_put_aside(path, log::recover(path))?;
        let task = record::decode_task(&records.first);
        let task = task
            .inspect_err(|error| warn!(path = %path.display(), %error, "a checkpoint holds no valid task"));
        let Ok(task) = task else {
            put_aside(path);
            return None;
        };
        let state = records.last.and_then(|bytes| {
            let state = record::decode_state(&bytes);
            state
                .inspect_err(
                    |error| warn!(path = %path.display(), %error, "a checkpoint holds no valid state"),
                )
                .ok()
        });
        Some(RecoveredTask {
            container_id,
            task,
            state,
        })
    }
}

/// Puts states on disk, and returns those that could not be.
pub(crate) fn sync(unsynced: Vec<(ContainerId, File)>) -> Vec<(ContainerId, io::Error)> {
    let sync = |file: &File| file.sync_all();
    let one_by_one = |files: &[(ContainerId, File)]| {
        let failed = files
            .iter()
            .filter_map(|(container_id, file)| Some((*container_id, sync(file).err()?)));
        failed.collect::<Vec<_>>()
    };
    let share = unsynced.len().div_ceil(SYNCING_THREADS).max(1);
    let mut shares = unsynced.chunks(share);
    let own = shares.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = shares
            .map(|files| {
                (
                    files,
                    thread::Builder::new().spawn_scoped(scope, || one_by_one(files)),
                )
            })
            .collect();
        let mut failed = one_by_one(own);
        for (files, other) in others {
            failed.extend(match other.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(failed)) => failed,
                // No thread could be had: it takes longer.
                Ok(Err(_)) | Err(_) => one_by_one(files),
            });
        }
        failed
    })
}

/// The record of an executor, beside the place where the records of a task would be.
fn executor_path(records: &Path) -> PathBuf {
    records.with_extension("executor")
}

fn recover_executor(path: &Path) -> Option<RecoveredExecutor> {
    let records = path.with_extension("");
    let container_id = container_id(&records).filter(|_| executor_path(&records) == *path)?;
    let bytes = read_or_put_aside(path)?;
    match record::decode_executor(&bytes) {
        Ok(executor) => Some(RecoveredExecutor {
            container_id,
            executor,
        }),
        Err(error) => {
            warn!(path = %path.display(), %error, "a checkpoint holds no valid executor");
            put_aside(path);
            None
        }
    }
}

/// The container whose records a file has; other names are not ours to touch.
fn container_id(path: &Path) -> Option<ContainerId> {
    let name = path.file_name()?.to_str()?;
    let id = u64::from_str_radix(name, 16).ok()?;
    (ContainerId(id).to_string() == name).then_some(ContainerId(id))
}

/// Removes what is left of removals and first writes that were cut short.
fn sweep(path: &Path) {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let records = path.with_extension("");
    let is_left = match extension {
        Some("exit") => {
            let is_ours = container_id(&records).is_some();
            is_ours && !records.exists() && !executor_path(&records).exists()
        }
        Some("tmp") => container_id(&records).is_some(),
        None => container_id(path).is_some() && fs::metadata(path).is_ok_and(|file| file.len() == 0),
        Some(_) => false,
    };
    if is_left {
        info!(path = %path.display(), "removing what is left of a checkpoint");
        if let Err(error) = fs::remove_file(path) {
            warn!(path = %path.display(), %error, "cannot remove what is left of a checkpoint");
        }
    }
}

/// Reads a file; one that is damaged is renamed, so that it neither is read again nor lost.
fn read_or_put_aside(path: &Path) -> Option<Vec<u8>> {
    or_put_aside(path, file::read(path))
}

fn or_put_aside<T>(path: &Path, read: Result<T, ReadError>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(ReadError::Missing) => None,
        Err(error) => {
            warn!(path = %path.display(), %error, "a checkpoint cannot be read");
            put_aside(path);
            None
        }
    }
}

fn put_aside(path: &Path) {
    let aside = path.with_extension("bad");
    match fs::rename(path, &aside) {
        Ok(()) => warn!(path = %aside.display(), "put a bad checkpoint aside"),
        Err(error) => warn!(path = %path.display(), %error, "cannot put a bad checkpoint aside"),
    }
}

#[cfg(test)]
mod tests;

//! Checkpoints: plain files, one a task that its states are appended to, and one for the agent's resources that is
//! written beside its place and renamed into it. Either way a reader finds what was before a write, or after.
//!
//! A file that cannot be read costs one task: it is put aside, and the rest is taken. Where it is the one of the
//! resources, the agent does not start: volumes would be given to somebody else. Nor does it where it has too little to
//! read with, which says nothing of any file.

mod boot;
mod facts;
mod file;
mod log;
mod older;
mod record;

use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use proffer_agent_core::{
    ContainerId, ExecutorRecord, Recovered, RecoveredExecutor, RecoveredTask, ResourcesRecord, StateRecord,
    TaskRecord,
};
use proffer_types::{AgentId, Resources};
use tracing::{info, warn};

use crate::AgentError;
use crate::clock::Clock;
use crate::data_dir::{DataDir, remove};
use crate::volumes;
use log::Damage;

pub(crate) use file::{Durability, ReadError, content, open_own, replace_text};

/// Synced at once: what the file system is told of together, it puts on disk together.
const SYNCING_THREADS: usize = 16;

/// Reads and writes the checkpoints of one agent. Every method blocks, as a rule for microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoints {
    data_dir: Arc<DataDir>,
    clock: Clock,
}

impl Checkpoints {
    /// `clock`: what the times of its records count by.
    pub(crate) fn new(data_dir: Arc<DataDir>, clock: Clock) -> Self {
        Self { data_dir, clock }
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
        let file = log::append(&path, &record::encode_state(state, self.clock.base()))?;
        Ok(state.latest.state.is_terminal().then_some(file))
    }

    /// Gives the records of one container to another one, and its exit record to nobody.
    pub(crate) fn renew(
        &self,
        old: ContainerId,
        new: ContainerId,
        state: &StateRecord,
    ) -> io::Result<Option<File>> {
        remove(&self.data_dir.exit(old))?;
        let unsynced = self.save_state(old, state)?;
        fs::rename(self.data_dir.task(old), self.data_dir.task(new))?;
        Ok(unsynced)
    }

    /// Replaces the record of the resources: synced, since the master and frameworks rely on a volume once it is
    /// reported, unless a later record of the same batch follows. A volume's directory is there before, and put
    /// aside after.
    pub(crate) fn save_resources(&self, record: &ResourcesRecord, durability: Durability) -> io::Result<()> {
        let path = self.data_dir.resources();
        let before = match file::read(&path) {
            Ok(bytes) => {
                record::decode_resources(&bytes)
                    .map_err(io::Error::other)?
                    .0
                    .changed
            }
            Err(ReadError::Missing) => Resources::default(),
            Err(error) => return Err(io::Error::other(error)),
        };
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
        remove(&path)?;
        remove(&executor_path(&path))?;
        remove(&self.data_dir.exit(container_id))
    }

    /// Reads what an earlier life left of tasks. What cannot be read is put aside, and the rest is taken.
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
        let (mut tasks, mut executors) = (Vec::new(), Vec::new());
        for path in &paths {
            tasks.extend(self.recover_task(path)?);
            executors.extend(self.recover_executor(path)?);
        }
        paths.iter().for_each(|path| sweep(path));
        // Every task carries the id of the agent it was launched on.
        let agent_id = match self.recover_agent_id()? {
            None => self.agent_id_of(&tasks),
            own => own,
        };
        Ok(Recovered {
            agent_id,
            tasks,
            executors,
            ..Recovered::default()
        })
    }

    /// The id that is lost, from the tasks; they may be gone the next time.
    fn agent_id_of(&self, tasks: &[RecoveredTask]) -> Option<AgentId> {
        let id = tasks.first()?.task.info.agent_id.clone();
        if let Err(error) = self.save_agent_id(&id) {
            warn!(%error, "cannot write the agent's id again");
        }
        Some(id)
    }

    fn recover_agent_id(&self) -> Result<Option<AgentId>, AgentError> {
        let path = self.data_dir.agent_id();
        let bytes = self.or_put_aside(&path, file::read(&path))?;
        let id = bytes.map(|bytes| {
            let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
            AgentId::new(text).map_err(|error| error.to_string())
        });
        Ok(id.and_then(|id| self.decoded(&path, id)))
    }

    fn recover_task(&self, path: &Path) -> Result<Option<RecoveredTask>, AgentError> {
        let Some(container_id) = container_id(path) else {
            return Ok(None);
        };
        if fs::symlink_metadata(path).is_ok_and(|kind| kind.is_dir()) {
            // One without what never changes of a task has lost it.
            let converted = match older::convert(path) {
                Err(ReadError::Missing) => Err(ReadError::Kind("directory")),
                converted => converted,
            };
            if self.or_put_aside(path, converted)?.is_none() {
                return Ok(None);
            }
        }
        let keep = |damage| self.keep(path, damage);
        let Some(records) = self.or_put_aside(path, log::recover(path, keep))? else {
            return Ok(None);
        };
        let Some(task) = self.decoded(path, record::decode_task(&records.first)) else {
            return Ok(None);
        };
        let state = records
            .last
            .map(|bytes| record::decode_state(&bytes, self.clock.base()));
        let state = state.and_then(|state| {
            let what = "a checkpoint holds no valid state";
            state
                .inspect_err(|error| warn!(path = %path.display(), %error, what))
                .ok()
        });
        Ok(Some(RecoveredTask {
            container_id,
            task,
            state,
        }))
    }

    fn recover_executor(&self, path: &Path) -> Result<Option<RecoveredExecutor>, AgentError> {
        let records = path.with_extension("");
        let is_its_own = |_: &ContainerId| executor_path(&records) == *path;
        let Some(container_id) = container_id(&records).filter(is_its_own) else {
            return Ok(None);
        };
        let Some(bytes) = self.or_put_aside(path, file::read(path))? else {
            return Ok(None);
        };
        let executor = self.decoded(path, record::decode_executor(&bytes));
        Ok(executor.map(|executor| RecoveredExecutor {
            container_id,
            executor,
        }))
    }

    /// What was read; a file that is damaged is renamed, so that it neither is read again nor lost.
    fn or_put_aside<T>(&self, path: &Path, read: Result<T, ReadError>) -> Result<Option<T>, AgentError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(ReadError::Missing) => Ok(None),
            Err(error @ ReadError::Shortage(_)) => Err(AgentError::Shortage {
                path: path.to_owned(),
                source: error.into(),
            }),
            Err(error) => {
                warn!(path = %path.display(), %error, "a checkpoint cannot be read");
                self.put_aside(path, |from, to| fs::rename(from, to));
                Ok(None)
            }
        }
    }

    /// What a record says; a file whose record says nothing, although its checksum fits, is put aside like any other.
    fn decoded<T>(&self, path: &Path, decoded: Result<T, impl Display>) -> Option<T> {
        decoded
            .inspect_err(|error| {
                warn!(path = %path.display(), %error, "a checkpoint holds nothing valid");
                self.put_aside(path, |from, to| fs::rename(from, to));
            })
            .ok()
    }

    /// Keeps a file that is about to be mended. An end that was cut off is what a power loss leaves.
    fn keep(&self, path: &Path, damage: Damage) {
        if damage == Damage::Damaged {
            warn!(path = %path.display(), "a checkpoint is damaged; the newest state that is whole holds");
            self.put_aside(path, |from, to| fs::copy(from, to).map(drop));
        } else {
            warn!(path = %path.display(), "a checkpoint was cut short; the newest state that is whole holds");
        }
    }

    fn put_aside(&self, path: &Path, put: fn(&Path, &Path) -> io::Result<()>) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut aside = (0..).map(|n: u64| self.data_dir.damaged().join(format!("{n}-{name}")));
        let Some(aside) = aside.find(|aside| fs::symlink_metadata(aside).is_err()) else {
            return;
        };
        match put(path, &aside) {
            Ok(()) => warn!(path = %aside.display(), "put a bad checkpoint aside"),
            Err(error) => warn!(path = %path.display(), %error, "cannot put a bad checkpoint aside"),
        }
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
        None => {
            let is_empty = |file: fs::Metadata| file.is_file() && file.len() == 0;
            container_id(path).is_some() && fs::symlink_metadata(path).is_ok_and(is_empty)
        }
        Some(_) => false,
    };
    if is_left {
        info!(path = %path.display(), "removing what is left of a checkpoint");
        if let Err(error) = remove(path) {
            warn!(path = %path.display(), %error, "cannot remove what is left of a checkpoint");
        }
    }
}

#[cfg(test)]
mod tests;

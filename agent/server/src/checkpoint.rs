//! Checkpoints: plain files, one directory a task, and one file for the agent's resources.
//!
//! Every file is written beside its place and renamed into it, so that a reader finds the old or the new one.
//! A file that cannot be read costs one task: it is put aside, and the rest is taken. Where it is the one of the
//! resources, the agent does not start: volumes would be given to somebody else.

mod file;
mod record;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proffer_agent_core::{ContainerId, Recovered, RecoveredTask, ResourcesRecord, StateRecord, TaskRecord};
use proffer_types::AgentId;
use tracing::{info, warn};

use crate::AgentError;
use crate::data_dir::{DataDir, remove};
use crate::volumes;

pub(crate) use file::{Durability, ReadError};

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
        let dir = self.data_dir.task(container_id);
        fs::create_dir_all(&dir)?;
        file::write(&dir.join("task"), &record::encode_task(task), Durability::Cached)
    }

    /// A terminal state is on disk when this returns, any other in the page cache: after a power loss the
    /// tasks that had not ended are dead anyway.
    pub(crate) fn save_state(&self, container_id: ContainerId, state: &StateRecord) -> io::Result<()> {
        let durability = if state.latest.state.is_terminal() {
            Durability::Synced
        } else {
            Durability::Cached
        };
        let path = self.data_dir.task(container_id).join("state");
        file::write(&path, &record::encode_state(state), durability)
    }

    /// Gives the records of one container to another one. The exit record goes first, since it would be taken for
    /// that of the other one.
    pub(crate) fn renew(&self, old: ContainerId, new: ContainerId, state: &StateRecord) -> io::Result<()> {
        remove(&self.data_dir.exit(old), |path| fs::remove_file(path))?;
        self.save_state(old, state)?;
        fs::rename(self.data_dir.task(old), self.data_dir.task(new))
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

    /// Removes what was put aside, which may take long.
    pub(crate) fn remove_volumes(&self) {
        volumes::remove(&self.data_dir);
    }

    /// Removes a task; `task` goes first, so that a removal cut short is seen as one.
    pub(crate) fn forget(&self, container_id: ContainerId) -> io::Result<()> {
        let dir = self.data_dir.task(container_id);
        remove(&dir.join("task"), |path| fs::remove_file(path))?;
        remove(&dir, |path| fs::remove_dir_all(path))
    }

    /// Reads what an earlier life left of tasks.
    pub(crate) fn recover(&self) -> Result<Recovered, AgentError> {
        let root = self.data_dir.tasks();
        let refuse = |source| AgentError::DataDir {
            path: root.clone(),
            source,
        };
        let mut dirs: Vec<PathBuf> = fs::read_dir(&root)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .map_err(refuse)?;
        dirs.sort();
        let tasks: Vec<_> = dirs.iter().filter_map(|dir| self.recover_task(dir)).collect();
        // Every task carries the id of the agent it was launched on.
        let agent_id = self
            .recover_agent_id()
            .or_else(|| tasks.first().map(|task| task.task.info.agent_id.clone()));
        Ok(Recovered {
            agent_id,
            tasks,
            operations: Vec::new(),
        })
    }

    fn recover_agent_id(&self) -> Option<AgentId> {
        let bytes = read_or_put_aside(&self.data_dir.agent_id())?;
        let id = String::from_utf8(bytes).ok()?;
        AgentId::new(id).ok()
    }

    fn recover_task(&self, dir: &Path) -> Option<RecoveredTask> {
        let container_id = container_id(dir)?;
        if !dir.join("task").exists() {
            info!(dir = %dir.display(), "removing a half-removed checkpoint");
            if let Err(error) = fs::remove_dir_all(dir) {
                warn!(dir = %dir.display(), %error, "cannot remove a checkpoint");
            }
            return None;
        }
        let task = read_or_put_aside(&dir.join("task")).and_then(|bytes| {
            let task = record::decode_task(&bytes);
            task.inspect_err(|error| warn!(dir = %dir.display(), %error, "a checkpoint holds no valid task"))
                .ok()
        });
        let Some(task) = task else {
            put_aside(dir);
            return None;
        };
        let state = read_or_put_aside(&dir.join("state")).and_then(|bytes| {
            let state = record::decode_state(&bytes);
            state
                .inspect_err(|error| warn!(dir = %dir.display(), %error, "a checkpoint holds no valid state"))
                .ok()
        });
        Some(RecoveredTask {
            container_id,
            task,
            state,
        })
    }
}

/// The container a directory is for; other names are not ours to touch.
fn container_id(dir: &Path) -> Option<ContainerId> {
    let name = dir.file_name()?.to_str()?;
    let id = u64::from_str_radix(name, 16).ok()?;
    (ContainerId(id).to_string() == name).then_some(ContainerId(id))
}

/// Reads a file; one that is damaged is renamed, so that it neither is read again nor lost.
fn read_or_put_aside(path: &Path) -> Option<Vec<u8>> {
    match file::read(path) {
        Ok(bytes) => Some(bytes),
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

//! Sandboxes: a directory a task, with its output; kept when the task has ended, until collected.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proffer_agent_core::TaskKey;
use proffer_types::{FrameworkId, TaskId};
use tracing::{info, warn};

use crate::data_dir::{DataDir, remove};
use crate::shared::Shared;

/// How long a sandbox is kept after its task (Mesos: `gc_delay`).
const KEEP_ENDED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The most sandboxes of ended tasks; the oldest go first. Bounds inodes on agents that run many short tasks.
const MAX_ENDED: usize = 20_000;

/// How often sandboxes are collected; a week does not need it more exact.
pub(crate) const COLLECT_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Removes what an earlier task of the same name left.
pub(crate) fn clear(path: &Path) -> io::Result<()> {
    remove(path, |path| fs::remove_dir_all(path))
}

/// Starts the time for which the sandbox of an ended task is kept.
pub(crate) fn touch(path: &Path) {
    if let Err(error) = File::open(path).and_then(|dir| dir.set_modified(SystemTime::now()))
        && error.kind() != io::ErrorKind::NotFound
    {
        warn!(path = %path.display(), %error, "cannot touch a sandbox");
    }
}

/// The sandbox of an ended task.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ended {
    path: PathBuf,
    since: SystemTime,
}

/// Removes sandboxes that are too old or too many.
pub(crate) fn collect(data_dir: &DataDir, shared: &Shared) {
    let ended = match ended(data_dir, shared) {
        Ok(ended) => ended,
        Err(error) => {
            warn!(%error, "cannot list sandboxes");
            return;
        }
    };
    for path in to_collect(SystemTime::now(), ended, MAX_ENDED) {
        match clear(&path) {
            Ok(()) => info!(path = %path.display(), "sandbox collected"),
            Err(error) => warn!(path = %path.display(), %error, "cannot collect a sandbox"),
        }
        if let Some(framework) = path.parent() {
            // Fails while other sandboxes are left in it, as it should.
            let _ = fs::remove_dir(framework);
        }
    }
}

fn to_collect(now: SystemTime, mut ended: Vec<Ended>, max_kept: usize) -> Vec<PathBuf> {
    ended.sort_by_key(|sandbox| sandbox.since);
    let n_over = ended.len().saturating_sub(max_kept);
    let old = |since: SystemTime| now.duration_since(since).is_ok_and(|age| age > KEEP_ENDED);
    let due = ended.into_iter().enumerate();
    due.filter(|(index, sandbox)| *index < n_over || old(sandbox.since))
        .map(|(_, sandbox)| sandbox.path)
        .collect()
}

fn ended(data_dir: &DataDir, shared: &Shared) -> io::Result<Vec<Ended>> {
    let mut ended = Vec::new();
    for framework in fs::read_dir(data_dir.sandboxes())? {
        let framework = framework?;
        for task in fs::read_dir(framework.path())? {
            let task = task?;
            let key = key(&framework, &task);
            if key.is_some_and(|key| !shared.is_live(&key)) {
                ended.push(Ended {
                    path: task.path(),
                    since: task.metadata()?.modified()?,
                });
            }
        }
    }
    Ok(ended)
}

fn key(framework: &fs::DirEntry, task: &fs::DirEntry) -> Option<TaskKey> {
    Some(TaskKey {
        framework_id: FrameworkId::new(framework.file_name().to_str()?).ok()?,
        task_id: TaskId::new(task.file_name().to_str()?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, name: &str) -> Ended {
        Ended {
            path: name.into(),
            since: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        }
    }

    #[test]
    fn sandboxes_go_when_they_are_older_than_a_week_or_too_many_oldest_first() {
        let day = 24 * 60 * 60;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10 * day);
        let all = vec![at(9 * day, "new"), at(day, "old"), at(5 * day, "middle")];
        let names = |max| to_collect(now, all.clone(), max);
        assert_eq!(names(3), [PathBuf::from("old")]);
        assert_eq!(names(1), [PathBuf::from("old"), PathBuf::from("middle")]);
    }

    #[test]
    fn a_sandbox_in_use_is_never_collected() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let key = |task: &str| TaskKey {
            framework_id: FrameworkId::new("f").unwrap(),
            task_id: TaskId::new(task).unwrap(),
        };
        for task in ["live", "ended"] {
            fs::create_dir_all(data_dir.task_dir(&key(task)).root()).unwrap();
        }
        let found = ended(&data_dir, &Shared::with_live([key("live")])).unwrap();
        let paths: Vec<_> = found.into_iter().map(|sandbox| sandbox.path).collect();
        assert_eq!(paths, [data_dir.task_dir(&key("ended")).root()]);
    }
}

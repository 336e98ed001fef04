//! Sandboxes: a directory a task, with its output; kept when the task has ended, until collected.
//!
//! The fuller the disk, the sooner: an ended task's is kept for the delay times the part of the disk that is free beyond
//! the headroom (as Mesos does: `gc_delay`, `gc_disk_headroom`), or for less where the task says so. Nothing of a task that
//! lives is ever collected.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proffer_agent_core::TaskKey;
use proffer_types::{FrameworkId, TaskId};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::data_dir::{DataDir, TaskDir, remove};
use crate::metrics::Metrics;
use crate::shared::Shared;

/// The most sandboxes of ended tasks; the oldest go first. Bounds inodes on agents that run many short tasks.
const MAX_ENDED: usize = 20_000;

/// How often it is looked (Mesos: `disk_watch_interval`): a disk fills in minutes.
const COLLECT_INTERVAL: Duration = Duration::from_secs(60);

/// Removes what an earlier task of the same name left.
pub(crate) fn clear(path: &Path) -> io::Result<()> {
    remove(path)
}

/// Starts the time for which the sandbox of an ended task is kept, at most for `retention`.
pub(crate) fn keep(task: &TaskDir, retention: Option<Duration>) {
    let kept = match retention {
        Some(retention) => fs::write(task.retention(), retention.as_millis().to_string()),
        None => Ok(()),
    };
    let touched = || File::open(task.root()).and_then(|dir| dir.set_modified(SystemTime::now()));
    if let Err(error) = kept.and_then(|()| touched())
        && error.kind() != io::ErrorKind::NotFound
    {
        warn!(path = %task.root().display(), %error, "cannot say how long a sandbox is kept");
    }
}

/// What [`keep`] wrote; `None` where it was nothing, or is damaged.
fn retention(task: &TaskDir) -> Option<Duration> {
    let text = fs::read_to_string(task.retention()).ok()?;
    text.parse().ok().map(Duration::from_millis)
}

/// The sandbox of an ended task.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ended {
    key: TaskKey,
    path: PathBuf,
    since: SystemTime,
    /// How long it is kept at most.
    retention: Option<Duration>,
}

/// When sandboxes are collected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Collection {
    /// How long a sandbox is kept on a disk that is empty.
    pub(crate) delay: Duration,
    /// The part of the disk that is to stay free, from 0 to 1.
    pub(crate) disk_headroom: f64,
}

impl Collection {
    /// How long sandboxes are kept with this part of the disk in use, at most for `retention`.
    fn keeps(self, used: f64, retention: Option<Duration>) -> Duration {
        let longest = retention.map_or(self.delay, |retention| retention.min(self.delay));
        longest.mul_f64((1.0 - self.disk_headroom - used).clamp(0.0, 1.0))
    }
}

/// Collects from time to time, until the end.
pub(crate) async fn collect(
    collection: Collection,
    data_dir: Arc<DataDir>,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    end: CancellationToken,
) {
    let mut interval = tokio::time::interval(COLLECT_INTERVAL);
    while end.run_until_cancelled(interval.tick()).await.is_some() {
        let (data_dir, shared, metrics) = (Arc::clone(&data_dir), Arc::clone(&shared), Arc::clone(&metrics));
        let once = move || collect_once(collection, &data_dir, &shared, &metrics);
        if let Err(error) = tokio::task::spawn_blocking(once).await {
            warn!(%error, "sandboxes were not collected");
        }
    }
}

/// Removes sandboxes that are too old or too many, the oldest first.
fn collect_once(collection: Collection, data_dir: &DataDir, shared: &Shared, metrics: &Metrics) {
    let mut ended = match ended(data_dir, shared) {
        Ok(ended) => ended,
        Err(error) => {
            warn!(%error, "cannot list sandboxes");
            return;
        }
    };
    ended.sort_by_key(|sandbox| sandbox.since);
    let mut n_over = ended.len().saturating_sub(MAX_ENDED);
    for sandbox in ended {
        // Looked up each time: what was removed has made room.
        let keeps = collection.keeps(used(data_dir.root()), sandbox.retention);
        let age = SystemTime::now()
            .duration_since(sandbox.since)
            .unwrap_or_default();
        if n_over == 0 && age <= keeps {
            continue;
        }
        n_over = n_over.saturating_sub(1);
        // Another task of that name may have come meanwhile.
        if shared.is_live(&sandbox.key) {
            continue;
        }
        remove_one(&sandbox.path, metrics);
    }
}

fn remove_one(path: &Path, metrics: &Metrics) {
    match clear(path) {
        Ok(()) => {
            metrics.sandbox_collected();
            info!(path = %path.display(), "sandbox collected");
        }
        Err(error) => warn!(path = %path.display(), %error, "cannot collect a sandbox"),
    }
    if let Some(framework) = path.parent() {
        // Fails while other sandboxes are left in it, as it should.
        let _ = fs::remove_dir(framework);
    }
}

/// The part of a file system that is in use, as df(1) has it; none where the kernel does not tell.
fn used(path: &Path) -> f64 {
    match rustix::fs::statvfs(path) {
        Ok(found) if found.f_blocks > 0 => {
            let used = found.f_blocks.saturating_sub(found.f_bfree);
            #[expect(
                clippy::cast_precision_loss,
                reason = "a part of the whole, for an age in days"
            )]
            let part = used as f64 / used.saturating_add(found.f_bavail).max(1) as f64;
            part
        }
        Ok(_) | Err(_) => 0.0,
    }
}

fn ended(data_dir: &DataDir, shared: &Shared) -> io::Result<Vec<Ended>> {
    let mut ended = Vec::new();
    for framework in fs::read_dir(data_dir.sandboxes())? {
        let framework = framework?;
        for task in fs::read_dir(framework.path())? {
            let task = task?;
            let key = key(&framework, &task).filter(|key| !shared.is_live(key));
            if let Some(key) = key {
                ended.push(Ended {
                    retention: retention(&data_dir.task_dir(&key)),
                    key,
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

    fn key(task: &str) -> TaskKey {
        TaskKey {
            framework_id: FrameworkId::new("f").unwrap(),
            task_id: TaskId::new(task).unwrap(),
        }
    }

    #[test]
    fn the_fuller_the_disk_the_shorter_sandboxes_are_kept() {
        let collection = Collection {
            delay: Duration::from_secs(1000),
            disk_headroom: 0.1,
        };
        let keeps = |used| collection.keeps(used, None).as_secs_f64().round();
        assert_eq!([0.0, 0.5, 0.9, 1.0].map(keeps), [900.0, 400.0, 0.0, 0.0]);
        let at_most = |seconds| collection.keeps(0.5, Some(Duration::from_secs(seconds)));
        assert_eq!(at_most(10), Duration::from_secs(4));
        assert_eq!(
            at_most(100_000),
            Duration::from_secs(400),
            "the agent's own delay"
        );
    }

    #[test]
    fn what_is_old_goes_but_never_what_is_in_use_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "").unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(7200);
        for task in ["live", "old", "new"] {
            let sandbox = data_dir.task_dir(&key(task));
            fs::create_dir_all(sandbox.sandbox()).unwrap();
            std::os::unix::fs::symlink(&outside, sandbox.sandbox().join("link")).unwrap();
            if task != "new" {
                File::open(sandbox.root())
                    .unwrap()
                    .set_modified(long_ago)
                    .unwrap();
            }
        }
        let collection = Collection {
            delay: Duration::from_secs(3600),
            disk_headroom: 0.0,
        };
        let used = used(dir.path());
        assert!((0.0..1.0).contains(&used), "{used}");
        let shared = Shared::with_live([key("live")]);
        collect_once(collection, &data_dir, &shared, &Metrics::new());
        let left = |task| data_dir.task_dir(&key(task)).root().exists();
        assert_eq!(["live", "old", "new"].map(left), [true, false, true]);
        keep(&data_dir.task_dir(&key("new")), Some(Duration::ZERO));
        collect_once(collection, &data_dir, &shared, &Metrics::new());
        assert!(!left("new"), "it was to be kept no longer than that");
        assert!(outside.join("file").exists());
    }
}

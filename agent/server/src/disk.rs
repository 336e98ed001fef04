//! What tasks have on the disk: measured, and a task that has more than it may is ended.
//!
//! One thread measures one task after the other, so that however many files they have it takes a small part of the
//! disk's time: the longer a measure took, the longer until the next of the same task.

mod measure;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proffer_agent_core::{Command, ContainerId, TaskKey};
use proffer_types::resources::format::format_size;
use proffer_types::{GroupId, StatusReason, TaskInfo};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::data_dir::DataDir;
use crate::driver::Input;
use crate::volumes;
use measure::{Measured, measure};

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(500);

/// The least time between two measures of a task.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many times longer than a measure took it is until the next: a twentieth of one thread's time for each task that
/// has very many files.
const PAUSE: u32 = 20;

/// Longer than any grace period.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Measures what containers have on disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    data_dir: Arc<DataDir>,
    /// Of a task that asks for no disk; absent means none.
    default_limit: Option<u64>,
    watched: Mutex<BTreeMap<ContainerId, Watched>>,
}

/// One container.
#[derive(Debug, Clone)]
struct Watched {
    places: Vec<Place>,
    due: Instant,
    /// Of its own directories, when last measured.
    n_bytes: Option<u64>,
}

/// Directories that have one bound.
#[derive(Debug, Clone)]
struct Place {
    /// Absent for the task's own.
    volume: Option<String>,
    roots: Vec<PathBuf>,
    limit: Option<u64>,
}

impl Disk {
    pub(crate) fn new(data_dir: Arc<DataDir>, default_limit: Option<u64>) -> Self {
        Self {
            inner: Arc::new(Inner {
                data_dir,
                default_limit,
                watched: Mutex::default(),
            }),
        }
    }

    /// Measures a container from now on, until it is removed.
    pub(crate) fn watch(
        &self,
        container_id: ContainerId,
        key: &TaskKey,
        group: Option<&GroupId>,
        info: &TaskInfo,
    ) {
        let watched = Watched {
            places: self.inner.places(container_id, key, group, info),
            due: Instant::now(),
            n_bytes: None,
        };
        self.inner.watched().insert(container_id, watched);
    }

    pub(crate) fn forget(&self, container_id: ContainerId) {
        self.inner.watched().remove(&container_id);
    }

    /// Bytes of a container's own, when last measured.
    pub(crate) fn n_bytes(&self, container_id: ContainerId) -> Option<u64> {
        self.inner.watched().get(&container_id)?.n_bytes
    }

    /// Measures until the end, and tells the driver which containers have too much.
    pub(crate) async fn run(self, driver: mpsc::Sender<Input>, end: CancellationToken) {
        loop {
            let due = self.inner.due();
            for (container_id, places) in due {
                let measured = tokio::task::spawn_blocking(move || look(&places));
                let started = Instant::now();
                let Some(Ok(look)) = end.run_until_cancelled(measured).await else {
                    return;
                };
                self.inner.measured(container_id, &look, started.elapsed());
                if let Some(message) = look.over {
                    debug!(%container_id, message, "a task has too much on disk");
                    let command = Command::LimitExceeded {
                        container_id,
                        reason: StatusReason::ContainerLimitationDisk,
                        message,
                    };
                    if driver.send(Input::Command(command)).await.is_err() {
                        return;
                    }
                }
            }
            if end.run_until_cancelled(tokio::time::sleep(TICK)).await.is_none() {
                return;
            }
        }
    }
}

impl Inner {
    fn watched(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Watched>> {
        // Every change is one call on the map, so a thread that panicked left it whole.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self) -> Vec<(ContainerId, Vec<Place>)> {
        let now = Instant::now();
        let watched = self.watched();
        let due = watched.iter().filter(|(_, one)| one.due <= now);
        due.map(|(container_id, one)| (*container_id, one.places.clone()))
            .collect()
    }

    fn measured(&self, container_id: ContainerId, look: &Look, took: Duration) {
        if let Some(watched) = self.watched().get_mut(&container_id) {
            watched.n_bytes = Some(look.n_bytes);
            // What is over is said once: its end is the core's to bring about.
            let wait = match look.over {
                Some(_) => NEVER,
                None => took.saturating_mul(PAUSE).max(INTERVAL),
            };
            watched.due = Instant::now() + wait;
        }
    }

    fn places(
        &self,
        container_id: ContainerId,
        key: &TaskKey,
        group: Option<&GroupId>,
        info: &TaskInfo,
    ) -> Vec<Place> {
        let task = self.data_dir.task_dir(key);
        let own = [task.sandbox(), task.tmp(), self.data_dir.container(container_id)];
        let asked = info.resources.only(|kind| kind.volume.is_none()).disk_bytes();
        let own = Place {
            volume: None,
            // What a group shares counts for each of its tasks: nobody else could be held to it.
            roots: own
                .into_iter()
                .chain(group.map(|group| self.data_dir.group(group)))
                .collect(),
            limit: (asked > 0).then_some(asked).or(self.default_limit),
        };
        let volumes = info.resources.volumes().filter_map(|(kind, volume, size)| {
            Some(Place {
                volume: Some(volume.id.to_string()),
                roots: vec![volumes::path(&self.data_dir, kind)?],
                limit: Some(size),
            })
        });
        std::iter::once(own).chain(volumes).collect()
    }
}

/// What was found of one container.
#[derive(Debug, Default)]
struct Look {
    n_bytes: u64,
    /// What there is too much of, with the figures.
    over: Option<String>,
}

fn look(places: &[Place]) -> Look {
    let mut look = Look::default();
    for place in places {
        let found = measure(&place.roots, place.limit);
        if place.volume.is_none() {
            look.n_bytes = found.n_bytes;
        }
        if look.over.is_none() {
            look.over = over(place, found);
        }
    }
    look
}

fn over(place: &Place, found: Measured) -> Option<String> {
    let limit = place.limit?;
    let what = match &place.volume {
        None => "its files".to_owned(),
        Some(volume) => format!("the files of its volume `{volume}`"),
    };
    let limit_text = format_size(limit);
    if found.is_too_deep {
        let depth = measure::MAX_DEPTH;
        return Some(format!(
            "{what} are in directories more than {depth} deep, where the disk limit of {limit_text} cannot be held"
        ));
    }
    // A measure ends as soon as it is over.
    (found.n_bytes > limit).then(|| {
        format!(
            "{what} take at least {} of the disk limit of {limit_text}",
            format_size(found.n_bytes)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_named_with_its_figures() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), vec![1; 3 << 20]).unwrap();
        let place = |volume: Option<&str>, limit| Place {
            volume: volume.map(str::to_owned),
            roots: vec![dir.path().to_owned()],
            limit,
        };
        let look = |place| look(&[place]);
        assert_eq!(look(place(None, None)).over, None);
        assert_eq!(look(place(None, Some(4 << 20))).over, None);
        let over = look(place(None, Some(1 << 20))).over.unwrap();
        assert!(over.starts_with("its files take at least 3"), "{over}");
        assert!(over.ends_with("of the disk limit of 1MiB"), "{over}");
        let over = look(place(Some("v"), Some(1 << 20))).over.unwrap();
        assert!(over.starts_with("the files of its volume `v` take"), "{over}");
    }
}

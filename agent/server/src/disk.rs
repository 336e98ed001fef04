//! What tasks have on the disk: a task that has more than it may is ended.
//!
//! Where the file system has project quotas it counts, and bounds every write a little above the limit, so that the
//! task ends by its limit either way; see [`projects`]. Else one thread measures one task after the other, so that
//! however many files they have it takes a small part of the disk's time: the longer a measure took, the longer until
//! the next of the same task.
//!
//! What a group shares is counted once: it and what its tasks have together may take what they may have together.

mod group;
mod hold;
mod measure;
mod projects;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proffer_agent_core::{Command, ContainerId, TaskKey};
use proffer_types::container::UserNamespace;
use proffer_types::resources::format::format_size;
use proffer_types::{GroupId, StatusReason, TaskInfo};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::data_dir::DataDir;
use crate::driver::Input;
use crate::volumes;
use measure::{Measured, measure};
pub(crate) use projects::Projects;

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(500);

/// The least time between two measures of a task.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many times longer than a measure took it is until the next: a twentieth of one thread's time for each task that
/// has very many files.
const PAUSE: u32 = 20;

/// Longer than any grace period.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Knows what containers have on disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    data_dir: Arc<DataDir>,
    /// Of a task that asks for no disk; absent means none.
    default_limit: Option<u64>,
    /// Absent where the agent measures.
    projects: Option<Projects>,
    watched: Mutex<BTreeMap<ContainerId, Watched>>,
}

/// One container.
#[derive(Debug, Clone)]
struct Watched {
    places: Vec<Place>,
    group: Option<GroupId>,
    due: Instant,
    /// Of its own directories, when last measured.
    n_bytes: Option<u64>,
}

/// Directories that have one bound.
#[derive(Debug, Clone)]
struct Place {
    what: What,
    roots: Vec<PathBuf>,
    limit: Option<u64>,
    /// Of one more directory than these, when it was last looked.
    besides: u64,
    /// Whether the project of the first directory tells how much it is, if that has one. Of a task in the host's user
    /// namespace it tells nothing: such a task gives its files to whatever project it likes.
    is_in_project: bool,
}

#[derive(Debug, Clone)]
enum What {
    Own,
    Group,
    Volume(String),
}

impl Disk {
    pub(crate) fn new(
        data_dir: Arc<DataDir>,
        default_limit: Option<u64>,
        projects: Option<Projects>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                data_dir,
                default_limit,
                projects,
                watched: Mutex::default(),
            }),
        }
    }

    /// Who holds tasks to their disk.
    pub(crate) fn held_by(&self) -> &'static str {
        match self.inner.projects {
            Some(_) => "project",
            None => "measured",
        }
    }

    /// Looks at a container from now on, until it is removed. To be called for all members of a group, whose
    /// directory is there, before the first of them starts.
    pub(crate) fn watch(
        &self,
        container_id: ContainerId,
        key: &TaskKey,
        group: Option<&GroupId>,
        info: &TaskInfo,
    ) -> Result<(), String> {
        let inner = &self.inner;
        if let Some(group) = group {
            group::note(&inner.data_dir.group(group), key, inner.limit(info))?;
        }
        let watched = Watched {
            places: inner.places(container_id, key, info),
            group: group.cloned(),
            due: Instant::now(),
            n_bytes: None,
        };
        inner.watched().insert(container_id, watched);
        Ok(())
    }

    pub(crate) fn forget(&self, container_id: ContainerId) {
        self.inner.watched().remove(&container_id);
    }

    /// Bytes of a container's own: now, where the file system counts them, else when last measured.
    pub(crate) fn n_bytes(&self, container_id: ContainerId) -> Option<u64> {
        let watched = self.inner.watched().get(&container_id)?.clone();
        let counted = self.inner.counted(watched.places.first()?);
        counted.or(watched.n_bytes)
    }

    /// What a container that has ended has too much of, as the file system counts it: it may have ended because it
    /// could write no more, before anybody looked.
    pub(crate) fn over_at_end(&self, container_id: ContainerId) -> Option<String> {
        let watched = self.inner.watched().get(&container_id)?.clone();
        let own = watched.places.first().and_then(|own| self.inner.counted(own));
        let group = watched.group.as_ref().zip(own);
        let group = group.and_then(|(group, own)| self.inner.place_of_group(container_id, group, own));
        let mut places = watched.places.iter().chain(&group);
        places.find_map(|place| {
            let found = Measured {
                n_bytes: self.inner.counted(place)?,
                is_too_deep: false,
            };
            over(place, found)
        })
    }

    /// Looks until the end, and tells the driver which containers have too much.
    pub(crate) async fn run(self, driver: mpsc::Sender<Input>, end: CancellationToken) {
        loop {
            for container_id in self.inner.due() {
                let inner = Arc::clone(&self.inner);
                let started = Instant::now();
                let look = tokio::task::spawn_blocking(move || inner.look(container_id));
                let Some(Ok(look)) = end.run_until_cancelled(look).await else {
                    return;
                };
                let Some(look) = look else { continue };
                self.inner.measured(container_id, &look, started.elapsed());
                if let Some(message) = look.over
                    && driver
                        .send(Input::Command(exceeded(container_id, message)))
                        .await
                        .is_err()
                {
                    return;
                }
            }
            if end.run_until_cancelled(tokio::time::sleep(TICK)).await.is_none() {
                return;
            }
        }
    }
}

/// What the core is told of a container that has too much.
pub(crate) fn exceeded(container_id: ContainerId, message: String) -> Command {
    debug!(%container_id, message, "a task has too much on disk");
    Command::LimitExceeded {
        container_id,
        reason: StatusReason::ContainerLimitationDisk,
        message,
    }
}

impl Inner {
    fn watched(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Watched>> {
        // Every change is one call on the map, so a thread that panicked left it whole.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self) -> Vec<ContainerId> {
        let now = Instant::now();
        let watched = self.watched();
        let due = watched.iter().filter(|(_, one)| one.due <= now);
        due.map(|(container_id, _)| *container_id).collect()
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

    /// What a task may have.
    fn limit(&self, info: &TaskInfo) -> Option<u64> {
        self.own_limit(info.resources.only(|kind| kind.volume.is_none()).disk_bytes())
    }

    /// What one may have that asks for so much.
    fn own_limit(&self, asked: u64) -> Option<u64> {
        (asked > 0).then_some(asked).or(self.default_limit)
    }

    fn places(&self, container_id: ContainerId, key: &TaskKey, info: &TaskInfo) -> Vec<Place> {
        let task = self.data_dir.task_dir(key);
        let is_in_project = info.container.security.user_namespace != UserNamespace::Host;
        let own = Place {
            what: What::Own,
            roots: vec![task.sandbox(), task.tmp(), self.data_dir.container(container_id)],
            limit: self.limit(info),
            besides: 0,
            is_in_project,
        };
        let volumes = info.resources.volumes().filter_map(|(kind, volume, size)| {
            Some(Place {
                what: What::Volume(volume.id.to_string()),
                roots: vec![volumes::path(&self.data_dir, kind)?],
                limit: Some(size),
                besides: 0,
                is_in_project,
            })
        });
        std::iter::once(own).chain(volumes).collect()
    }

    /// What the file system counts of a place; none where it does not.
    fn counted(&self, place: &Place) -> Option<u64> {
        let projects = self.projects.as_ref().filter(|_| place.is_in_project)?;
        projects.n_bytes(place.roots.first()?)
    }

    fn found(&self, place: &Place) -> Measured {
        match self.counted(place) {
            Some(n_bytes) => Measured {
                n_bytes,
                is_too_deep: false,
            },
            None => {
                let left = place.limit.map(|limit| limit.saturating_sub(place.besides));
                measure(&place.roots, left)
            }
        }
    }

    /// Looks at what a container has; none when it is not watched any more.
    fn look(&self, container_id: ContainerId) -> Option<Look> {
        let watched = self.watched().get(&container_id)?.clone();
        let mut look = Look::default();
        for place in &watched.places {
            let found = self.found(place);
            if matches!(place.what, What::Own) {
                look.n_bytes = found.n_bytes;
            }
            look.over = look.over.or_else(|| over(place, found));
        }
        if let Some(group) = &watched.group
            && self.is_first_of(group, container_id)
            && let Some(place) = self.place_of_group(container_id, group, look.n_bytes)
        {
            look.over = look.over.or_else(|| over(&place, self.found(&place)));
        }
        Some(look)
    }

    /// Whether a container is the one that looks at what its group shares.
    fn is_first_of(&self, group: &GroupId, container_id: ContainerId) -> bool {
        let watched = self.watched();
        let first = watched.iter().find(|(_, one)| one.group.as_ref() == Some(group));
        first.is_some_and(|(first, _)| *first == container_id)
    }

    /// What a group shares, beside what its tasks have of their own; that of one of them was just found to be so much.
    fn place_of_group(&self, container_id: ContainerId, group: &GroupId, n_bytes: u64) -> Option<Place> {
        let watched = self.watched();
        let others = watched
            .iter()
            .filter(|(id, one)| **id != container_id && one.group.as_ref() == Some(group));
        let of_others: u64 = others.filter_map(|(_, one)| one.n_bytes).sum();
        let dir = self.data_dir.group(group);
        Some(Place {
            what: What::Group,
            roots: vec![group::shared(&dir)],
            limit: group::limit(&dir),
            besides: n_bytes.saturating_add(of_others),
            is_in_project: true,
        })
    }
}

/// What was found of one container.
#[derive(Debug, Default)]
struct Look {
    n_bytes: u64,
    /// What there is too much of, with the figures.
    over: Option<String>,
}

fn over(place: &Place, found: Measured) -> Option<String> {
    let limit = place.limit?;
    let what = match &place.what {
        What::Own => "its files".to_owned(),
        What::Group => "the files of its group, its tasks' own and shared ones,".to_owned(),
        What::Volume(volume) => format!("the files of its volume `{volume}`"),
    };
    let n_bytes = found.n_bytes.saturating_add(place.besides);
    let limit_text = format_size(limit);
    if found.is_too_deep {
        let depth = measure::MAX_DEPTH;
        return Some(format!(
            "{what} are in directories more than {depth} deep, where the disk limit of {limit_text} cannot be held"
        ));
    }
    // A measure ends as soon as it is over.
    (n_bytes > limit).then(|| {
        format!(
            "{what} take at least {} of the disk limit of {limit_text}",
            format_size(n_bytes)
        )
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proffer_types::{AgentId, FrameworkId, Resources, TaskId};

    use super::*;

    fn info(disk: u64) -> TaskInfo {
        let agent_id = AgentId::new("a").unwrap();
        TaskInfo::new(
            TaskId::new("t").unwrap(),
            agent_id,
            Resources::of(0, 0, disk),
            ["true"],
        )
    }

    #[test]
    fn what_a_group_shares_counts_once_against_what_its_tasks_may_have_together() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = Arc::new(DataDir::open(dir.path()).unwrap());
        let disk = Disk::new(Arc::clone(&data_dir), None, None);
        let group = GroupId::new("g").unwrap();
        let shared = data_dir.group(&group).join("volumes/v");
        fs::create_dir_all(&shared).unwrap();
        let key = |task: &str| TaskKey {
            framework_id: FrameworkId::new("f").unwrap(),
            task_id: TaskId::new(task).unwrap(),
        };
        for (n, task) in [(1, "a"), (2, "b")] {
            let sandbox = data_dir.task_dir(&key(task)).sandbox();
            fs::create_dir_all(&sandbox).unwrap();
            fs::write(sandbox.join("file"), vec![1; 1 << 20]).unwrap();
            disk.watch(ContainerId(n), &key(task), Some(&group), &info(4 << 20))
                .unwrap();
        }
        let look = || {
            [1, 2].map(|n| {
                let look = disk.inner.look(ContainerId(n)).unwrap();
                disk.inner.measured(ContainerId(n), &look, Duration::ZERO);
                look.over
            })
        };
        // More than either may have, and less than both.
        fs::write(shared.join("file"), vec![1; 5 << 20]).unwrap();
        assert_eq!([look(), look()], [const { [const { None }; 2] }; 2]);
        // Nobody has less room because another one is done.
        disk.forget(ContainerId(2));
        assert_eq!(disk.inner.look(ContainerId(1)).unwrap().over, None);
        fs::write(shared.join("more"), vec![1; 3 << 20]).unwrap();
        let over = disk.inner.look(ContainerId(1)).unwrap().over.unwrap();
        assert!(over.starts_with("the files of its group"), "{over}");
        assert!(over.ends_with("of the disk limit of 8MiB"), "{over}");
    }

    #[test]
    fn what_is_over_is_named_with_its_figures() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), vec![1; 3 << 20]).unwrap();
        let place = |volume: Option<&str>, limit| Place {
            what: volume.map_or(What::Own, |volume| What::Volume(volume.to_owned())),
            roots: vec![dir.path().to_owned()],
            limit,
            besides: 0,
            is_in_project: false,
        };
        let over = |place: Place| over(&place, measure(&place.roots, place.limit));
        assert_eq!(over(place(None, None)), None);
        assert_eq!(over(place(None, Some(4 << 20))), None);
        let own = over(place(None, Some(1 << 20))).unwrap();
        assert!(own.starts_with("its files take at least 3"), "{own}");
        assert!(own.ends_with("of the disk limit of 1MiB"), "{own}");
        let volume = over(place(Some("v"), Some(1 << 20))).unwrap();
        assert!(volume.starts_with("the files of its volume `v` take"), "{volume}");
    }
}

//! The devices of a container: those its task names, those it counts among its resources, and the disks whose rates it
//! limits.
//!
//! A container's counted devices are listed in the file `devices` of its scratch directory, from before it is launched
//! until its directory goes: so a device is nobody else's until nothing of its container runs, whichever agent looks.
//! A container that wants no device looks at nobody's list.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proffer_agent_core::ContainerId;
use proffer_container::pool::variable;
use proffer_container::{Assignment, PickError, Pool};
use proffer_linux::{device, disk};
use proffer_types::container::DeviceAccess;
use proffer_types::{Resources, TaskInfo};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Prepared, Request, Stage};
use crate::data_dir::DataDir;

/// Resources are free as soon as a task has ended, its devices a little later: when its container is destroyed, which takes
/// no longer than this as a rule.
pub(super) const FREE_TIMEOUT: Duration = Duration::from_secs(20);

/// What may be done with a device that is a task's own. Nodes are made for it.
pub(crate) const OWN: DeviceAccess = DeviceAccess {
    read: true,
    write: true,
    mknod: false,
};

/// The countable devices of an agent.
#[derive(Debug)]
pub(super) struct Devices {
    pool: Pool,
    data_dir: Arc<DataDir>,
    /// Held while devices are picked and written down.
    picking: Mutex<()>,
    freed: Notify,
}

impl Devices {
    pub(super) fn new(pool: Pool, data_dir: Arc<DataDir>) -> Self {
        Self {
            pool,
            data_dir,
            picking: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// Adds what the task wants of the host's devices.
    pub(super) async fn prepare(
        &self,
        stage: &Stage,
        request: &Request,
        prepared: &mut Prepared,
    ) -> Result<(), String> {
        let counted = self.take(request.container_id, &request.info.resources).await?;
        let config = &mut prepared.config;
        let mut wanted = Vec::new();
        for (name, paths) in counted {
            let list = paths.iter().map(|path| path.display().to_string());
            config
                .env
                .insert(variable(&name), list.collect::<Vec<_>>().join(","));
            wanted.extend(paths.into_iter().map(|path| (path, OWN)));
        }
        let info = &request.info;
        let container = &info.container;
        if wanted.is_empty() && container.security.devices.is_empty() && container.cgroup.io.is_empty() {
            return Ok(());
        }
        let info = info.clone();
        let found = stage.blocking(move |_| find(&info, wanted)).await?;
        (config.devices, config.io_devices) = found;
        Ok(())
    }

    /// To be called when a container's directory is gone.
    pub(super) fn released(&self) {
        self.freed.notify_waiters();
    }

    async fn take(&self, container_id: ContainerId, resources: &Resources) -> Result<Assignment, String> {
        let taken = timeout(FREE_TIMEOUT, async {
            loop {
                let freed = self.freed.notified();
                match self.try_take(container_id, resources) {
                    Err(TakeError::Pick(PickError::Short { .. })) => freed.await,
                    taken => return taken,
                }
            }
        });
        match taken.await {
            Ok(taken) => taken.map_err(|error| error.to_string()),
            Err(_) => self
                .try_take(container_id, resources)
                .map_err(|error| error.to_string()),
        }
    }

    fn try_take(&self, container_id: ContainerId, resources: &Resources) -> Result<Assignment, TakeError> {
        // Were all free: what has none then has none of those that are left.
        if self.pool.pick(resources, &BTreeSet::new())?.is_empty() {
            return Ok(Assignment::default());
        }
        let _picking = self.picking.lock().unwrap_or_else(PoisonError::into_inner);
        let dirs = self.data_dir.containers_found().into_iter();
        let others = dirs.filter(|other| *other != container_id);
        let mut used = BTreeSet::new();
        for other in others {
            used.extend(listed(&list(&self.data_dir, other))?);
        }
        let assignment = self.pool.pick(resources, &used)?;
        if !assignment.is_empty() {
            let paths = assignment.values().flatten();
            let lines = paths.map(|path| format!("{}\n", path.display()));
            let path = list(&self.data_dir, container_id);
            let made = self.data_dir.make_container(container_id);
            made.and_then(|_| fs::write(&path, lines.collect::<String>()))
                .map_err(|source| TakeError::List { path, source })?;
        }
        Ok(assignment)
    }
}

#[derive(Debug, thiserror::Error)]
enum TakeError {
    #[error(transparent)]
    Pick(#[from] PickError),
    #[error("cannot keep the list of devices `{}`: {source}", path.display())]
    List { path: PathBuf, source: io::Error },
}

fn list(data_dir: &DataDir, container_id: ContainerId) -> PathBuf {
    data_dir.container(container_id).join("devices")
}

/// Fails for a list that names what is no device: nobody knows what its container has, until it is gone.
fn listed(path: &Path) -> Result<Vec<PathBuf>, TakeError> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let paths = text.lines().map(PathBuf::from).collect::<Vec<_>>();
            match paths.iter().find(|path| device(path, OWN).is_err()) {
                None if text.is_empty() || text.ends_with('\n') => Ok(paths),
                _ => Err(TakeError::List {
                    path: path.to_owned(),
                    source: io::Error::other("it is damaged"),
                }),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(TakeError::List {
            path: path.to_owned(),
            source,
        }),
    }
}

type Found = (
    Vec<proffer_container::Device>,
    Vec<proffer_container::DeviceNumber>,
);

/// Finds the numbers of devices and disks.
fn find(info: &TaskInfo, mut wanted: Vec<(PathBuf, DeviceAccess)>) -> Result<Found, String> {
    let own = &info.container.security.devices;
    wanted.extend(own.iter().map(|own| (PathBuf::from(&own.path), own.access)));
    let devices = wanted.iter().map(|(path, access)| device(path, *access));
    let devices = devices
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let disks = info
        .container
        .cgroup
        .io
        .iter()
        .map(|limit| disk(Path::new(&limit.path)));
    let disks = disks
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    Ok((devices, disks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(dir: &Path) -> Devices {
        let data_dir = Arc::new(DataDir::open(dir).unwrap());
        let pool = Pool::new(["nulls=/dev/null,/dev/zero".parse().unwrap()]).unwrap();
        Devices::new(pool, data_dir)
    }

    fn take(devices: &Devices, id: u64, n_devices: u64) -> Result<Vec<PathBuf>, TakeError> {
        let id = ContainerId(id);
        fs::create_dir_all(devices.data_dir.container(id)).unwrap();
        let resources = format!("nulls:{n_devices}").parse().unwrap();
        let taken = devices.try_take(id, &resources)?;
        Ok(taken.into_values().flatten().collect())
    }

    #[test]
    fn a_device_is_one_containers_until_its_directory_is_gone_whichever_agent_looks() {
        let dir = tempfile::tempdir().unwrap();
        let first = devices(dir.path());
        assert_eq!(take(&first, 1, 1).unwrap(), [PathBuf::from("/dev/null")]);
        assert_eq!(take(&first, 2, 1).unwrap(), [PathBuf::from("/dev/zero")]);
        drop(first);
        let second = devices(dir.path());
        assert!(matches!(
            take(&second, 3, 1),
            Err(TakeError::Pick(PickError::Short { .. }))
        ));
        fs::remove_dir_all(second.data_dir.container(ContainerId(1))).unwrap();
        assert_eq!(take(&second, 3, 1).unwrap(), [PathBuf::from("/dev/null")]);
    }

    #[tokio::test]
    async fn a_task_waits_a_little_for_devices_that_are_being_freed() {
        let dir = tempfile::tempdir().unwrap();
        let devices = devices(dir.path());
        take(&devices, 1, 2).unwrap();
        let (resources, id) = ("nulls:1".parse().unwrap(), ContainerId(2));
        fs::create_dir_all(devices.data_dir.container(id)).unwrap();
        let free = async {
            // The other one has found out by then, or will not have to.
            tokio::time::sleep(Duration::from_millis(20)).await;
            fs::remove_dir_all(devices.data_dir.container(ContainerId(1))).unwrap();
            devices.released();
        };
        let (taken, ()) = tokio::join!(devices.take(id, &resources), free);
        assert_eq!(taken.unwrap().into_values().flatten().count(), 1);
    }
}

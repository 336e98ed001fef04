//! Holding: what a container is about to use is given to projects of the file system, and taken back.

use std::fs;
use std::io;
use std::path::Path;

use proffer_agent_core::{ContainerId, TaskKey};
use proffer_types::{GroupId, TaskInfo};

use super::{Disk, Inner, Projects, What, group};

impl Disk {
    /// Has the file system count and bound what a watched container takes, where it can. To be called when its directories
    /// are made, and before anything is in them, unless its sandbox is that of the task's last container. Blocks.
    pub(crate) fn hold(
        &self,
        container_id: ContainerId,
        key: &TaskKey,
        group: Option<&GroupId>,
        info: &TaskInfo,
        keeps_sandbox: bool,
    ) -> Result<(), String> {
        let Some(projects) = &self.inner.projects else {
            return Ok(());
        };
        let inner = &self.inner;
        let own = inner.hold_own(projects, container_id, key, info, keeps_sandbox);
        own.and_then(|()| inner.hold_volumes(projects, container_id, key, info))
            .and_then(|()| match group {
                Some(group) => inner.hold_group(projects, group),
                None => Ok(()),
            })
            .map_err(|error| format!("cannot hold the task to its disk by a project quota: {error}"))
    }

    /// Bounds what a watched container has of its own otherwise than before. Blocks.
    pub(crate) fn bound(&self, container_id: ContainerId, asked: u64) -> Result<(), String> {
        let limit = self.inner.own_limit(asked);
        let root = {
            let mut watched = self.inner.watched();
            let own = watched
                .get_mut(&container_id)
                .and_then(|watched| watched.places.first_mut());
            let Some(own) = own else { return Ok(()) };
            own.limit = limit;
            own.roots.first().filter(|_| own.is_in_project).cloned()
        };
        let project = root.and_then(|root| {
            let projects = self.inner.projects.as_ref()?;
            Some((projects, projects.of(&root)?))
        });
        match project {
            Some((projects, id)) => projects
                .bound(id, limit)
                .map_err(|error| format!("cannot change a project quota: {error}")),
            None => Ok(()),
        }
    }

    /// Forgets the bound of what is in a directory that is about to go.
    pub(crate) fn unbind(&self, dir: &Path) {
        if let Some(projects) = &self.inner.projects {
            projects.unbind(dir);
        }
    }

    /// Does so of what a group shares.
    pub(crate) fn unbind_group(&self, group: &GroupId) {
        self.unbind(&group::shared(&self.inner.data_dir.group(group)));
    }
}

impl Inner {
    fn hold_own(
        &self,
        projects: &Projects,
        container_id: ContainerId,
        key: &TaskKey,
        info: &TaskInfo,
        keeps_sandbox: bool,
    ) -> io::Result<()> {
        let places = self.places(container_id, key, info);
        let Some(own) = places.first().filter(|own| own.is_in_project) else {
            return Ok(());
        };
        self.data_dir.make_container(container_id)?;
        let dirs: Vec<&Path> = own.roots.iter().map(AsRef::as_ref).collect();
        let sandbox = dirs.first().and_then(|sandbox| projects.of(sandbox));
        let id = match (keeps_sandbox, sandbox) {
            (false, _) => projects.give(&dirs)?,
            (true, Some(id)) => {
                for dir in dirs {
                    projects.join(dir, id)?;
                }
                id
            }
            // It is from an agent without projects, and goes on being measured.
            (true, None) => return Ok(()),
        };
        projects.bound(id, own.limit)
    }

    /// A volume that has content from before goes on being measured.
    fn hold_volumes(
        &self,
        projects: &Projects,
        container_id: ContainerId,
        key: &TaskKey,
        info: &TaskInfo,
    ) -> io::Result<()> {
        let places = self.places(container_id, key, info);
        let volumes = places
            .iter()
            .filter(|place| place.is_in_project && matches!(place.what, What::Volume(_)));
        for volume in volumes {
            for dir in &volume.roots {
                let id = match projects.of(dir) {
                    Some(id) => id,
                    None if is_empty(dir) => projects.give(&[dir])?,
                    None => continue,
                };
                projects.bound(id, volume.limit)?;
            }
        }
        Ok(())
    }

    fn hold_group(&self, projects: &Projects, group: &GroupId) -> io::Result<()> {
        let dir = self.data_dir.group(group);
        let shared = group::shared(&dir);
        fs::create_dir_all(&shared)?;
        let id = match projects.of(&shared) {
            Some(id) => id,
            None if is_empty(&shared) => projects.give(&[&shared])?,
            None => return Ok(()),
        };
        projects.bound(id, group::limit(&dir))
    }
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

//! What the containers of a task group share, from its first member to its last.
//!
//! `containers/<container>/group` says which group a container is in, `groups/<group>/members/<container>` who is in it. A
//! member is written in this order and taken back in the other, so that whoever releases a container finds all of it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use proffer_agent_core::ContainerId;
use proffer_types::GroupId;
use tracing::warn;

use crate::data_dir::{DataDir, remove};
use crate::disk::Disk;

#[derive(Debug)]
pub(super) struct Groups {
    data_dir: Arc<DataDir>,
    disk: Disk,
    /// Held while members come and go, so that no group ends under one that joins.
    changing: Mutex<()>,
}

impl Groups {
    pub(super) fn new(data_dir: Arc<DataDir>, disk: Disk) -> Self {
        Self {
            data_dir,
            disk,
            changing: Mutex::default(),
        }
    }

    /// Makes a container a member, and the group, where it is the first.
    pub(super) fn join(&self, container_id: ContainerId, group: &GroupId) -> Result<(), String> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let members = self.members(group);
        let written = self
            .data_dir
            .make_container(container_id)
            .and_then(|_| fs::write(self.membership(container_id), group.as_str()))
            .and_then(|()| fs::create_dir_all(&members))
            .and_then(|()| fs::write(members.join(container_id.to_string()), ""));
        written.map_err(|error| format!("cannot join the group `{group}`: {error}"))
    }

    /// Takes a container out of its group, if it is in one, and ends a group that is empty.
    pub(super) fn leave(&self, container_id: ContainerId) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = self.group_of(container_id) {
            self.leave_group(container_id, &group);
        }
    }

    fn leave_group(&self, container_id: ContainerId, group: &GroupId) {
        let member = self.members(group).join(container_id.to_string());
        if let Err(error) = remove(&member) {
            warn!(path = %member.display(), %error, "cannot leave a group; the next start tries again");
        }
        self.end_if_empty(group);
    }

    /// Removes members that have no container any more, and groups without members.
    pub(super) fn recover(&self) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names(&self.data_dir.groups()) {
            let Ok(group) = GroupId::new(&name) else { continue };
            let members = self.members(&group);
            for member in names(&members) {
                if !self.data_dir.containers().join(&member).exists() {
                    // Tried again at the next start.
                    let _ = fs::remove_file(members.join(member));
                }
            }
            self.end_if_empty(&group);
        }
    }

    fn end_if_empty(&self, group: &GroupId) {
        let dir = self.data_dir.group(group);
        if !names(&self.members(group)).is_empty() {
            return;
        }
        super::network::unbind(&dir);
        self.disk.unbind_group(group);
        if let Err(error) = remove(&dir) {
            warn!(path = %dir.display(), %error, "cannot remove a group's files; the next start tries again");
        }
    }

    fn members(&self, group: &GroupId) -> std::path::PathBuf {
        self.data_dir.group(group).join("members")
    }

    fn membership(&self, container_id: ContainerId) -> std::path::PathBuf {
        self.data_dir.container(container_id).join("group")
    }

    /// The group a container is in. Where its own file does not say, the group's do.
    fn group_of(&self, container_id: ContainerId) -> Option<GroupId> {
        let path = self.membership(container_id);
        let group = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => Err(error.to_string()),
            Ok(name) => GroupId::new(name).map_err(|error| error.to_string()),
        };
        let has = |group: &GroupId| self.members(group).join(container_id.to_string()).exists();
        match group {
            Ok(group) if has(&group) => return Some(group),
            Ok(_) => warn!(path = %path.display(), "a container's file names a group that it is not in"),
            Err(error) => warn!(path = %path.display(), error, "cannot read a container's group"),
        }
        let groups = names(&self.data_dir.groups());
        groups
            .into_iter()
            .filter_map(|name| GroupId::new(name).ok())
            .find(has)
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

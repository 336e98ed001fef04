//! The directories of persistent volumes: made before a volume is reported, removed after it is destroyed.
//!
//! A volume's directory is what its tasks see; nobody but root gets to it by the agent's own path. Its size is
//! held while a task uses it.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use proffer_types::{Kind, Resources};
use tracing::{info, warn};

use crate::data_dir::DataDir;

/// A task may give up being root, and still has to get in.
const VOLUME_MODE: u32 = 0o755;

/// Where a volume is below the directory of all; none for what is no volume. Ids are plain names; a role without its
/// slashes is one too, and not longer than the kernel takes.
pub(crate) fn name(kind: &Kind) -> Option<String> {
    let (role, volume) = (kind.role()?, kind.volume.as_ref()?);
    Some(format!("{}/{}", role.as_str().replace('/', " "), volume.id))
}

/// The directory of a volume; none for what is no volume.
pub(crate) fn path(data_dir: &DataDir, kind: &Kind) -> Option<PathBuf> {
    name(kind).map(|name| data_dir.volumes().join(name))
}

fn names(resources: &Resources) -> BTreeSet<String> {
    let volumes = resources.volumes();
    volumes.filter_map(|(kind, ..)| name(kind)).collect()
}

/// What sets two records of the agent's resources apart.
#[derive(Debug)]
pub(crate) struct Change {
    created: BTreeSet<String>,
    pub(crate) destroyed: BTreeSet<String>,
}

impl Change {
    pub(crate) fn of(before: &Resources, after: &Resources) -> Self {
        let (before, after) = (names(before), names(after));
        Self {
            created: after.difference(&before).cloned().collect(),
            destroyed: before.difference(&after).cloned().collect(),
        }
    }

    /// Makes the directories of volumes that are new. One that is lost is not made again: it would look like an
    /// empty volume.
    pub(crate) fn make(&self, data_dir: &DataDir) -> io::Result<()> {
        for name in &self.created {
            let path = data_dir.volumes().join(name);
            fs::create_dir_all(&path)?;
            fs::set_permissions(path, Permissions::from_mode(VOLUME_MODE))?;
        }
        Ok(())
    }

    /// Puts the directories of destroyed volumes aside: what comes next under the same id must be empty at once, and
    /// removing takes as long as there are files.
    pub(crate) fn put_aside(&self, data_dir: &DataDir) {
        for name in &self.destroyed {
            let path = data_dir.volumes().join(name);
            info!(path = %path.display(), "removing a destroyed volume");
            put_aside(&path, &data_dir.removed_volumes());
        }
    }
}

/// Moves a directory into another under a name that is free there.
fn put_aside(path: &Path, to: &Path) {
    let free = (0_u64..)
        .map(|n| to.join(n.to_string()))
        .find(|path| !path.exists());
    let Some(aside) = free else { return };
    if let Err(error) = fs::rename(path, aside) {
        warn!(path = %path.display(), %error, "cannot put a volume's directory aside");
    }
    if let Some(role) = path.parent() {
        // Fails while other volumes are left in it, as it should.
        let _ = fs::remove_dir(role);
    }
}

/// Removes what was put aside after its end; each directory is shown first.
pub(crate) fn remove(data_dir: &DataDir, going: impl Fn(&Path)) {
    for path in entries(&data_dir.removed_volumes()) {
        going(&path);
        // Another removal may be under way.
        if let Err(error) = fs::remove_dir_all(&path)
            && path.exists()
        {
            warn!(path = %path.display(), %error, "cannot remove a volume's files; the next start tries again");
        }
    }
}

/// Finishes what the end of an agent cut short: destroyed volumes go, and so do directories made for nothing. What is
/// no volume and not empty may be worth something to somebody, but must not be found in a new volume.
pub(crate) fn sweep(data_dir: &DataDir, known: &Resources, destroyed: &[String]) {
    let (root, known) = (data_dir.volumes(), names(known));
    let known: BTreeSet<PathBuf> = known.into_iter().map(|name| root.join(name)).collect();
    let destroyed: BTreeSet<PathBuf> = destroyed.iter().map(|name| root.join(name)).collect();
    let roles = entries(&root);
    let found = roles.iter().flat_map(|role| entries(role));
    for path in found.filter(|path| !known.contains(path)) {
        if destroyed.contains(&path) {
            put_aside(&path, &data_dir.removed_volumes());
        } else if fs::remove_dir(&path).is_err() {
            warn!(path = %path.display(), "moving what is no volume to volumes/unknown");
            put_aside(&path, &data_dir.unknown_volumes());
        }
    }
    for lost in known.iter().filter(|path| !path.is_dir()) {
        warn!(path = %lost.display(), "the directory of a volume is lost; tasks that use it will fail");
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(data_dir: &DataDir, before: &Resources, after: &Resources) {
        let change = Change::of(before, after);
        change.make(data_dir).unwrap();
        change.put_aside(data_dir);
    }

    #[test]
    fn a_destroyed_volume_leaves_nothing_to_one_of_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let volume: Resources = "disk(+eng/prod)[v:/data]:1GiB".parse().unwrap();
        let nothing = Resources::new();
        let path = dir.path().join("volumes/roles/eng prod/v");

        change(&data_dir, &nothing, &volume);
        fs::write(path.join("file"), "old").unwrap();
        change(&data_dir, &volume, &nothing);
        assert!(!path.exists());
        change(&data_dir, &nothing, &volume);
        assert_eq!(entries(&path), Vec::<PathBuf>::new());
        remove(&data_dir, |_| ());
        assert_eq!(entries(&data_dir.removed_volumes()), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_lost_volume_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let both: Resources = "disk(+prod)[v:/v]:1GiB;disk(+prod)[w:/w]:1GiB".parse().unwrap();
        let one: Resources = "disk(+prod)[w:/w]:1GiB".parse().unwrap();
        change(&data_dir, &one, &both);
        let role = dir.path().join("volumes/roles/prod");
        assert_eq!(entries(&role), [role.join("v")]);
    }

    #[test]
    fn only_what_was_destroyed_is_removed_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let role = dir.path().join("volumes/roles/prod");
        for name in ["known", "destroyed", "foreign", "empty"] {
            fs::create_dir_all(role.join(name)).unwrap();
        }
        for name in ["known", "destroyed", "foreign"] {
            fs::write(role.join(name).join(name), "").unwrap();
        }
        let known: Resources = "disk(+prod)[known:/v]:1GiB".parse().unwrap();
        sweep(&data_dir, &known, &["prod/destroyed".to_owned()]);
        remove(&data_dir, |_| ());
        assert_eq!(entries(&role), [role.join("known")]);
        assert!(dir.path().join("volumes/unknown/0/foreign").exists());
        assert_eq!(entries(&data_dir.removed_volumes()), Vec::<PathBuf>::new());
    }
}

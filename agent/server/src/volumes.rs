//! The directories of persistent volumes: made before a volume is reported, removed after it is destroyed.
//!
//! A volume's directory is what its tasks see; nobody but root gets to it by the agent's own path. Disk is counted,
//! not enforced.

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

/// Where a volume is; none for what is no volume.
pub(crate) fn path(data_dir: &DataDir, kind: &Kind) -> Option<PathBuf> {
    let (role, volume) = (kind.role()?, kind.volume.as_ref()?);
    Some(data_dir.volume(role, &volume.id))
}

fn paths(data_dir: &DataDir, resources: &Resources) -> BTreeSet<PathBuf> {
    let volumes = resources.volumes();
    volumes.filter_map(|(kind, ..)| path(data_dir, kind)).collect()
}

/// Makes the directories of volumes that are new. One that is lost is not made again: it would look like an
/// empty volume.
pub(crate) fn make(data_dir: &DataDir, before: &Resources, after: &Resources) -> io::Result<()> {
    let before = paths(data_dir, before);
    for path in paths(data_dir, after).difference(&before) {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, Permissions::from_mode(VOLUME_MODE))?;
    }
    Ok(())
}

/// Puts the directories of destroyed volumes aside: what comes next under the same id must be empty at once, and
/// removing takes as long as there are files.
pub(crate) fn put_aside(data_dir: &DataDir, before: &Resources, after: &Resources) {
    let after = paths(data_dir, after);
    for path in paths(data_dir, before).difference(&after) {
        put_one_aside(data_dir, path);
    }
}

fn put_one_aside(data_dir: &DataDir, path: &Path) {
    let removed = data_dir.removed_volumes();
    let free = (0_u64..)
        .map(|n| removed.join(n.to_string()))
        .find(|path| !path.exists());
    let Some(aside) = free else { return };
    match fs::rename(path, aside) {
        Ok(()) => info!(path = %path.display(), "volume removed"),
        Err(error) => {
            warn!(path = %path.display(), %error, "cannot remove a volume; the next start tries again")
        }
    }
    if let Some(role) = path.parent() {
        // Fails while other volumes are left in it, as it should.
        let _ = fs::remove_dir(role);
    }
}

/// Removes what was put aside.
pub(crate) fn remove(data_dir: &DataDir) {
    for path in entries(&data_dir.removed_volumes()) {
        if let Err(error) = fs::remove_dir_all(&path) {
            warn!(path = %path.display(), %error, "cannot remove a volume's files; the next start tries again");
        }
    }
}

/// Puts aside what no checkpoint knows: the end of an agent cut its removal or its making short.
pub(crate) fn sweep(data_dir: &DataDir, known: &Resources) {
    let known = paths(data_dir, known);
    let roles = entries(&data_dir.volumes());
    for path in roles.iter().flat_map(|role| entries(role)) {
        if !known.contains(&path) {
            put_one_aside(data_dir, &path);
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

    #[test]
    fn a_destroyed_volume_leaves_nothing_to_one_of_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let volume: Resources = "disk(+eng/prod)[v:/data]:1GiB".parse().unwrap();
        let nothing = Resources::new();
        let path = dir.path().join("volumes/roles/eng prod/v");

        make(&data_dir, &nothing, &volume).unwrap();
        fs::write(path.join("file"), "old").unwrap();
        put_aside(&data_dir, &volume, &nothing);
        assert!(!path.exists());
        make(&data_dir, &nothing, &volume).unwrap();
        assert_eq!(entries(&path), Vec::<PathBuf>::new());
        remove(&data_dir);
        assert_eq!(entries(&data_dir.removed_volumes()), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_no_checkpoint_knows_is_swept_and_a_lost_volume_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let both: Resources = "disk(+prod)[v:/v]:1GiB;disk(+prod)[w:/w]:1GiB".parse().unwrap();
        let one: Resources = "disk(+prod)[w:/w]:1GiB".parse().unwrap();
        make(&data_dir, &Resources::new(), &both).unwrap();
        sweep(&data_dir, &one);
        let role = dir.path().join("volumes/roles/prod");
        assert_eq!(entries(&role), [role.join("w")]);
        fs::remove_dir(role.join("w")).unwrap();
        make(&data_dir, &one, &both).unwrap();
        assert_eq!(entries(&role), [role.join("v")]);
    }
}

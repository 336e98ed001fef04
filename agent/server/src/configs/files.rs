//! Files of configs in memory: one directory a container, in it one a volume, and a record of what they are.
//!
//! ```text
//! <container>/record
//! <container>/<volume>/..r7/nginx.conf       what revision 7 has
//! <container>/<volume>/..data -> ..r7        is replaced in one step, so that nobody sees parts of two revisions
//! <container>/<volume>/nginx.conf -> ..data/nginx.conf
//! ```
//!
//! That is how Kubernetes lays them out, so what watches its files there does so here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use proffer_agent_core::ContainerId;
use proffer_fetch::Owner;
use proffer_types::container::{ConfigFiles, ConfigUse, OnChange};
use proffer_wire::v1;
use prost::Message;
use rustix::fs::{FsWord, statfs};
use tracing::{info, warn};

use super::{Content, Contents, file_of};

/// statfs(2).
const TMPFS_MAGIC: FsWord = 0x0102_1994;
const RAMFS_MAGIC: FsWord = 0x8584_58f6;

/// Whatever is in there may be secret.
const PRIVATE_MODE: u32 = 0o700;

const DATA: &str = "..data";
const NEXT_DATA: &str = "..data.next";
const RECORD: &str = "record";

/// What is known of a container that has files of configs.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Record {
    #[prost(string, tag = "1")]
    pub(super) task_id: String,
    #[prost(string, tag = "2")]
    pub(super) token: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) uses: Vec<v1::ConfigUse>,
    /// In the order of their directories.
    #[prost(message, repeated, tag = "4")]
    pub(super) volumes: Vec<v1::volume_spec::ConfigFiles>,
    #[prost(message, optional, tag = "5")]
    pub(super) owner: Option<OwnerRecord>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct OwnerRecord {
    #[prost(uint32, tag = "1")]
    uid: u32,
    #[prost(uint32, tag = "2")]
    gid: u32,
}

impl From<Owner> for OwnerRecord {
    fn from(Owner { uid, gid }: Owner) -> Self {
        Self { uid, gid }
    }
}

/// The same, as it is worked with.
#[derive(Debug)]
struct Entry {
    task_id: String,
    token: String,
    on_change: BTreeMap<String, OnChange>,
    volumes: Vec<ConfigFiles>,
    owner: Option<Owner>,
    /// The revision that the volumes of a config have.
    known: BTreeMap<String, u64>,
}

/// The files of all containers.
#[derive(Debug)]
pub(super) struct Memory {
    dir: PathBuf,
    entries: BTreeMap<ContainerId, Entry>,
}

impl Memory {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            entries: BTreeMap::new(),
        }
    }

    /// Writes the files of a container that is to be, and gives back the directories of its volumes.
    pub(super) fn enter(
        &mut self,
        container_id: ContainerId,
        record: Record,
        contents: &Contents,
    ) -> Result<Vec<PathBuf>, String> {
        let bytes = record.encode_to_vec();
        let mut entry = Entry::new(record)?;
        let dir = self.container(container_id);
        let fail = |error: io::Error| format!("cannot write configs to `{}`: {error}", dir.display());
        self.make_root()?;
        remove(&dir).map_err(fail)?;
        make_private(&dir).map_err(fail)?;
        fs::write(dir.join(RECORD), bytes).map_err(fail)?;
        for (nth, files) in entry.volumes.iter().enumerate() {
            let content = contents.get(&files.config).ok_or_else(|| {
                format!(
                    "the framework does not say what the config `{}` has",
                    files.config
                )
            })?;
            let dir = volume(&dir, nth);
            fs::create_dir(&dir).map_err(fail)?;
            write(&dir, files, content, entry.owner).map_err(fail)?;
            entry.known.insert(files.config.clone(), content.revision);
        }
        let paths = (0..entry.volumes.len()).map(|nth| volume(&dir, nth)).collect();
        self.entries.insert(container_id, entry);
        Ok(paths)
    }

    /// Replaces files of configs that changed; those of which the task is to see it are given back.
    pub(super) fn replace(
        &mut self,
        container_id: ContainerId,
        contents: &Contents,
    ) -> Result<Vec<(String, OnChange)>, String> {
        let dir = self.container(container_id);
        let Some(entry) = self.entries.get_mut(&container_id) else {
            return Ok(Vec::new());
        };
        let mut changed = Vec::new();
        for (name, content) in contents {
            let on_change = entry.on_change.get(name).copied().unwrap_or_default();
            let is_known = entry.known.get(name) == Some(&content.revision);
            if !on_change.is_followed() || is_known || !entry.known.contains_key(name) {
                continue;
            }
            for (nth, files) in entry.volumes.iter().enumerate() {
                if files.config == *name {
                    let written = write(&volume(&dir, nth), files, content, entry.owner);
                    written.map_err(|error| format!("the config `{name}` cannot be replaced: {error}"))?;
                }
            }
            entry.known.insert(name.clone(), content.revision);
            changed.push((name.clone(), on_change));
        }
        Ok(changed)
    }

    /// What is to be asked for, for each container that follows a config. What it does not follow counts as known.
    pub(super) fn followed(&self) -> Vec<(ContainerId, v1::TaskConfigs)> {
        let entries = self.entries.iter().filter(|(_, entry)| entry.follows());
        let asked = entries.map(|(container_id, entry)| {
            let asked = v1::TaskConfigs {
                task_id: entry.task_id.clone(),
                token: entry.token.clone(),
                known: entry.known.clone(),
            };
            (*container_id, asked)
        });
        asked.collect()
    }

    pub(super) fn release(&mut self, container_id: ContainerId) {
        if self.entries.remove(&container_id).is_none() && !self.container(container_id).exists() {
            return;
        }
        let dir = self.container(container_id);
        if let Err(error) = remove(&dir) {
            warn!(path = %dir.display(), %error, "cannot remove configs of a task; the next start tries again");
        }
        if self.entries.is_empty() {
            // Unless something else is in there.
            let _ = fs::remove_dir(&self.dir);
        }
    }

    pub(super) fn recover(&mut self, known: &[ContainerId]) {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let found = entries.filter_map(|entry| {
            let id = u64::from_str_radix(entry.file_name().to_str()?, 16).ok()?;
            Some(ContainerId(id))
        });
        for container_id in found.collect::<Vec<_>>() {
            if !known.contains(&container_id) {
                info!(%container_id, "removing configs that an earlier agent wrote");
                self.release(container_id);
                continue;
            }
            match self.found(container_id) {
                Ok(entry) => drop(self.entries.insert(container_id, entry)),
                Err(error) => warn!(%container_id, error, "the configs of a task are not followed any more"),
            }
        }
    }

    fn found(&self, container_id: ContainerId) -> Result<Entry, String> {
        let dir = self.container(container_id);
        let bytes = fs::read(dir.join(RECORD)).map_err(|error| error.to_string())?;
        let record = Record::decode(&*bytes).map_err(|error| error.to_string())?;
        let mut entry = Entry::new(record)?;
        for (nth, files) in entry.volumes.iter().enumerate() {
            let data = fs::read_link(volume(&dir, nth).join(DATA)).map_err(|error| error.to_string())?;
            let revision = data
                .to_str()
                .and_then(|name| name.strip_prefix("..r")?.parse().ok());
            let revision: u64 = revision.ok_or("a link leads to no revision")?;
            // An agent that was killed may have replaced one of several: they are replaced anew.
            let known = entry.known.entry(files.config.clone()).or_insert(revision);
            *known = revision.min(*known);
        }
        Ok(entry)
    }

    fn container(&self, container_id: ContainerId) -> PathBuf {
        self.dir.join(container_id.to_string())
    }

    /// Makes the directory of all containers, and refuses one that is another's or not in memory.
    fn make_root(&self) -> Result<(), String> {
        let dir = self.dir.display();
        let made = match make_private(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        };
        made.map_err(|error| format!("cannot make `{dir}` for configs: {error}"))?;
        let found = fs::symlink_metadata(&self.dir).map_err(|error| format!("`{dir}`: {error}"))?;
        let own = rustix::process::geteuid().as_raw();
        if !found.is_dir() || found.uid() != own || found.mode() & 0o077 != 0 {
            return Err(format!(
                "`{dir}` is not the agent's own directory: configs are not written there"
            ));
        }
        let found = statfs(&self.dir).map_err(|error| format!("`{dir}`: {error}"))?;
        match found.f_type {
            TMPFS_MAGIC | RAMFS_MAGIC => Ok(()),
            _ => Err(format!(
                "`{dir}` is not in memory (tmpfs): configs are not written there"
            )),
        }
    }
}

impl Entry {
    fn new(record: Record) -> Result<Self, String> {
        let uses = record.uses.iter().map(|used| {
            let ConfigUse { name, on_change } = used.clone().try_into()?;
            Ok((name, on_change))
        });
        let uses: Result<_, proffer_wire::ConvertError> = uses.collect();
        let volumes = record.volumes.into_iter().map(TryInto::try_into);
        let volumes: Result<_, proffer_wire::ConvertError> = volumes.collect();
        Ok(Self {
            task_id: record.task_id,
            token: record.token,
            on_change: uses.map_err(|error| error.to_string())?,
            volumes: volumes.map_err(|error| error.to_string())?,
            owner: record.owner.map(|OwnerRecord { uid, gid }| Owner { uid, gid }),
            known: BTreeMap::new(),
        })
    }

    fn follows(&self) -> bool {
        let mut known = self.known.keys();
        known.any(|name| {
            self.on_change
                .get(name)
                .is_some_and(|on_change| on_change.is_followed())
        })
    }
}

fn volume(container: &Path, nth: usize) -> PathBuf {
    container.join(nth.to_string())
}

fn make_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().mode(PRIVATE_MODE).create(dir)
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a revision beside what there is, turns to it, and removes what there was.
fn write(dir: &Path, files: &ConfigFiles, content: &Content, owner: Option<Owner>) -> io::Result<()> {
    let revision = format!("..r{}", content.revision);
    let new = dir.join(&revision);
    remove(&new)?;
    fs::create_dir(&new)?;
    let mut names = BTreeSet::new();
    for (key, value) in &content.entries {
        let Some(name) = file_of(files, key) else {
            continue;
        };
        let mut file = File::create_new(new.join(name))?;
        file.write_all(value)?;
        file.set_permissions(fs::Permissions::from_mode(files.mode))?;
        if let Some(Owner { uid, gid }) = owner {
            chown(new.join(name), Some(uid), Some(gid))?;
        }
        names.insert(name);
    }
    let next = dir.join(NEXT_DATA);
    let _none_is_fine = fs::remove_file(&next);
    symlink(&revision, &next)?;
    fs::rename(&next, dir.join(DATA))?;
    for name in &names {
        match symlink(Path::new(DATA).join(name), dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    for found in fs::read_dir(dir)? {
        let found = found?.file_name();
        let is_kept = found.to_str().is_some_and(|name| names.contains(name));
        if is_kept || found == DATA || *found == *revision {
            continue;
        }
        match found.to_str().is_some_and(|name| name.starts_with("..r")) {
            true => remove(&dir.join(found))?,
            false => fs::remove_file(dir.join(found))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proffer_types::container::{DEFAULT_CONFIG_MODE, ReloadSignal};

    use super::*;

    fn content(revision: u64, entries: &[(&str, &str)]) -> Contents {
        let entries = entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
        let entries = entries.collect();
        BTreeMap::from([("app".to_owned(), Content { revision, entries })])
    }

    fn record(on_change: OnChange, items: &[(&str, &str)]) -> Record {
        let used = ConfigUse {
            name: "app".to_owned(),
            on_change,
        };
        let items = items
            .iter()
            .map(|(key, file)| ((*key).to_owned(), (*file).to_owned()));
        let files = ConfigFiles {
            config: "app".to_owned(),
            items: items.collect(),
            mode: DEFAULT_CONFIG_MODE,
        };
        Record {
            task_id: "web.0.1".to_owned(),
            token: "t".to_owned(),
            uses: vec![(&used).into()],
            volumes: vec![(&files).into()],
            owner: None,
        }
    }

    /// File to content, as a task sees them.
    fn seen(dir: &Path) -> BTreeMap<String, String> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        let names = entries.map(|name| name.into_string().unwrap());
        let files = names.filter(|name| !name.starts_with(".."));
        files
            .map(|name| (name.clone(), fs::read_to_string(dir.join(name)).unwrap()))
            .collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn files_are_replaced_at_once_and_over_a_restart() {
        let shm = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut memory = Memory::new(shm.path().join("configs"));
        let id = ContainerId(7);
        let record = record(OnChange::Signal(ReloadSignal::Hup), &[]);
        let paths = memory
            .enter(id, record, &content(1, &[("a", "1"), ("b", "2")]))
            .unwrap();
        let dir = &paths[0];
        assert_eq!(seen(dir), pairs(&[("a", "1"), ("b", "2")]));
        let opened = File::open(dir.join("..data")).unwrap();

        let mut memory = Memory::new(shm.path().join("configs"));
        memory.recover(&[id]);
        assert_eq!(memory.followed()[0].1.known["app"], 1);
        let changed = memory
            .replace(id, &content(2, &[("a", "3"), ("c", "4")]))
            .unwrap();
        assert_eq!(changed, [("app".to_owned(), OnChange::Signal(ReloadSignal::Hup))]);
        assert_eq!(seen(dir), pairs(&[("a", "3"), ("c", "4")]));
        assert!(
            opened.metadata().unwrap().nlink() == 0,
            "the old revision is removed"
        );
        assert!(memory.replace(id, &content(2, &[("a", "5")])).unwrap().is_empty());
        assert_eq!(seen(dir), pairs(&[("a", "3"), ("c", "4")]));

        memory.release(id);
        assert!(!shm.path().join("configs").exists());
    }

    #[test]
    fn what_is_not_followed_stays_and_only_what_is_named_is_seen() {
        let shm = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut memory = Memory::new(shm.path().join("configs"));
        let id = ContainerId(7);
        let record = record(OnChange::Keep, &[("a", "A.conf")]);
        let paths = memory
            .enter(id, record, &content(1, &[("a", "1"), ("b", "2")]))
            .unwrap();
        assert_eq!(seen(&paths[0]), pairs(&[("A.conf", "1")]));
        assert!(memory.followed().is_empty());
        assert!(memory.replace(id, &content(2, &[("a", "3")])).unwrap().is_empty());
        assert_eq!(seen(&paths[0]), pairs(&[("A.conf", "1")]));

        let mut memory = Memory::new(shm.path().join("configs"));
        memory.recover(&[]);
        assert!(!shm.path().join("configs").exists());
    }

    #[test]
    fn what_is_not_in_memory_or_somebody_elses_is_not_written_to() {
        let disk = tempfile::tempdir().unwrap();
        let is_memory = statfs(disk.path()).unwrap().f_type == TMPFS_MAGIC;
        let shm = tempfile::tempdir_in("/dev/shm").unwrap();
        let shared = shm.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
        let linked = shm.path().join("linked");
        symlink(disk.path(), &linked).unwrap();
        for (dir, why) in [
            (disk.path().join("d"), "in memory"),
            (shared, "own"),
            (linked, "own"),
        ] {
            if is_memory && why == "in memory" {
                continue;
            }
            let refused =
                Memory::new(dir).enter(ContainerId(7), record(OnChange::Keep, &[]), &content(1, &[]));
            assert!(refused.unwrap_err().contains(why));
        }
    }
}

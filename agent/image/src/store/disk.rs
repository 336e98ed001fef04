//! The store's directory.
//!
//! ```text
//! layers/<n>/fs/          one unpacked layer; short paths, because mount options are bounded by a page
//! layers/<n>/layer.json   what it is; there before the directory has this name
//! layers/<n>/synced       it is on the disk for good
//! images/<digest>.json    an image: its layers and configuration; its time is when it was used last
//! names/<digest>.json     what a reference means; named by the reference's own digest
//! pins/<holder>           images a container uses, one a line
//! blobs/<digest>          downloads
//! tmp/                    what is being made or removed; emptied at start
//! ```
//!
//! Invariant: everything appears and goes by one rename, so that a crash leaves only files in `tmp` and `blobs`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::ImageConfig;
use crate::unpack::LayerForm;

/// Of every file here; others are not read.
pub(crate) const FORMAT: u32 = 1;
/// The largest file of ours that is read, in bytes: a layer with long paths that it does not list.
const MAX_FILE_BYTES: u64 = 128 << 20;

/// `layer.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerFile {
    pub(crate) format: u32,
    pub(crate) diff_id: Digest,
    /// The chain whose lower layers its unlisted directories were made to look like.
    pub(crate) chain: Option<Digest>,
    pub(crate) implicit: Vec<Vec<u8>>,
    pub(crate) hides_below: bool,
    pub(crate) bytes: u64,
    /// When it was written; of another boot it is only taken when it was synced.
    pub(crate) boot_id: String,
    /// Whose files its are.
    #[serde(default)]
    pub(crate) form: LayerForm,
}

/// `images/*.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageFile {
    pub(crate) format: u32,
    pub(crate) id: Digest,
    /// Number and diff id of each layer, the lowest first.
    pub(crate) layers: Vec<(u64, Digest)>,
    pub(crate) config: ImageConfig,
}

/// `names/*.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NameFile {
    pub(crate) format: u32,
    pub(crate) name: String,
    pub(crate) id: Digest,
}

/// The store's directory.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    temporary: AtomicU64,
}

impl Disk {
    /// Makes what is missing, and empties `tmp`.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        // Nobody but the agent has to come through here: tasks see layers through mounts.
        builder.recursive(true).mode(0o700);
        for name in ["layers", "images", "names", "pins", "blobs", "tmp"] {
            builder.create(root.join(name))?;
        }
        let disk = Self {
            root: root.to_owned(),
            temporary: AtomicU64::new(0),
        };
        for left in disk.list("tmp")? {
            remove_tree(&disk.path("tmp", &left))?;
        }
        Ok(disk)
    }

    pub(crate) fn path(&self, kind: &str, name: &str) -> PathBuf {
        self.root.join(kind).join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn layer(&self, number: u64) -> PathBuf {
        self.path("layers", &number.to_string())
    }

    /// The files of a layer.
    pub(crate) fn files(&self, number: u64) -> PathBuf {
        self.layer(number).join("fs")
    }

    /// A new name in `tmp`.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.path("tmp", &self.temporary.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Names in one of the directories, sorted. What is no text is nothing of ours.
    pub(crate) fn list(&self, kind: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(kind))? {
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }

    /// Replaces a file as a whole.
    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let temporary = self.temporary();
        File::create(&temporary)?.write_all(content)?;
        fs::rename(&temporary, path)
    }

    pub(crate) fn write_json(&self, path: &Path, content: &impl Serialize) -> io::Result<()> {
        self.write(path, &serde_json::to_vec(content)?)
    }

    /// Takes a directory out of sight at once; the caller removes what is returned.
    pub(crate) fn take(&self, path: &Path) -> io::Result<PathBuf> {
        let gone = self.temporary();
        fs::rename(path, &gone)?;
        Ok(gone)
    }
}

/// Reads one of our files; `None` when it is not there, or not as it should be.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Option<(T, SystemTime)> {
    let file = File::open(path).ok()?;
    let time = file.metadata().ok()?.modified().ok()?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
    Some((serde_json::from_slice(&bytes).ok()?, time))
}

/// Which boot of the kernel this is.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Removes a tree, also where an agent without privileges made directories it may not write to. What is gone already is
/// no error.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let remove = || match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    let removed = match remove() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            remove()
        }
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn open_up(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // Not through links: the type is the entry's own.
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// A directory that is removed unless it becomes something.
#[derive(Debug)]
pub(crate) struct Staged(Option<PathBuf>);

impl Staged {
    /// Makes a directory in `tmp` with an empty `fs` in it.
    pub(crate) fn new(disk: &Disk) -> io::Result<Self> {
        let path = disk.temporary();
        let staged = Self(Some(path.clone()));
        fs::create_dir(&path)?;
        fs::create_dir(path.join("fs"))?;
        fs::set_permissions(path.join("fs"), fs::Permissions::from_mode(0o755))?;
        Ok(staged)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Gives it its final name.
    pub(crate) fn become_layer(mut self, path: &Path) -> io::Result<()> {
        fs::rename(self.path(), path)?;
        self.0 = None;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = remove_tree(path)
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove what is left of a layer");
        }
    }
}

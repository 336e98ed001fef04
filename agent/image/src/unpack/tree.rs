//! Writes one layer into an empty directory.
//!
//! Invariant: nothing is opened, made or changed outside that directory. Every directory is opened beneath it without
//! following any link (openat2(2)), and the last name is only ever handled by calls that follow none. Nothing that is
//! there is opened again for writing or replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, Uid,
    XattrFlags, chownat, fchmod, fchown, fsetxattr, futimens, linkat, mkdirat, mkfifoat, mknodat, openat,
    openat2, statat, symlinkat, utimensat,
};
use rustix::io::Errno;

use serde::{Deserialize, Serialize};

use super::headers::Entry;
use super::path::{join, split};
use crate::limits::MAX_REMEMBERED_BYTES;

/// For whom layers are written: whose their files are, and which extended attributes overlayfs reads; see "User xattr" in
/// the kernel's filesystems/overlayfs.rst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum LayerForm {
    /// For root: `trusted.overlay.*`, and files get the owners the image gives them.
    #[default]
    Root,
    /// For root of a user namespace: `user.overlay.*` (mount option `userxattr`), and the image's ids 0 to `count - 1` are
    /// those of the namespace from `first`.
    Shifted { first: u32, count: u32 },
    /// For a user with one id: `user.overlay.*`, and all files are its own.
    User,
}

impl LayerForm {
    /// The attribute that hides what is below a directory.
    pub(crate) fn opaque(self) -> &'static str {
        match self {
            Self::Root => "trusted.overlay.opaque",
            Self::Shifted { .. } | Self::User => "user.overlay.opaque",
        }
    }

    /// Whose file it is that the image gives to a user and group; `None` leaves it to whoever writes.
    fn owner(self, uid: u64, gid: u64) -> Result<Option<(u32, u32)>, WriteError> {
        // The largest number means "leave it" to chown(2).
        let narrow = |id: u64| {
            let id = u32::try_from(id).ok();
            id.filter(|id| *id != u32::MAX).ok_or(WriteError::Owner)
        };
        let (uid, gid) = (narrow(uid)?, narrow(gid)?);
        match self {
            Self::Root => Ok(Some((uid, gid))),
            Self::Shifted { first, count } => {
                let shift = |id: u32| match first.checked_add(id).filter(|_| id < count) {
                    Some(shifted) => Ok(shifted),
                    None => Err(WriteError::OwnerBeyond { id, count }),
                };
                Ok(Some((shift(uid)?, shift(gid)?)))
            }
            Self::User => Ok(None),
        }
    }

    /// Whose directory it is that no layer lists: root's of the image.
    pub(crate) fn root(self) -> Option<(u32, u32)> {
        self.owner(0, 0).unwrap_or(None)
    }
}

/// Why an entry cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("it is there already")]
    Duplicate,
    #[error("its path leads through something that is no directory")]
    NotADirectory,
    #[error("what it links to is not in this layer")]
    NoTarget,
    #[error("its owner or group is no number a user can have")]
    Owner,
    #[error("its owner or group {id} is none of the {count} that the agent has for tasks")]
    OwnerBeyond { id: u32, count: u32 },
    #[error("its extended attribute `{name}` cannot be set: {error}")]
    Xattr { name: String, error: io::Error },
    #[error("the layer has too many long names and attributes")]
    TooMuch,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for WriteError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::EXIST => Self::Duplicate,
            Errno::LOOP | Errno::NOTDIR | Errno::XDEV => Self::NotADirectory,
            other => Self::Io(other.into()),
        }
    }
}

/// Who and when, of anything that is written.
struct Metadata {
    owner: Option<(u32, u32)>,
    mode: u32,
    mtime: (i64, u32),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A layer that is being written.
pub(crate) struct Tree {
    root: OwnedFd,
    form: LayerForm,
    /// Directories the layer lists, whose metadata is set when nothing is written into them any more.
    listed: BTreeMap<Vec<u8>, Metadata>,
    /// Directories that it only goes through.
    implicit: BTreeSet<Vec<u8>>,
    whiteouts: BTreeSet<Vec<u8>>,
    opaque: BTreeSet<Vec<u8>>,
    /// Bytes held by the four above.
    remembered: u64,
    /// The directory used last: archives go through a tree in order.
    parent: Option<(Vec<u8>, OwnedFd)>,
}

impl Tree {
    /// Writes into an empty directory.
    pub(crate) fn new(root: &Path, form: LayerForm) -> Result<Self, WriteError> {
        let root = openat(
            CWD,
            root,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        Ok(Self {
            root,
            form,
            listed: BTreeMap::new(),
            implicit: BTreeSet::from([Vec::new()]),
            whiteouts: BTreeSet::new(),
            opaque: BTreeSet::new(),
            remembered: 0,
            parent: None,
        })
    }

    pub(crate) fn directory(&mut self, path: &[u8], entry: &Entry) -> Result<(), WriteError> {
        let metadata = self.metadata(entry)?;
        let attributes: usize = metadata
            .xattrs
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        self.remember(path.len() + attributes)?;
        if !path.is_empty() && !self.implicit.contains(path) {
            let (parent, name) = self.place(path)?;
            match mkdirat(parent, name, Mode::RWXU) {
                // Listing a directory twice is common; the later one counts.
                Err(Errno::EXIST) if self.listed.contains_key(path) => {}
                made => made?,
            }
        }
        self.implicit.remove(path);
        self.listed.insert(path.to_vec(), metadata);
        Ok(())
    }

    /// Makes a file, and lets `fill` write it.
    pub(crate) fn file<E: From<WriteError>>(
        &mut self,
        path: &[u8],
        entry: &Entry,
        fill: impl FnOnce(&File) -> Result<(), E>,
    ) -> Result<(), E> {
        let metadata = self.metadata(entry)?;
        let form = self.form;
        let (parent, name) = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            File::from(openat(parent, name, flags, Mode::RUSR | Mode::WUSR).map_err(WriteError::from)?);
        fill(&file)?;
        Ok(metadata.apply(file.as_fd(), form)?)
    }

    pub(crate) fn symlink(&mut self, path: &[u8], entry: &Entry) -> Result<(), WriteError> {
        let metadata = self.metadata(entry)?;
        let (parent, name) = self.place(path)?;
        symlinkat(entry.link.as_slice(), parent, name)?;
        metadata.apply_at(parent, name)
    }

    pub(crate) fn fifo(&mut self, path: &[u8], entry: &Entry) -> Result<(), WriteError> {
        let metadata = self.metadata(entry)?;
        let (parent, name) = self.place(path)?;
        // The umask of the agent would take bits away, so the mode is set by name: there is no link it could follow, for
        // the call before just made the fifo, and nobody else writes here.
        mkfifoat(parent, name, Mode::empty())?;
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(metadata.mode), AtFlags::empty())?;
        metadata.apply_at(parent, name)
    }

    /// `target` is a plain path of this layer.
    pub(crate) fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<(), WriteError> {
        let (above, target) = split(target);
        let from = match self.open_directory(above) {
            Err(Errno::NOENT) => return Err(WriteError::NoTarget),
            opened => opened?,
        };
        let (parent, name) = self.place(path)?;
        match linkat(from, target, parent, name, AtFlags::empty()) {
            Err(Errno::NOENT | Errno::PERM) => Err(WriteError::NoTarget),
            linked => Ok(linked?),
        }
    }

    pub(crate) fn whiteout(&mut self, path: Vec<u8>) -> Result<(), WriteError> {
        self.remember(path.len())?;
        self.whiteouts.insert(path);
        Ok(())
    }

    pub(crate) fn opaque(&mut self, path: Vec<u8>) -> Result<(), WriteError> {
        self.remember(path.len())?;
        self.opaque.insert(path);
        Ok(())
    }

    /// Writes what has to wait until all entries are there. Returns the directories that the layer did not list, and
    /// whether its root is opaque.
    pub(crate) fn finish(mut self) -> Result<(Vec<Vec<u8>>, bool), WriteError> {
        let hides_below = self.opaque.remove(b"".as_slice());
        for path in std::mem::take(&mut self.whiteouts) {
            self.write_whiteout(&path)?;
        }
        for path in std::mem::take(&mut self.opaque) {
            self.place(&join(&path, b"_"))?;
            self.set_opaque(&path)?;
        }
        // From the innermost outwards: writing into a directory changes its time, and may need its permission.
        for (path, metadata) in std::mem::take(&mut self.listed).iter().rev() {
            metadata.apply(self.readable(path)?.as_fd(), self.form)?;
        }
        Ok((
            std::mem::take(&mut self.implicit).into_iter().collect(),
            hides_below,
        ))
    }

    /// A whiteout is about the layers below: what this layer has at its path stays.
    fn write_whiteout(&mut self, path: &[u8]) -> Result<(), WriteError> {
        let (parent, name) = self.place(path)?;
        match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(mknodat(
                parent,
                name,
                FileType::CharacterDevice,
                Mode::empty(),
                0,
            )?),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => self.set_opaque(path),
            Ok(_) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }

    fn set_opaque(&self, path: &[u8]) -> Result<(), WriteError> {
        let name = self.form.opaque();
        fsetxattr(self.readable(path)?, name, b"y", XattrFlags::empty()).map_err(|errno| WriteError::Xattr {
            name: name.to_owned(),
            error: errno.into(),
        })
    }

    fn remember(&mut self, bytes: usize) -> Result<(), WriteError> {
        self.remembered += bytes as u64;
        if self.remembered > MAX_REMEMBERED_BYTES {
            Err(WriteError::TooMuch)
        } else {
            Ok(())
        }
    }

    fn metadata(&self, entry: &Entry) -> Result<Metadata, WriteError> {
        Ok(Metadata {
            owner: self.form.owner(entry.uid, entry.gid)?,
            mode: entry.mode,
            mtime: entry.mtime,
            xattrs: entry
                .xattrs
                .iter()
                .filter(|(name, _)| is_kept(name))
                .cloned()
                .collect(),
        })
    }

    /// Opens the directory a path is in, which is made when the layer did not list it. Returns the name in it.
    fn place<'a>(&mut self, path: &'a [u8]) -> Result<(BorrowedFd<'_>, &'a [u8]), WriteError> {
        let (above, name) = split(path);
        if name.is_empty() {
            return Err(WriteError::Duplicate);
        }
        if self.parent.as_ref().is_none_or(|(known, _)| known != above) {
            let opened = match self.open_directory(above) {
                Err(Errno::NOENT) => self.make_directories(above)?,
                opened => opened?,
            };
            self.parent = Some((above.to_vec(), opened));
        }
        let parent = self
            .parent
            .as_ref()
            .map_or(self.root.as_fd(), |(_, parent)| parent.as_fd());
        Ok((parent, name))
    }

    fn make_directories(&mut self, path: &[u8]) -> Result<OwnedFd, WriteError> {
        let mut parent = self.open_directory(b"")?;
        let mut so_far = Vec::new();
        for name in path.split(|byte| *byte == b'/') {
            so_far = join(&so_far, name);
            match mkdirat(&parent, name, Mode::RWXU) {
                Ok(()) => {
                    self.remember(so_far.len())?;
                    self.implicit.insert(so_far.clone());
                }
                Err(Errno::EXIST) => {}
                Err(other) => return Err(other.into()),
            }
            parent = self.open_directory(&so_far)?;
        }
        Ok(parent)
    }

    fn open_directory(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::PATH)
    }

    fn readable(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::RDONLY)
    }

    fn open(&self, path: &[u8], how: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        openat2(
            &self.root,
            path,
            how | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
    }
}

/// What a layer may say of a file beyond owner and mode. Attributes of overlayfs would let a layer reach into others, and
/// those of security modules belong to the host.
fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

impl Metadata {
    /// Order matters: changing the owner takes set-user-id bits and file capabilities away.
    fn apply(&self, file: BorrowedFd<'_>, form: LayerForm) -> Result<(), WriteError> {
        if let Some((uid, gid)) = self.owner {
            fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        fchmod(file, Mode::from_raw_mode(self.mode))?;
        for (name, value) in &self.xattrs {
            self.set(file, form, name, value)?;
        }
        Ok(futimens(file, &self.times())?)
    }

    fn set(
        &self,
        file: BorrowedFd<'_>,
        form: LayerForm,
        name: &[u8],
        value: &[u8],
    ) -> Result<(), WriteError> {
        match fsetxattr(file, name, value, XattrFlags::empty()) {
            // Capabilities of files mean nothing to tasks of a rootless agent, which may not set them either.
            Err(Errno::PERM) if form != LayerForm::Root && name == b"security.capability" => Ok(()),
            // File systems without user attributes lose what nothing depends on.
            Err(Errno::OPNOTSUPP) if name.starts_with(b"user.") => Ok(()),
            set => set.map_err(|errno| WriteError::Xattr {
                name: String::from_utf8_lossy(name).escape_debug().to_string(),
                error: errno.into(),
            }),
        }
    }

    /// Of what cannot be opened.
    fn apply_at(&self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), WriteError> {
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(utimensat(parent, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn times(&self) -> Timestamps {
        let (seconds, nanos) = self.mtime;
        Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: seconds,
                tv_nsec: nanos.into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_the_images_or_one_of_the_ids_that_there_are() {
        let ids = LayerForm::Shifted { first: 7, count: 10 };
        assert!(matches!(ids.owner(0, 9), Ok(Some((7, 16)))));
        assert!(matches!(
            ids.owner(0, 10),
            Err(WriteError::OwnerBeyond { id: 10, count: 10 })
        ));
        let all = LayerForm::Shifted {
            first: u32::MAX - 1,
            count: 10,
        };
        assert!(matches!(all.owner(2, 0), Err(WriteError::OwnerBeyond { .. })));
        assert!(matches!(LayerForm::Root.owner(3, 4), Ok(Some((3, 4)))));
        assert!(matches!(LayerForm::User.owner(3, 4), Ok(None)));
        for form in [ids, LayerForm::Root, LayerForm::User] {
            assert!(
                matches!(form.owner(u32::MAX.into(), 0), Err(WriteError::Owner)),
                "{form:?}"
            );
        }
    }
}

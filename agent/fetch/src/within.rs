//! Files below a directory that somebody else writes to: no link is ever followed there, and nothing above is reached.
//!
//! A name is opened component by component, each relative to the directory before it, so that whoever exchanges one of
//! them meanwhile changes what is found but never where it is looked for. See openat2(2).

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Uid};

/// A directory and what is below it.
#[derive(Debug)]
pub struct Within {
    root: OwnedFd,
}

/// Whom new files are given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// What may be opened without a fear of what it is: neither links nor, when they are only opened to be looked at,
/// pipes that wait for the other end.
const HARMLESS: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

impl From<OwnedFd> for Within {
    /// Takes a directory that is open.
    fn from(root: OwnedFd) -> Self {
        Self { root }
    }
}

impl Within {
    /// Opens a directory by a path that is trusted itself.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { root })
    }

    /// Opens what is there for reading. `ELOOP` for a link on the way or at the end.
    pub fn read(&self, path: &Path) -> io::Result<File> {
        self.open_at(path, OFlags::RDONLY | HARMLESS).map(File::from)
    }

    /// Opens what is there to look at or to mount, whatever it is, without touching it.
    pub fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)
    }

    fn open_at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = relative(path)?;
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => &path,
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        Ok(rustix::fs::openat2(
            &self.root,
            path,
            flags,
            Mode::empty(),
            resolve,
        )?)
    }

    /// The directory at a path, made with its parents where missing. New ones get the owner and mode 0755.
    pub fn make_dir(&self, path: &Path, owner: Option<Owner>) -> io::Result<OwnedFd> {
        let mut dir = self.root.as_fd().try_clone_to_owned()?;
        for name in &relative(path)? {
            dir = make_one(dir.as_fd(), name, owner)?;
        }
        Ok(dir)
    }

    /// A new file, in place of whatever but a directory is there, in directories made where missing. Written by its
    /// owner only until its mode is set.
    pub fn create(&self, path: &Path, owner: Option<Owner>) -> io::Result<File> {
        let (dir, name) = self.parent(path, owner)?;
        clear(dir.as_fd(), &name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | HARMLESS;
        let file = rustix::fs::openat(&dir, &name, flags, Mode::from_raw_mode(0o600))?;
        give(file.as_fd(), owner)?;
        Ok(file.into())
    }

    /// A symbolic link, in place of whatever but a directory is there. What it points to is the caller's to judge.
    pub fn link(&self, path: &Path, target: &Path, owner: Option<Owner>) -> io::Result<()> {
        let (dir, name) = self.parent(path, owner)?;
        clear(dir.as_fd(), &name)?;
        rustix::fs::symlinkat(target, &dir, &name)?;
        if let Some(Owner { uid, gid }) = owner {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(&dir, &name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    /// Another name of a plain file below this directory.
    pub fn hard_link(&self, path: &Path, existing: &Path, owner: Option<Owner>) -> io::Result<()> {
        let existing = relative(existing)?;
        let from_name = existing.file_name().ok_or_else(|| refuse("it names no file"))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let from = self.open_at(existing.parent().unwrap_or(Path::new("")), flags)?;
        let stat = rustix::fs::statat(&from, from_name, AtFlags::SYMLINK_NOFOLLOW)?;
        if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(refuse("only a plain file may have a second name"));
        }
        let (dir, name) = self.parent(path, owner)?;
        clear(dir.as_fd(), &name)?;
        Ok(rustix::fs::linkat(
            &from,
            from_name,
            &dir,
            &name,
            AtFlags::empty(),
        )?)
    }

    fn parent(&self, path: &Path, owner: Option<Owner>) -> io::Result<(OwnedFd, PathBuf)> {
        let path = relative(path)?;
        let name = path.file_name().ok_or_else(|| refuse("it names no file"))?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.make_dir(parent, owner)?, name.into()))
    }
}

fn make_one(dir: BorrowedFd<'_>, name: &OsStr, owner: Option<Owner>) -> io::Result<OwnedFd> {
    let made = match rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => true,
        Err(rustix::io::Errno::EXIST) => false,
        Err(error) => return Err(error.into()),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | HARMLESS;
    let opened = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    if made {
        give(opened.as_fd(), owner)?;
    }
    Ok(opened)
}

fn give(file: BorrowedFd<'_>, owner: Option<Owner>) -> io::Result<()> {
    let Some(Owner { uid, gid }) = owner else {
        return Ok(());
    };
    Ok(rustix::fs::fchown(
        file,
        Some(Uid::from_raw(uid)),
        Some(Gid::from_raw(gid)),
    )?)
}

fn clear(dir: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A path of plain names only, without `.`; refuses what could lead elsewhere.
pub fn relative(path: &Path) -> io::Result<PathBuf> {
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(refuse("it holds a NUL byte"));
    }
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err(refuse("it holds `..`")),
            Component::RootDir | Component::Prefix(_) => return Err(refuse("it is absolute")),
        }
    }
    Ok(plain)
}

fn refuse(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Where a path of the host leads to, all links followed, if that is one of the allowed ones or below it. What is
/// returned was at that place, which has no link in it: whoever opens it must follow none (`RESOLVE_NO_SYMLINKS`), since
/// one may be put there at any time.
pub fn allowed(path: &Path, allowed: &[PathBuf]) -> io::Result<Option<PathBuf>> {
    let real = path.canonicalize()?;
    // An entry that is not there allows nothing.
    let entries = allowed.iter().filter_map(|entry| entry.canonicalize().ok());
    let is_allowed = entries.into_iter().any(|entry| real.starts_with(entry));
    Ok(is_allowed.then_some(real))
}

/// Opens a path of the host that has no link in it.
pub fn open_plain(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(
        CWD,
        path,
        flags | HARMLESS,
        Mode::empty(),
        resolve,
    )?)
}

#[cfg(test)]
mod tests;

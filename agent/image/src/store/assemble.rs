//! Puts pulled layers together: directories that a layer goes through without listing them must look as in the layers
//! below, because overlayfs shows a directory as its topmost layer has it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{
    Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, fchmod, fchown, futimens,
    openat2,
};

use crate::unpack::LayerForm;
use crate::view::directory;

/// A directory that no layer lists.
const DEFAULT_MODE: u32 = 0o755;

/// Makes the directories `implicit` of `layer` look as in `below`, the topmost first. May be done again. Blocks.
pub(super) fn adopt(
    layer: &Path,
    implicit: &[Vec<u8>],
    below: &[PathBuf],
    form: LayerForm,
) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::openat(rustix::fs::CWD, layer, flags, Mode::empty())?;
    // The innermost first: it does not matter to the outer ones, whose times only change with their own entries.
    for path in implicit.iter().rev() {
        let found = directory(below, path)?;
        let name = if path.is_empty() { b"." } else { path.as_slice() };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let own = openat2(&root, name, flags, Mode::empty(), resolve)?;
        imitate(&own, found.as_ref().map(|(_, stat)| stat), form)?;
    }
    Ok(())
}

fn imitate(own: &rustix::fd::OwnedFd, like: Option<&Stat>, form: LayerForm) -> io::Result<()> {
    if let Some(root) = form.root() {
        let (uid, gid) = like.map_or(root, |stat| (stat.st_uid, stat.st_gid));
        fchown(own, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    fchmod(
        own,
        Mode::from_raw_mode(like.map_or(DEFAULT_MODE, |stat| stat.st_mode & 0o7777)),
    )?;
    let time = like.map_or(
        Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        |stat| Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        },
    );
    let omit = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    Ok(futimens(
        own,
        &Timestamps {
            last_access: omit,
            last_modification: time,
        },
    )?)
}

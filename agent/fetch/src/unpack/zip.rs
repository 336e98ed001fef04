//! Zip archives.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use zip::ZipArchive;
use zip::read::ZipFile;

use super::{Indexed, MAX_INDEX_BYTES, MAX_TARGET_BYTES, Sink};

/// The modes of entries that were made where there are none.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// The bits of a mode that say what a file is, and those of plain files and directories (inode(7)).
const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;

impl<R: Seek> Seek for Indexed<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

pub(super) fn unpack(file: File, mut into: Sink) -> io::Result<()> {
    let left = Rc::new(Cell::new(MAX_INDEX_BYTES));
    let mut archive = ZipArchive::new(Indexed {
        inner: file,
        left: Rc::clone(&left),
    })?;
    left.set(u64::MAX);
    for index in 0..archive.len() {
        one(&mut archive.by_index(index)?, &mut into)?;
    }
    Ok(())
}

fn one(entry: &mut ZipFile<'_, Indexed<File>>, into: &mut Sink) -> io::Result<()> {
    into.next()?;
    let name = entry.name_raw().to_vec();
    let path = Path::new(std::ffi::OsStr::from_bytes(&name));
    let mode = entry.unix_mode();
    if entry.is_symlink() {
        let mut target = Vec::new();
        entry.take(MAX_TARGET_BYTES as u64 + 1).read_to_end(&mut target)?;
        return into.link(path, Path::new(std::ffi::OsStr::from_bytes(&target)));
    }
    match mode.map_or(0, |mode| mode & S_IFMT) {
        0 | S_IFREG | S_IFDIR => {}
        _ => return into.refused(path, "a device or pipe is not unpacked"),
    }
    match entry.is_dir() {
        true => into.directory(path, mode.unwrap_or(DIRECTORY_MODE)),
        false => into.file(path, mode.unwrap_or(FILE_MODE), entry),
    }
}

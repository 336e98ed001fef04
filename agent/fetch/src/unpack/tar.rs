//! Tar archives, in the formats of POSIX and GNU.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use tar::EntryType;

use super::{Indexed, MAX_INDEX_BYTES, Sink};

pub(super) fn unpack(packed: impl Read, mut into: Sink) -> io::Result<()> {
    let left = Rc::new(Cell::new(MAX_INDEX_BYTES));
    let mut archive = tar::Archive::new(Indexed {
        inner: packed,
        left: Rc::clone(&left),
    });
    let mut entries = archive.entries()?;
    loop {
        // What is read between two entries are the headers of the next one, all kept in memory.
        left.set(MAX_INDEX_BYTES);
        let Some(entry) = entries.next() else {
            return Ok(());
        };
        let mut entry = entry?;
        left.set(u64::MAX);
        one(&mut entry, &mut into)?;
        io::copy(&mut entry, &mut io::sink())?;
    }
}

fn one(entry: &mut tar::Entry<'_, impl Read>, into: &mut Sink) -> io::Result<()> {
    into.next()?;
    let path = entry.path()?.into_owned();
    let mode = entry.header().mode()?;
    let target = entry.link_name()?.map(std::borrow::Cow::into_owned);
    match (entry.header().entry_type(), target) {
        (EntryType::Directory, _) => into.directory(&path, mode),
        (EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse, _) => {
            into.file(&path, mode, entry)
        }
        (EntryType::Symlink, Some(target)) => into.link(&path, &target),
        (EntryType::Link, Some(target)) => into.hard_link(&path, &target),
        // What is said of all entries says nothing of where they go.
        (EntryType::XGlobalHeader, _) => Ok(()),
        (EntryType::Char | EntryType::Block | EntryType::Fifo, _) => {
            into.refused(&path, "a device or pipe is not unpacked")
        }
        _ => into.refused(&path, "it is of no known kind"),
    }
}

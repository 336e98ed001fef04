//! The records of one task, in one file: what never changes of it, then each of its states as it came.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `PFTL` |
//! | 4 | version of the format, little endian |
//! | 4 | length of a record, little endian |
//! | 4 | CRC-32 of the record, little endian |
//! | length | the record; the next one follows |
//!
//! The last record that is whole holds. A new file for each state would have the file system find a free inode each
//! time, and free one: ext4 without a journal looks at all that were freed in the last minutes before it takes one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use super::file::{ReadError, word};

const MAGIC: [u8; 4] = *b"PFTL";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 8;
const FRAME_BYTES: usize = 8;

/// From this size on a file that holds more of old states than anything else is written anew. A task has a handful of
/// states of some 200 bytes; one that is restarted or checked for weeks has very many.
const MAX_BYTES: u64 = 64 << 10;

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) first: Vec<u8>,
    /// The last one of those that follow.
    pub(super) last: Option<Vec<u8>>,
}

/// Makes the file of a task.
pub(super) fn create(path: &Path, first: &[u8]) -> io::Result<()> {
    let written =
        File::create(path).and_then(|mut file| file.write_all(&[&header()[..], &frame(first)?].concat()));
    if written.is_err() {
        // On a full disk every byte counts; the first error is the one to tell.
        let _ = fs::remove_file(path);
    }
    written
}

/// Adds a record, all of it or nothing. Returns the file, for whoever wants it synced.
pub(super) fn append(path: &Path, record: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    let before = file.metadata()?.len();
    if before > MAX_BYTES
        && let Some(file) = rewrite(path, before, record)?
    {
        return Ok(file);
    }
    let written = file.write_all(&frame(record)?);
    if written.is_err() {
        // What could be written of it would hide what is written later.
        file.set_len(before)?;
    }
    written.map(|()| file)
}

/// Replaces the file by one without old states, where that makes it much smaller.
fn rewrite(path: &Path, before: u64, record: &[u8]) -> io::Result<Option<File>> {
    let bytes = fs::read(path)?;
    let kept = parse(&bytes).map_err(io::Error::other)?.records.first;
    if before / 2 < kept.len() as u64 {
        return Ok(None);
    }
    let temporary = path.with_extension("tmp");
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(&[&header()[..], &frame(&kept)?, &frame(record)?].concat())?;
        fs::rename(&temporary, path)?;
        Ok(file)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map(Some)
}

/// Reads a file, and cuts off what a write that was cut short left at its end. An empty one counts as missing: its
/// writer was killed before anything followed from it.
pub(super) fn recover(path: &Path) -> Result<Records, ReadError> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Err(ReadError::Missing);
    }
    let parsed = parse(&bytes)?;
    if parsed.n_bytes < bytes.len() {
        file.set_len(parsed.n_bytes as u64)?;
    }
    Ok(parsed.records)
}

#[derive(Debug)]
struct Parsed {
    records: Records,
    /// The header and all records that are whole.
    n_bytes: usize,
}

fn parse(bytes: &[u8]) -> Result<Parsed, ReadError> {
    let header = bytes.get(..HEADER_BYTES).ok_or(ReadError::NoCheckpoint)?;
    if header[..4] != MAGIC {
        return Err(ReadError::NoCheckpoint);
    }
    let version = word(header, 4);
    if version != VERSION {
        return Err(ReadError::Version(version));
    }
    let mut rest = &bytes[HEADER_BYTES..];
    let first = take(&mut rest).ok_or(ReadError::Checksum)?.to_vec();
    let mut last = None;
    while let Some(record) = take(&mut rest) {
        last = Some(record);
    }
    Ok(Parsed {
        records: Records {
            first,
            last: last.map(<[u8]>::to_vec),
        },
        n_bytes: bytes.len() - rest.len(),
    })
}

/// Takes a record that is whole.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let frame = rest.get(..FRAME_BYTES)?;
    let length = usize::try_from(word(frame, 0)).ok()?;
    let record = rest[FRAME_BYTES..].get(..length)?;
    let is_whole = crc32fast::hash(record) == word(frame, 4);
    *rest = if is_whole {
        &rest[FRAME_BYTES + length..]
    } else {
        rest
    };
    is_whole.then_some(record)
}

fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..].copy_from_slice(&VERSION.to_le_bytes());
    header
}

fn frame(record: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(record.len()).map_err(io::Error::other)?;
    let checksum = crc32fast::hash(record);
    Ok([&length.to_le_bytes()[..], &checksum.to_le_bytes(), record].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(first: &[u8], last: Option<&[u8]>) -> Records {
        Records {
            first: first.to_vec(),
            last: last.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn the_last_record_holds_and_the_file_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        create(&path, b"first").unwrap();
        assert_eq!(recover(&path).unwrap(), records(b"first", None));
        for n in 0..200_u8 {
            let record = [n; 1000];
            append(&path, &record).unwrap();
            assert_eq!(recover(&path).unwrap(), records(b"first", Some(&record)));
        }
        assert!(fs::metadata(&path).unwrap().len() <= MAX_BYTES + 1008);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_large_first_record_is_not_written_again_with_each_state() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        create(&path, &[7; 1 << 17]).unwrap();
        let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).unwrap());
        let before = inode();
        append(&path, b"a").unwrap();
        append(&path, b"b").unwrap();
        assert_eq!(inode(), before);
        assert_eq!(recover(&path).unwrap(), records(&[7; 1 << 17], Some(b"b")));
    }

    #[test]
    fn a_write_cut_short_leaves_what_was_before_and_room_for_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for cut in 1..=15 {
            create(&path, b"first").unwrap();
            append(&path, b"old").unwrap();
            let file = append(&path, b"cut off").unwrap();
            let whole = file.metadata().unwrap().len();
            file.set_len(whole - cut).unwrap();
            assert_eq!(recover(&path).unwrap(), records(b"first", Some(b"old")), "{cut}");
            append(&path, b"new").unwrap();
            assert_eq!(recover(&path).unwrap(), records(b"first", Some(b"new")), "{cut}");
        }
    }

    #[test]
    fn a_file_that_nothing_was_written_to_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "").unwrap();
        assert!(matches!(recover(&path), Err(ReadError::Missing)));
    }
}

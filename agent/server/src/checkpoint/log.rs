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
//! The last record that is whole holds; one that is not is passed over, wherever it lies. A new file for each state would have the file system find a free inode each
//! time, and free one: ext4 without a journal looks at all that were freed in the last minutes before it takes one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use tracing::warn;

use super::file::{ReadError, content, open_own, word};

const MAGIC: [u8; 4] = *b"PFTL";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 8;
const FRAME_BYTES: usize = 8;

/// From this size on a file that holds more of old states than anything else is written anew. A task has a handful of
/// states of some 200 bytes; one that is restarted or checked for weeks has very many.
const MAX_BYTES: u64 = 64 << 10;

/// So far from where a record is damaged the next one is looked for: longer than a file becomes by its states.
const MAX_SEARCHED_BYTES: usize = 256 << 10;

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) first: Vec<u8>,
    /// The last one of those that follow.
    pub(super) last: Option<Vec<u8>>,
    pub(super) damage: Damage,
}

/// What is wrong with the records that follow the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    None,
    /// The end is missing, or was never written: a write was cut short.
    Torn,
    /// Something else stands there than was written.
    Damaged,
}

/// Makes the file of a task.
pub(super) fn create(path: &Path, first: &[u8]) -> io::Result<()> {
    write(path, &[first])
}

pub(super) fn write(path: &Path, records: &[&[u8]]) -> io::Result<()> {
    let written = File::create(path).and_then(|mut file| file.write_all(&whole(records)?));
    if written.is_err() {
        // On a full disk every byte counts; the first error is the one to tell.
        let _ = fs::remove_file(path);
    }
    written
}

/// Makes or replaces the file of a task by one with these records.
pub(super) fn replace(path: &Path, records: &[&[u8]]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    write(&temporary, records)?;
    fs::rename(&temporary, path)
}

fn whole(records: &[&[u8]]) -> io::Result<Vec<u8>> {
    let mut bytes = header().to_vec();
    for record in records {
        bytes.extend(frame(record)?);
    }
    Ok(bytes)
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
    replace(path, &[&kept, record])?;
    OpenOptions::new().append(true).open(path).map(Some)
}

/// Reads a file, and mends it: what a write that was cut short left at its end is cut off, and of records that are
/// damaged the file is written anew without. An empty one counts as missing: its writer was killed before anything
/// followed from it. `keep` is told of a file before it is mended.
pub(super) fn recover(path: &Path, keep: impl FnOnce(Damage)) -> Result<Records, ReadError> {
    let file = open_own(path, true)?;
    let bytes = content(&file)?;
    if bytes.is_empty() {
        return Err(ReadError::Missing);
    }
    let Parsed { records, n_bytes } = parse(&bytes)?;
    match records.damage {
        Damage::None => {}
        Damage::Torn => {
            keep(Damage::Torn);
            file.set_len(n_bytes as u64)?;
        }
        Damage::Damaged => {
            keep(Damage::Damaged);
            let all: Vec<&[u8]> = [&records.first]
                .into_iter()
                .chain(&records.last)
                .map(Vec::as_slice)
                .collect();
            if let Err(error) = replace(path, &all) {
                warn!(path = %path.display(), %error, "cannot mend a checkpoint; the next start tries again");
            }
        }
    }
    Ok(records)
}

#[derive(Debug)]
struct Parsed {
    records: Records,
    /// The header and all records up to the last one that is whole.
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
    let first = take(bytes, HEADER_BYTES).ok_or(ReadError::Checksum)?;
    let (mut last, mut damage) = (None, Damage::None);
    let mut end = HEADER_BYTES + FRAME_BYTES + first.len();
    let mut at = end;
    while let Some(next) = find(bytes, at) {
        if next != at {
            damage = Damage::Damaged;
        }
        let Some(record) = take(bytes, next) else { break };
        last = Some(record);
        end = next + FRAME_BYTES + record.len();
        at = end;
    }
    if damage == Damage::None {
        damage = of_end(&bytes[end..]);
    }
    Ok(Parsed {
        records: Records {
            first: first.to_vec(),
            last: last.map(<[u8]>::to_vec),
            damage,
        },
        n_bytes: end,
    })
}

/// Where the next record that is whole begins, from a place on.
fn find(bytes: &[u8], from: usize) -> Option<usize> {
    let until = bytes.len().min(from.saturating_add(MAX_SEARCHED_BYTES));
    (from..until).find(|at| take(bytes, *at).is_some())
}

/// What an end is in which there is no whole record: the beginning of one, or nothing but zeros where the file system
/// had made room for it, was cut short.
fn of_end(end: &[u8]) -> Damage {
    let is_begun = end.len() < FRAME_BYTES
        || usize::try_from(word(end, 0)).is_ok_and(|length| length > end.len() - FRAME_BYTES);
    match end {
        [] => Damage::None,
        _ if is_begun || end.iter().all(|byte| *byte == 0) => Damage::Torn,
        _ => Damage::Damaged,
    }
}

/// The record at a place, if it is whole. None is empty: eight zeros are no record.
fn take(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let frame = bytes.get(at..at.checked_add(FRAME_BYTES)?)?;
    let length = usize::try_from(word(frame, 0))
        .ok()
        .filter(|length| *length > 0)?;
    let start = at + FRAME_BYTES;
    let record = bytes.get(start..start.checked_add(length)?)?;
    (crc32fast::hash(record) == word(frame, 4)).then_some(record)
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

    fn records(first: &[u8], last: Option<&[u8]>, damage: Damage) -> Records {
        Records {
            first: first.to_vec(),
            last: last.map(<[u8]>::to_vec),
            damage,
        }
    }

    fn read(path: &Path) -> Records {
        recover(path, |_| ()).unwrap()
    }

    #[test]
    fn the_last_record_holds_and_the_file_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        create(&path, b"first").unwrap();
        assert_eq!(read(&path), records(b"first", None, Damage::None));
        for n in 0..200_u8 {
            let record = [n; 1000];
            append(&path, &record).unwrap();
            assert_eq!(read(&path), records(b"first", Some(&record), Damage::None));
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
        assert_eq!(read(&path), records(&[7; 1 << 17], Some(b"b"), Damage::None));
    }

    #[test]
    fn a_write_cut_short_leaves_what_was_before_and_room_for_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for cut in 1..15 {
            create(&path, b"first").unwrap();
            append(&path, b"old").unwrap();
            let file = append(&path, b"cut off").unwrap();
            let whole = file.metadata().unwrap().len();
            file.set_len(whole - cut).unwrap();
            assert_eq!(
                read(&path),
                records(b"first", Some(b"old"), Damage::Torn),
                "{cut}"
            );
            append(&path, b"new").unwrap();
            assert_eq!(
                read(&path),
                records(b"first", Some(b"new"), Damage::None),
                "{cut}"
            );
        }
    }

    #[test]
    fn room_that_a_power_loss_left_empty_hides_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        create(&path, b"first").unwrap();
        let file = append(&path, b"old").unwrap();
        file.set_len(file.metadata().unwrap().len() + 100).unwrap();
        assert_eq!(read(&path), records(b"first", Some(b"old"), Damage::Torn));
    }

    #[test]
    fn records_after_a_damaged_one_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        create(&path, b"first").unwrap();
        append(&path, b"second").unwrap();
        append(&path, b"third").unwrap();
        let whole = fs::read(&path).unwrap();
        let second = HEADER_BYTES + FRAME_BYTES + 5;
        for bit in second * 8..(second + FRAME_BYTES + 6) * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, damaged).unwrap();
            let mut kept = None;
            let found = recover(&path, |damage| kept = Some(damage)).unwrap();
            assert_eq!(
                found,
                records(b"first", Some(b"third"), Damage::Damaged),
                "bit {bit}"
            );
            assert_eq!(kept, Some(Damage::Damaged));
            assert_eq!(
                read(&path),
                records(b"first", Some(b"third"), Damage::None),
                "mended"
            );
        }
    }

    #[test]
    fn a_file_that_nothing_was_written_to_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "").unwrap();
        assert!(matches!(recover(&path, |_| ()), Err(ReadError::Missing)));
    }
}

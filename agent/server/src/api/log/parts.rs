//! The files of one stream of output, as one stream: where each starts, and which one holds an offset.
//!
//! proffer-init renames and removes files while this looks. A file that is open stays whole, and what a look missed the
//! next one finds.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use proffer_linux::output::older_files;

/// `O_NOFOLLOW | O_NONBLOCK`: nothing but a plain file is read, whoever put something else in its place.
const OPEN_FLAGS: i32 = 0o400_000 | 0o4_000;

/// Read at once while lines are counted.
const BLOCK_BYTES: u64 = 64 << 10;

/// How often a look is repeated because files were renamed meanwhile. A task that rotates faster than they are listed
/// is looked at again later.
const MAX_LOOKS: u32 = 16;

/// One file of a stream, open.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) file: File,
    /// The offset in the whole stream of its first byte.
    pub(super) start: u64,
    /// Whether nothing will be added to it.
    pub(super) is_complete: bool,
}

/// Opens the file that holds an offset or, when that is gone, the oldest that is kept. `None` while there is no such
/// file yet.
pub(super) fn open(newest: &Path, offset: u64) -> io::Result<Option<Part>> {
    for _ in 0..MAX_LOOKS {
        for older in older_files(newest)? {
            if older.end <= offset {
                continue;
            }
            // Removed since it was listed, or only its name is kept.
            let Some((file, size @ 1..)) = open_file(&older.path)? else {
                continue;
            };
            return Ok(Some(Part {
                file,
                start: older.end.saturating_sub(size),
                is_complete: true,
            }));
        }
        if let Some(part) = open_newest(newest)? {
            return Ok(Some(part));
        }
    }
    Ok(None)
}

/// Opens the file being written. `None` when there is none, or it was renamed meanwhile.
fn open_newest(newest: &Path) -> io::Result<Option<Part>> {
    let start = start(newest)?;
    let Some((file, _)) = open_file(newest)? else {
        return Ok(None);
    };
    // Renamed in between, it would be another file than the one that starts there.
    let is_same = self::start(newest)? == start;
    Ok(is_same.then_some(Part {
        file,
        start,
        is_complete: false,
    }))
}

/// Where the file being written starts.
pub(super) fn start(newest: &Path) -> io::Result<u64> {
    Ok(older_files(newest)?.last().map_or(0, |older| older.end))
}

fn open_file(path: &Path) -> io::Result<Option<(File, u64)>> {
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(OPEN_FLAGS);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no plain file any more"));
    }
    Ok(Some((file, metadata.len())))
}

/// The offset at which the last `lines` lines start, of what is kept.
pub(super) fn tail(newest: &Path, lines: u32) -> io::Result<u64> {
    let mut count = Count {
        left: lines,
        is_last: true,
    };
    // Where what was looked at so far starts.
    let mut start = self::start(newest)?;
    let mut found = (lines == 0).then_some(start);
    if let Some(part) = open(newest, u64::MAX)? {
        start = part.start;
        let end = start + part.file.metadata()?.len();
        found = count.back_from(part, end)?;
    }
    for older in older_files(newest)?.into_iter().rev() {
        if found.is_some() {
            break;
        }
        let file = open_file(&older.path)?.filter(|(_, size)| older.end <= start && *size > 0);
        let Some((file, size)) = file else { continue };
        start = older.end.saturating_sub(size);
        let part = Part {
            file,
            start,
            is_complete: true,
        };
        found = count.back_from(part, older.end)?;
    }
    Ok(found.unwrap_or(start))
}

/// Lines that are still to be found, going back.
struct Count {
    left: u32,
    /// Whether the stream's very last byte is to come: when it ends a line, no other line starts behind it.
    is_last: bool,
}

impl Count {
    /// Goes back through a part; the offset once all lines are found.
    fn back_from(&mut self, mut part: Part, end: u64) -> io::Result<Option<u64>> {
        let mut to = end;
        if self.left == 0 {
            return Ok(Some(end));
        }
        while to > part.start {
            let from = to.saturating_sub(BLOCK_BYTES).max(part.start);
            let mut block = Vec::new();
            part.file.seek(SeekFrom::Start(from - part.start))?;
            (&mut part.file).take(to - from).read_to_end(&mut block)?;
            for (at, byte) in block.iter().enumerate().rev() {
                let is_last = std::mem::take(&mut self.is_last);
                if *byte != b'\n' || is_last {
                    continue;
                }
                self.left -= 1;
                if self.left == 0 {
                    return Ok(Some(from + at as u64 + 1));
                }
            }
            to = from;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(older: &[(u64, &str)], newest: Option<&str>) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        for (end, text) in older {
            fs::write(proffer_linux::output::older_file(&path, *end), text).unwrap();
        }
        if let Some(text) = newest {
            fs::write(&path, text).unwrap();
        }
        (dir, path)
    }

    fn read(newest: &Path, offset: u64) -> Option<(u64, String)> {
        let mut part = open(newest, offset).unwrap()?;
        let mut text = String::new();
        part.file.read_to_string(&mut text).unwrap();
        Some((part.start, text))
    }

    #[test]
    fn an_offset_is_found_in_the_file_that_holds_it_and_one_that_is_gone_in_the_oldest() {
        let (_dir, path) = stream(&[(20, "klmnopqrst"), (23, "uvw")], Some("xyz"));
        for (offset, start, text) in [
            (0, 10, "klmnopqrst"),
            (10, 10, "klmnopqrst"),
            (19, 10, "klmnopqrst"),
            (20, 20, "uvw"),
            (23, 23, "xyz"),
            (99, 23, "xyz"),
        ] {
            assert_eq!(read(&path, offset), Some((start, text.to_owned())), "{offset}");
        }
    }

    #[test]
    fn of_one_file_only_the_start_of_the_next_is_left() {
        let (_dir, path) = stream(&[(20, "")], Some("xyz"));
        assert_eq!(read(&path, 3), Some((20, "xyz".to_owned())));
        // Renamed, and its successor not made yet.
        let (_dir, path) = stream(&[(3, "abc")], None);
        assert_eq!(read(&path, 3), None);
        assert_eq!(read(&path, 1), Some((0, "abc".to_owned())));
    }

    #[test]
    fn the_last_lines_are_counted_across_files() {
        let (_dir, path) = stream(&[(6, "one\ntw"), (11, "o\nthr")], Some("ee\nfour\n"));
        for (lines, text) in [
            (0, ""),
            (1, "four\n"),
            (2, "three\nfour\n"),
            (3, "two\nthree\nfour\n"),
            (4, "one\ntwo\nthree\nfour\n"),
            (9, "one\ntwo\nthree\nfour\n"),
        ] {
            let all = "one\ntwo\nthree\nfour\n";
            let start = usize::try_from(tail(&path, lines).unwrap()).unwrap();
            assert_eq!(&all[start..], text, "{lines}");
        }
        let (_dir, path) = stream(&[], Some("no\nend"));
        assert_eq!(tail(&path, 1).unwrap(), 3);
        let (_dir, path) = stream(&[(100, "kept\n")], None);
        assert_eq!(tail(&path, 5).unwrap(), 95);
        let (_dir, path) = stream(&[], None);
        assert_eq!(tail(&path, 5).unwrap(), 0);
    }
}

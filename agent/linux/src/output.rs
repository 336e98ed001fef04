//! A container's output as proffer-init leaves it: the file being written, and the older ones beside it.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use proffer_init::older;

/// An older file of a stream, which nobody writes to any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// The offset in the whole stream at which it ends. It starts at that less its size.
    pub end: u64,
    pub path: PathBuf,
}

/// The older files of the stream whose newest file is `file`, the oldest first. The newest file, if there is one, starts
/// where the last of them ends.
///
/// Files may be renamed and removed meanwhile: one that is full while this looks is seen or not.
pub fn older_files(file: &Path) -> io::Result<Vec<Older>> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(end) = older::end(name.as_bytes(), entry.file_name().as_bytes()) {
            let path = entry.path();
            found.push(Older { end, path });
        }
    }
    found.sort_by_key(|older| older.end);
    Ok(found)
}

/// The path of the older file that ends at an offset.
#[must_use]
pub fn older_file(file: &Path, end: u64) -> PathBuf {
    let name = file.file_name().unwrap_or_default().as_bytes();
    let mut buffer = older::BUFFER;
    let name = older::name(name, end, &mut buffer).unwrap_or_default();
    file.with_file_name(std::ffi::OsStr::from_bytes(name.to_bytes()))
}

/// Where a stream's older files end, the oldest first: as many as init can keep in mind.
pub(crate) fn ends(file: &Path) -> io::Result<Vec<u64>> {
    let ends = older_files(file)?.into_iter().map(|older| older.end);
    let mut ends = ends.collect::<Vec<_>>();
    let n_beyond = ends.len().saturating_sub(older::MAX_FILES - 1);
    Ok(ends.split_off(n_beyond))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_init_renamed_counts_as_older_output() {
        let dir = tempfile::tempdir().unwrap();
        let stdout = dir.path().join("stdout");
        for name in [
            "stdout",
            "stdout.1",
            "stderr.00000000000000000007",
            "stdout.00000000000000000100",
            "stdout.00000000000000000050",
        ] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(ends(&stdout).unwrap(), [50, 100]);
        assert!(older_file(&stdout, 100).exists());
        assert!(!older_file(&stdout, 7).exists());
    }
}

//! Files of a task.

use std::time::{Duration, UNIX_EPOCH};

use proffer_types::resources::format::format_size;
use proffer_wire::v1;
use serde::Serialize;

use crate::output::{Column, Row, left, right};

/// The bits of a mode that say what a file is; see inode(7).
const S_IFMT: u32 = 0o170_000;

/// Whether a mode is a directory's.
pub(crate) fn is_directory(mode: u32) -> bool {
    mode & S_IFMT == 0o040_000
}

/// Whether a mode is a plain file's.
pub(crate) fn is_plain_file(mode: u32) -> bool {
    mode & S_IFMT == 0o100_000
}

/// One file.
#[derive(Debug, Serialize)]
pub(crate) struct FileView {
    name: String,
    /// As `ls -l` shows it.
    mode: String,
    size_bytes: u64,
    uid: u32,
    gid: u32,
    modified_ms: u64,
    target: Option<String>,
}

impl From<v1::FileEntry> for FileView {
    fn from(entry: v1::FileEntry) -> Self {
        Self {
            mode: mode(entry.mode),
            name: entry.name,
            size_bytes: entry.size,
            uid: entry.uid,
            gid: entry.gid,
            modified_ms: entry.modified_ms,
            target: (!entry.target.is_empty()).then_some(entry.target),
        }
    }
}

/// Type and permissions, with set-user-id, set-group-id and sticky bits left out: none of them counts here.
fn mode(mode: u32) -> String {
    let kind = match mode & S_IFMT {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o010_000 => 'p',
        0o140_000 => 's',
        0o020_000 => 'c',
        0o060_000 => 'b',
        _ => '-',
    };
    let bits = "rwxrwxrwx".chars().zip((0..9).rev());
    let bits = bits.map(|(letter, bit)| if mode >> bit & 1 == 1 { letter } else { '-' });
    std::iter::once(kind).chain(bits).collect()
}

impl Row for FileView {
    const COLUMNS: &'static [Column] = &[
        left("MODE"),
        right("UID"),
        right("GID"),
        right("SIZE"),
        left("MODIFIED"),
        left("NAME"),
    ];

    fn cells(&self) -> Vec<String> {
        let modified = UNIX_EPOCH.checked_add(Duration::from_millis(self.modified_ms));
        let name = match &self.target {
            Some(target) => format!("{} -> {target}", self.name),
            None => self.name.clone(),
        };
        vec![
            self.mode.clone(),
            self.uid.to_string(),
            self.gid.to_string(),
            format_size(self.size_bytes),
            modified.map_or_else(String::new, when),
            name,
        ]
    }
}

/// Far years have no form in RFC 3339, and the time is the task's to set.
fn when(time: std::time::SystemTime) -> String {
    const YEAR_9999: u64 = 253_370_764_800;
    let is_near = time
        .duration_since(UNIX_EPOCH)
        .is_ok_and(|since| since.as_secs() < YEAR_9999);
    match is_near {
        true => humantime::format_rfc3339_seconds(time).to_string(),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_shown_as_ls_does() {
        let entry = |mode, modified_ms| v1::FileEntry {
            name: "n".into(),
            mode,
            size: 3 << 20,
            uid: 1,
            gid: 2,
            modified_ms,
            target: String::new(),
        };
        let cells = FileView::from(entry(0o100_754, 1_000)).cells();
        assert_eq!(
            cells,
            ["-rwxr-xr--", "1", "2", "3MiB", "1970-01-01T00:00:01Z", "n"]
        );
        let link = v1::FileEntry {
            target: "t".into(),
            ..entry(0o120_777, u64::MAX)
        };
        assert_eq!(FileView::from(link).cells()[4..], ["", "n -> t"]);
    }
}

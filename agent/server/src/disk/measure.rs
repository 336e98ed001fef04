//! How much a tree of files takes: blocks as the file system counts them, each file once however many names it has.
//!
//! The tree is its owner's, who may change it meanwhile: no link is followed, no other file system entered, and what is
//! kept in memory is bounded.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

/// The deepest directory that is entered. Each level holds a descriptor; package managers' trees have some 30.
pub(super) const MAX_DEPTH: usize = 128;

/// The unit of `st_blocks`; see inode(7).
const BLOCK_BYTES: u64 = 512;

/// Files of several names that are remembered; of more, each name counts.
const MAX_LINKED: usize = 1 << 20;

/// Entries after which the disk is left to others for a moment, and how long: some 100 ms of work.
const REST_AFTER: u64 = 50_000;
const REST: Duration = Duration::from_millis(20);

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Measured {
    pub(super) n_bytes: u64,
    /// Some of it lies deeper than is looked.
    pub(super) is_too_deep: bool,
}

struct Walk {
    found: Measured,
    limit: Option<u64>,
    linked: BTreeSet<(u64, u64)>,
    n_entries: u64,
}

/// Measures directories together; stops once there is more than a limit. What is not there takes nothing.
pub(super) fn measure(roots: &[PathBuf], limit: Option<u64>) -> Measured {
    let mut walk = Walk {
        found: Measured::default(),
        limit,
        linked: BTreeSet::new(),
        n_entries: 0,
    };
    for root in roots {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(root) = rustix::fs::openat(CWD, root, flags, Mode::empty()) {
            walk.root(root);
        }
    }
    walk.found
}

impl Walk {
    fn root(&mut self, root: OwnedFd) {
        let Ok(stat) = rustix::fs::fstat(&root) else {
            return;
        };
        self.count(&stat);
        let device = stat.st_dev;
        let mut open: Vec<(OwnedFd, Dir)> = Vec::new();
        open.extend(reader(root));
        while let Some((dir, entries)) = open.last_mut() {
            if self.limit.is_some_and(|limit| self.found.n_bytes > limit) {
                return;
            }
            let Some(Ok(entry)) = entries.next() else {
                open.pop();
                continue;
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            // What went away meanwhile takes nothing.
            let Ok(stat) = rustix::fs::statat(dir.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if stat.st_dev != device {
                continue;
            }
            let is_dir = FileType::from_raw_mode(stat.st_mode).is_dir();
            let next = is_dir.then(|| {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                rustix::fs::openat(dir.as_fd(), name, flags, Mode::empty()).ok()
            });
            self.count(&stat);
            let Some(next) = next.flatten().and_then(reader) else {
                continue;
            };
            match open.len() < MAX_DEPTH {
                true => open.push(next),
                false => self.found.is_too_deep = true,
            }
        }
    }

    fn count(&mut self, stat: &Stat) {
        self.n_entries += 1;
        if self.n_entries.is_multiple_of(REST_AFTER) {
            thread::sleep(REST);
        }
        let is_dir = FileType::from_raw_mode(stat.st_mode).is_dir();
        if stat.st_nlink > 1 && !is_dir && self.linked.len() < MAX_LINKED {
            let is_new = self.linked.insert((stat.st_dev, stat.st_ino));
            if !is_new {
                return;
            }
        }
        let n_blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
        let n_bytes = n_blocks.saturating_mul(BLOCK_BYTES);
        self.found.n_bytes = self.found.n_bytes.saturating_add(n_bytes);
    }
}

fn reader(dir: OwnedFd) -> Option<(OwnedFd, Dir)> {
    let entries = Dir::read_from(&dir).ok()?;
    Some((dir, entries))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn each_file_counts_once_by_its_blocks_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
        for made in [&inside, &outside] {
            fs::create_dir(made).unwrap();
            fs::write(made.join("file"), vec![1; 1 << 20]).unwrap();
        }
        fs::create_dir(inside.join("d")).unwrap();
        fs::hard_link(inside.join("file"), inside.join("d/again")).unwrap();
        symlink(&outside, inside.join("link")).unwrap();
        fs::File::create(inside.join("sparse"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        let found = measure(&[inside.clone(), dir.path().join("none")], None);
        let blocks = |path: &str| fs::symlink_metadata(inside.join(path)).unwrap().blocks() * 512;
        let all = ["", "file", "d", "link", "sparse"].map(blocks);
        assert_eq!(found.n_bytes, all.iter().sum::<u64>());
        assert!(!found.is_too_deep);
    }

    #[test]
    fn a_tree_deeper_than_is_looked_is_said_to_be_so() {
        let dir = tempfile::tempdir().unwrap();
        let deep = |depth: usize| dir.path().join(["d"; MAX_DEPTH][..depth].join("/"));
        fs::create_dir_all(deep(MAX_DEPTH - 1)).unwrap();
        assert!(!measure(&[dir.path().to_owned()], None).is_too_deep);
        fs::create_dir_all(deep(MAX_DEPTH)).unwrap();
        assert!(measure(&[dir.path().to_owned()], None).is_too_deep);
    }
}

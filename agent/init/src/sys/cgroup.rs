//! How a process gets into its cgroup.

use alloc::vec::Vec;
use core::ffi::CStr;

use proffer_init::fd;
use proffer_init::program::Join;

use super::{DAMAGED, Outcome, close, open, process, write_all};

/// A cgroup that is open: one directory of v2, or the `tasks` files of v1, one of each hierarchy.
#[derive(Debug)]
pub(crate) struct Cgroup {
    join: Join,
    opened: Vec<(i32, &'static CStr)>,
}

impl Cgroup {
    pub(crate) fn open(join: Join, paths: &[&'static CStr]) -> Outcome<'static, Self> {
        let flags = match join {
            Join::Born => libc::O_PATH | libc::O_DIRECTORY,
            Join::Write => libc::O_WRONLY,
        };
        let open = |path: &&'static CStr| Ok((open(path, flags)?, *path));
        let opened = paths.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { join, opened })
    }

    /// The one that the agent has opened.
    pub(crate) fn taken(join: Join, n_files: u64) -> Outcome<'static, Self> {
        let n_files = i32::try_from(n_files).map_err(|_| DAMAGED)?;
        if n_files > fd::MAX_CGROUPS {
            return Err(DAMAGED);
        }
        let descriptors = fd::CGROUPS..fd::CGROUPS + n_files;
        let opened = descriptors.map(|descriptor| (descriptor, c"")).collect();
        Ok(Self { join, opened })
    }

    /// Forks into the cgroup and closes it. Both processes return; 0 in the child.
    ///
    /// On v1 the child writes itself: a thread that moves itself by `tasks` need not wait for the kernel's lock on all
    /// forks, as anybody who writes a pid must.
    pub(crate) fn start(self, flags: u64) -> Outcome<'static, i32> {
        let pid = match self.join {
            Join::Born => {
                let (directory, path) = *self.opened.last().ok_or(DAMAGED)?;
                process::clone(flags, Some(directory)).map_err(|failure| failure.on(path))?
            }
            Join::Write => process::clone(flags, None)?,
        };
        for (descriptor, path) in self.opened {
            if pid == 0 && self.join == Join::Write {
                write_all(descriptor, b"0").map_err(|failure| failure.on(path))?;
            }
            close(descriptor);
        }
        Ok(pid)
    }
}

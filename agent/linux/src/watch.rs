//! Being told by the kernel that the files of a directory change.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// A directory being watched; readable when something was written, made or renamed in it. Not for what is below its
/// subdirectories.
#[derive(Debug)]
pub struct Watch(Inotify);

impl Watch {
    /// Fails when there is no such directory, or the user has as many watches as it may
    /// (`fs.inotify.max_user_instances`).
    pub fn new(directory: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let events = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_FROM;
        inotify.add_watch(directory, events | AddWatchFlags::IN_ONLYDIR)?;
        Ok(Self(inotify))
    }

    /// Forgets what happened so far, so that it is readable when something happens next.
    pub fn clear(&self) {
        while self.0.read_events().is_ok_and(|events| !events.is_empty()) {}
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

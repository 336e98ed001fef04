//! What was fetched is put into the sandbox, as one file or unpacked, and given to the task.

use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proffer_types::container::Fetch;

use crate::source::Source;
use crate::unpack::{self, Kind};
use crate::within::{self, Owner, Within};
use crate::{FetchError, Limits, Target};

const FILE_MODE: u32 = 0o644;
const EXECUTABLE_MODE: u32 = 0o755;

/// Tells work on another thread, when it is dropped, that nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct Cancel(Arc<AtomicBool>);

/// The other end of a [`Cancel`].
#[derive(Debug, Clone)]
pub(crate) struct Cancelled(Arc<AtomicBool>);

impl Cancel {
    pub(crate) fn new() -> (Self, Cancelled) {
        let flag = Arc::new(AtomicBool::new(false));
        (Self(Arc::clone(&flag)), Cancelled(flag))
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Cancelled {
    /// Fails once nobody waits any more.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(io::Error::other("it was given up")),
            false => Ok(()),
        }
    }
}

/// Reads while somebody waits for it.
struct Watched<'a> {
    file: File,
    cancelled: &'a Cancelled,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancelled.check()?;
        self.file.read(buffer)
    }
}

/// Where a file goes, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    uri: String,
    /// Relative to the sandbox; empty means the sandbox itself, of an archive.
    destination: PathBuf,
    is_executable: bool,
    archive: Option<Kind>,
    sandbox: PathBuf,
    owner: Option<Owner>,
    limits: Limits,
}

impl Plan {
    pub(crate) fn new(
        what: &Fetch,
        source: &Source,
        target: &Target,
        limits: Limits,
    ) -> Result<Self, FetchError> {
        let refuse = |why| FetchError::Uri {
            uri: source.shown(),
            why,
        };
        let archive = match (what.extract, what.executable) {
            (false, _) => None,
            (true, true) => return Err(refuse("an archive that is unpacked cannot be executable")),
            (true, false) => Some(Kind::of(source).ok_or_else(|| {
                refuse("its name does not end in .tar, .tar.gz, .tgz, .tar.zst, .tar.bz2 or .zip")
            })?),
        };
        let named = match (&what.destination, what.extract) {
            (Some(destination), _) => destination.clone(),
            (None, true) => String::new(),
            (None, false) => source
                .file_name()
                .ok_or_else(|| refuse("it ends in no file name, so it needs a destination"))?,
        };
        let destination = within::relative(Path::new(&named));
        let destination = destination.and_then(|path| match path.as_os_str().is_empty() && !what.extract {
            true => Err(io::Error::other("it names no file")),
            false => Ok(path),
        });
        let destination = destination.map_err(|why| FetchError::Destination {
            uri: source.shown(),
            destination: named.escape_debug().to_string(),
            why: why.to_string(),
        })?;
        Ok(Self {
            uri: source.shown(),
            destination,
            is_executable: what.executable,
            archive,
            sandbox: target.sandbox.clone(),
            owner: target.owner,
            limits,
        })
    }

    /// Puts a file that is open at its start where it belongs. Blocks.
    pub(crate) fn place(self, file: File, cancelled: &Cancelled) -> Result<(), FetchError> {
        match self.archive {
            Some(kind) => self.unpack(kind, file, cancelled),
            None => self.copy(file, cancelled).map_err(|why| self.refused(&why)),
        }
    }

    fn copy(&self, file: File, cancelled: &Cancelled) -> io::Result<()> {
        let sandbox = Within::open(&self.sandbox)?;
        let mut to = sandbox.create(&self.destination, self.owner)?;
        io::copy(&mut Watched { file, cancelled }, &mut to)?;
        let mode = match self.is_executable {
            true => EXECUTABLE_MODE,
            false => FILE_MODE,
        };
        to.set_permissions(Permissions::from_mode(mode))
    }

    fn unpack(&self, kind: Kind, file: File, cancelled: &Cancelled) -> Result<(), FetchError> {
        let open = || {
            let sandbox = Within::open(&self.sandbox)?;
            sandbox.make_dir(&self.destination, self.owner)
        };
        let directory = open().map_err(|why| self.refused(&why))?;
        let into = unpack::Sink::new(
            Within::from(directory),
            self.owner,
            self.limits,
            cancelled.clone(),
        );
        unpack::unpack(kind, file, into).map_err(|why| FetchError::Archive {
            uri: self.uri.clone(),
            why: why.to_string(),
        })
    }

    fn refused(&self, why: &io::Error) -> FetchError {
        FetchError::Destination {
            uri: self.uri.clone(),
            destination: self.destination.display().to_string().escape_debug().to_string(),
            why: why.to_string(),
        }
    }
}

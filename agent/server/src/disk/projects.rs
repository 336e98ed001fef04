//! Projects of the file system for what tasks have on the disk: an id for a container, a group's volumes, or a
//! persistent volume.
//!
//! Which ids are in use is what the file system counts: an id is free as soon as no inode has it, so it is freed with the
//! directories that have it; and an agent that starts reads back from these who has which. Nothing else is kept.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use proffer_linux::{ProjectQuota, QuotaError};
use thiserror::Error;
use tracing::{info, warn};

use crate::data_dir::DataDir;
use crate::{AgentError, DiskQuota, ProjectIds};

/// How much more than its limit a project may take before its writes fail. So what is over its limit is seen to be: the
/// most that a file system takes at once (XFS: 4 MiB) is less, and Mesos has the same (`xfs_kill_containers`).
const HEADROOM: u64 = 10 << 20;

/// Ids that are looked at for a free one before it is given up.
const MAX_LOOKS: u32 = 1 << 16;

/// Why there are no projects to be had.
#[derive(Debug, Error)]
enum ProbeError {
    #[error(
        "the data directory is in project {0} already, which its directories could not leave by a rename"
    )]
    InProject(u32),
    #[error(transparent)]
    Quota(#[from] QuotaError),
    #[error("no directory can be given to a project")]
    Give(#[from] io::Error),
}

/// The projects of one agent.
#[derive(Debug)]
pub(crate) struct Projects {
    quota: ProjectQuota,
    ids: ProjectIds,
    /// Where the next free id is looked for. Held while one is given.
    next: Mutex<u32>,
}

impl Projects {
    /// Those of the data directory's file system; none, where the agent is to measure.
    pub(crate) fn open(
        data_dir: &DataDir,
        wanted: DiskQuota,
        ids: ProjectIds,
    ) -> Result<Option<Self>, AgentError> {
        if wanted == DiskQuota::Measured {
            return Ok(None);
        }
        match Self::probe(data_dir, ids) {
            Ok(projects) => Ok(Some(projects)),
            Err(error) if wanted == DiskQuota::Auto => {
                let why = crate::containers::chain(&error);
                info!(why, "the disk of tasks is measured");
                Ok(None)
            }
            Err(error) => Err(AgentError::DiskQuota {
                source: Box::new(error),
            }),
        }
    }

    /// Does once what every task needs.
    fn probe(data_dir: &DataDir, ids: ProjectIds) -> Result<Self, ProbeError> {
        let projects = Self {
            quota: ProjectQuota::open(data_dir.root())?,
            ids,
            // Agents that share a file system look in different places.
            next: Mutex::new(data_dir.hash()),
        };
        match projects.quota.project(data_dir.root())? {
            0 => {}
            project => return Err(ProbeError::InProject(project)),
        }
        let dir = data_dir.root().join("quota-probe");
        fs::create_dir_all(&dir)?;
        let given = projects.give(&[&dir]).and_then(|id| {
            projects.bound(id, Some(0))?;
            projects.bound(id, None)
        });
        fs::remove_dir(&dir)?;
        given?;
        Ok(projects)
    }

    /// The project that a directory was given by an agent with these ids.
    pub(super) fn of(&self, dir: &Path) -> Option<u32> {
        let id = self.quota.project(dir).ok()?;
        self.ids.contains(id).then_some(id)
    }

    /// Gives directories that hold nothing yet to a project that nobody else has.
    pub(super) fn give(&self, dirs: &[&Path]) -> io::Result<u32> {
        // A number is whole, whoever panicked.
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..MAX_LOOKS {
            let id = self.ids.nth(*next);
            *next = next.wrapping_add(1);
            if self.quota.usage(id)?.n_inodes > 0 {
                continue;
            }
            for dir in dirs {
                self.quota.assign(dir, id)?;
            }
            // Another agent of this file system may have taken it at the same moment.
            let n_inodes = u64::try_from(dirs.len()).unwrap_or(u64::MAX);
            if self.quota.usage(id)?.n_inodes == n_inodes {
                return Ok(id);
            }
        }
        Err(io::Error::other("no project id is free: widen --project-ids"))
    }

    /// Gives a directory to the project of another one.
    pub(super) fn join(&self, dir: &Path, id: u32) -> io::Result<()> {
        self.quota.assign(dir, id)
    }

    /// Bounds what a project takes.
    pub(super) fn bound(&self, id: u32, limit: Option<u64>) -> io::Result<()> {
        let hard = limit.map(|limit| limit.saturating_add(HEADROOM));
        self.quota.set_limits(id, limit, hard)
    }

    /// Forgets the bound of what a directory's project takes, so that it is gone with the directory.
    pub(super) fn unbind(&self, dir: &Path) {
        if let Some(id) = self.of(dir)
            && let Err(error) = self.bound(id, None)
        {
            warn!(path = %dir.display(), %error, "cannot take back a disk quota");
        }
    }

    /// The bytes that the project of a directory takes; none, where it has none.
    pub(super) fn n_bytes(&self, dir: &Path) -> Option<u64> {
        let usage = self.quota.usage(self.of(dir)?).ok()?;
        Some(usage.n_bytes)
    }
}

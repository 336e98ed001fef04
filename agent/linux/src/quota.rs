//! Project quotas: what a tree of files takes, counted and bounded by the file system itself (ext4, XFS).
//!
//! A project is a number that inodes carry. What is made in a directory with `PROJINHERIT` gets the number of the
//! directory, and cannot be linked or renamed to where another number is inherited. Only a process of the first user
//! namespace changes a number. See ioctl_xfs_fsgetxattr(2), quotactl(2), and the kernel's `fs/quota/quota.c`.

use std::ffi::{c_uint, c_void};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use thiserror::Error;

/// `PRJQUOTA` of quota(3).
const PROJECT: c_uint = 2;

/// `Q_XGETQSTATV` of linux/dqblk_xfs.h: it tells of every file system with quotas whether limits are enforced.
const Q_XGETQSTATV: c_uint = 0x5808;

/// `FS_QSTATV_VERSION1` of linux/dqblk_xfs.h.
const STATE_VERSION: i8 = 1;

/// `FS_QUOTA_PDQ_ACCT` and `FS_QUOTA_PDQ_ENFD`: projects are counted, and bounded.
const COUNTED_AND_BOUNDED: u16 = 1 << 4 | 1 << 5;

/// `FS_XFLAG_PROJINHERIT` of linux/fs.h.
const INHERIT: u32 = 0x200;

/// The unit of limits, whatever the file system's blocks are (`QIF_DQBLKSIZE` of linux/quota.h).
const LIMIT_UNIT: u64 = 1024;

/// `struct fsxattr` of linux/fs.h.
#[repr(C)]
#[derive(Debug, Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    n_extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

/// `struct fs_quota_statv` of linux/dqblk_xfs.h; only its flags are looked at.
#[repr(C)]
#[derive(Debug, Default)]
struct State {
    version: i8,
    padding: u8,
    flags: u16,
    n_incore: u32,
    rest: [u64; 19],
}

/// `FS_IOC_FSGETXATTR` and `FS_IOC_FSSETXATTR` of linux/fs.h.
const GET_ATTRIBUTES: libc::Ioctl = libc::_IOR::<Attributes>(0x58, 31);
const SET_ATTRIBUTES: libc::Ioctl = libc::_IOW::<Attributes>(0x58, 32);

/// Why a file system cannot bound what a project takes.
#[derive(Debug, Error)]
pub enum QuotaError {
    #[error("no project quotas are in force on the file system of `{}`: that takes XFS, or ext4 made with `-O quota,project`, mounted with the option prjquota, and Linux 5.14 with quotas", path.display())]
    Off { path: PathBuf },
    #[error("cannot look at the quotas of the file system of `{}`", path.display())]
    Look { path: PathBuf, source: io::Error },
}

/// What a project takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProjectUsage {
    /// Those that are only reserved so far, too.
    pub n_bytes: u64,
    pub n_inodes: u64,
}

/// The project quotas of one file system.
#[derive(Debug)]
pub struct ProjectQuota {
    dir: File,
    device: u64,
}

impl ProjectQuota {
    /// Those of the file system that a directory is on. Takes `quotactl_fd` of Linux 5.14.
    pub fn open(path: &Path) -> Result<Self, QuotaError> {
        let look = |source| QuotaError::Look {
            path: path.to_owned(),
            source,
        };
        let dir = open(path).map_err(look)?;
        let device = dir.metadata().map_err(look)?.dev();
        let quota = Self { dir, device };
        let mut state = State {
            version: STATE_VERSION,
            ..State::default()
        };
        match quota.call(Q_XGETQSTATV, 0, (&raw mut state).cast()) {
            Ok(()) if state.flags & COUNTED_AND_BOUNDED == COUNTED_AND_BOUNDED => Ok(quota),
            Ok(())
            | Err(
                Errno::ESRCH
                | Errno::ENOSYS
                | Errno::EOPNOTSUPP
                | Errno::ENOTTY
                | Errno::ENOTBLK
                | Errno::EINVAL,
            ) => Err(QuotaError::Off {
                path: path.to_owned(),
            }),
            Err(error) => Err(look(error.into())),
        }
    }

    /// The project that is inherited in a directory; 0 is none. A link is not followed.
    pub fn project(&self, path: &Path) -> io::Result<u32> {
        let attributes = attributes(&self.open_own(path)?)?;
        let inherits = attributes.flags & INHERIT != 0;
        Ok(if inherits { attributes.project } else { 0 })
    }

    /// Gives a directory, and what is made in it from now on, to a project.
    pub fn assign(&self, path: &Path, project: u32) -> io::Result<()> {
        let dir = self.open_own(path)?;
        let mut attributes = attributes(&dir)?;
        attributes.flags |= INHERIT;
        attributes.project = project;
        // SAFETY: the descriptor is open, and the kernel reads one `struct fsxattr` behind the pointer.
        let set = unsafe { libc::ioctl(dir.as_raw_fd(), SET_ATTRIBUTES, &raw const attributes) };
        Ok(Errno::result(set).map(drop)?)
    }

    /// What a project takes now; nothing, for one that nobody has.
    pub fn usage(&self, project: u32) -> io::Result<ProjectUsage> {
        let block = self.block(project)?;
        Ok(ProjectUsage {
            n_bytes: block.dqb_curspace,
            n_inodes: block.dqb_curinodes,
        })
    }

    /// Bounds what a project takes, in bytes: writes fail (EDQUOT; on XFS ENOSPC) above `hard`, and `soft` is what statfs(2)
    /// says is there. None means no bound. What is there already stays.
    pub fn set_limits(&self, project: u32, soft: Option<u64>, hard: Option<u64>) -> io::Result<()> {
        // SAFETY: a `struct dqblk` is numbers, for which zero is good.
        let mut block: libc::dqblk = unsafe { std::mem::zeroed() };
        let units = |bytes: Option<u64>| bytes.map_or(0, |bytes| bytes.div_ceil(LIMIT_UNIT).max(1));
        block.dqb_bsoftlimit = units(soft);
        block.dqb_bhardlimit = units(hard);
        block.dqb_valid = libc::QIF_BLIMITS;
        let command = libc::Q_SETQUOTA.cast_unsigned();
        Ok(self.call(command, project, (&raw mut block).cast())?)
    }

    fn block(&self, project: u32) -> io::Result<libc::dqblk> {
        // SAFETY: a `struct dqblk` is numbers, for which zero is good.
        let mut block: libc::dqblk = unsafe { std::mem::zeroed() };
        let command = libc::Q_GETQUOTA.cast_unsigned();
        match self.call(command, project, (&raw mut block).cast()) {
            // XFS keeps nothing of a project without inodes and limits.
            Ok(()) | Err(Errno::ENOENT) => Ok(block),
            Err(error) => Err(error.into()),
        }
    }

    /// quotactl_fd(2) of a project. `data` is what the command takes, or gives.
    fn call(&self, command: c_uint, project: u32, data: *mut c_void) -> Result<(), Errno> {
        // `QCMD` of sys/quota.h.
        let command = (command << 8) | PROJECT;
        // SAFETY: the descriptor is open; `data` points to the structure of the command, which the callers see to.
        let result = unsafe {
            libc::syscall(
                libc::SYS_quotactl_fd,
                self.dir.as_raw_fd(),
                command,
                project,
                data,
            )
        };
        Errno::result(result).map(drop)
    }

    /// A directory of this file system; of another one the numbers would mean nothing here.
    fn open_own(&self, path: &Path) -> io::Result<File> {
        let dir = open(path)?;
        match dir.metadata()?.dev() == self.device {
            true => Ok(dir),
            false => Err(io::Error::new(
                io::ErrorKind::CrossesDevices,
                "it is on another file system",
            )),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
        .open(path)
}

fn attributes(dir: &File) -> io::Result<Attributes> {
    let mut attributes = Attributes::default();
    // SAFETY: the descriptor is open, and the kernel writes one `struct fsxattr` behind the pointer.
    let got = unsafe { libc::ioctl(dir.as_raw_fd(), GET_ATTRIBUTES, &raw mut attributes) };
    Errno::result(got)?;
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_project_quotas_is_named() {
        let error = ProjectQuota::open(Path::new("/proc")).unwrap_err();
        assert!(matches!(error, QuotaError::Off { .. }), "{error}");
        let error = ProjectQuota::open(Path::new("/proc/none")).unwrap_err();
        assert!(matches!(error, QuotaError::Look { .. }), "{error}");
    }

    #[test]
    fn structures_are_as_large_as_the_kernels() {
        assert_eq!([size_of::<Attributes>(), size_of::<State>()], [28, 160]);
    }
}

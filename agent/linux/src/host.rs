//! What the host has beside its cgroups.

use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Bytes that an unprivileged process could still write to the file system of `path`.
pub fn free_disk_bytes(path: &Path) -> io::Result<u64> {
    let stat = statvfs(path)?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

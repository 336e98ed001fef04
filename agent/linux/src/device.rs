//! Devices of the host, found by paths that a task or an operator wrote.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use nix::libc::dev_t;
use nix::sys::stat::{major, minor};
use proffer_container::{Device, DeviceNumber};
use proffer_types::container::DeviceAccess;
use thiserror::Error;

/// Where the kernel lists block devices by number (sysfs(5)).
const BLOCK_DEVICES: &str = "/sys/dev/block";

/// A path that leads to no device.
#[derive(Debug, Error)]
pub enum DeviceError {
    #[error("cannot look at `{}`", path.display())]
    Look { path: PathBuf, source: io::Error },
    #[error("`{}` is not the path of a device below /dev", .0.display())]
    NotInDev(PathBuf),
    #[error("`{}` is not a device", .0.display())]
    NotADevice(PathBuf),
    #[error("`{}` is on no block device", .0.display())]
    NotOnADisk(PathBuf),
}

/// Finds a device by its path.
pub fn device(path: &Path, access: DeviceAccess) -> Result<Device, DeviceError> {
    let plain = |component| matches!(component, Component::RootDir | Component::Normal(_));
    if !path.components().all(plain) || path == Path::new("/dev") || !path.starts_with("/dev") {
        return Err(DeviceError::NotInDev(path.to_owned()));
    }
    let metadata = look(path)?;
    let kind = metadata.file_type();
    if !kind.is_block_device() && !kind.is_char_device() {
        return Err(DeviceError::NotADevice(path.to_owned()));
    }
    let DeviceNumber { major, minor } = number(metadata.rdev());
    Ok(Device {
        path: path.to_owned(),
        is_block: kind.is_block_device(),
        major,
        minor,
        access,
    })
}

/// Finds the disk that a path is, or is on. Of a partition that is the whole disk: the kernel limits io of no less.
pub fn disk(path: &Path) -> Result<DeviceNumber, DeviceError> {
    let metadata = look(path)?;
    let is_disk = metadata.file_type().is_block_device();
    let found = number(if is_disk { metadata.rdev() } else { metadata.dev() });
    // File systems without a disk have a number of no device.
    let listed = Path::new(BLOCK_DEVICES).join(format!("{}:{}", found.major, found.minor));
    let listed = fs::canonicalize(listed).map_err(|_| DeviceError::NotOnADisk(path.to_owned()))?;
    if !listed.join("partition").exists() {
        return Ok(found);
    }
    let whole = listed
        .parent()
        .and_then(|disk| fs::read_to_string(disk.join("dev")).ok());
    let whole = whole.as_deref().and_then(parse);
    whole.ok_or_else(|| DeviceError::NotOnADisk(path.to_owned()))
}

fn look(path: &Path) -> Result<fs::Metadata, DeviceError> {
    fs::metadata(path).map_err(|source| {
        let path = path.to_owned();
        DeviceError::Look { path, source }
    })
}

fn number(device: dev_t) -> DeviceNumber {
    // Both are at most 32 bits wide in the kernel.
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    DeviceNumber {
        major: narrow(major(device)),
        minor: narrow(minor(device)),
    }
}

fn parse(text: &str) -> Option<DeviceNumber> {
    let (major, minor) = text.trim().split_once(':')?;
    Some(DeviceNumber {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: DeviceAccess = DeviceAccess {
        read: true,
        write: false,
        mknod: false,
    };

    #[test]
    fn a_device_is_found_by_a_path_below_dev_alone() {
        let null = device(Path::new("/dev/null"), READ).unwrap();
        assert_eq!((null.is_block, null.major, null.minor), (false, 1, 3));
        for path in [
            "/dev",
            "dev/null",
            "/dev/../dev/null",
            "/proc/self/exe",
            "/dev/no such device",
        ] {
            assert!(device(Path::new(path), READ).is_err(), "{path}");
        }
        let directory = device(Path::new("/dev/fd"), READ);
        assert!(
            matches!(directory, Err(DeviceError::NotADevice(_))),
            "{directory:?}"
        );
    }

    #[test]
    fn a_file_system_in_memory_is_on_no_disk() {
        let proc = disk(Path::new("/proc/self"));
        assert!(matches!(proc, Err(DeviceError::NotOnADisk(_))), "{proc:?}");
        assert!(matches!(
            disk(Path::new("/dev/null")),
            Err(DeviceError::NotOnADisk(_))
        ));
    }
}

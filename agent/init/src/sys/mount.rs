//! Mounts of the container's mount namespace, and files in them.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::kernel::syscall;
use super::{DAMAGED, Failure, Outcome, check, process};

/// Stops mounts from travelling to the host and back.
pub(crate) fn make_mounts_private() -> Outcome<'static> {
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: the target is a C string; the other pointers may be null for a change of propagation.
    let result = unsafe { syscall!(SYS_mount, 0, c"/".as_ptr(), 0, flags, 0) };
    check(result).map(drop).map_err(|failure| failure.on(c"/"))
}

/// Makes a mounted directory the root, and lets go of the old one.
pub(crate) fn pivot(root: i32) -> Outcome<'static> {
    process::change_to(root)?;
    let here = c".".as_ptr();
    // The old root ends on top of the new one, and is detached from there.
    // SAFETY: both paths are C strings.
    check(unsafe { syscall!(SYS_pivot_root, here, here) })?;
    // SAFETY: the path is a C string.
    check(unsafe { syscall!(SYS_umount2, here, libc::MNT_DETACH) })?;
    process::change_directory(c"/")
}

/// overlayfs as kernels before 6.7 mount it.
#[derive(Debug)]
pub(crate) struct LegacyOverlay<'a> {
    /// Relative to the working directory, the uppermost first.
    pub(crate) names: &'a [&'static CStr],
    pub(crate) upper: Option<(&'a CStr, &'a CStr)>,
    /// `MOUNT_ATTR_*`, of which the first four are the old flags.
    pub(crate) attributes: u64,
    /// `userxattr`
    pub(crate) user_attributes: bool,
}

impl LegacyOverlay<'_> {
    /// Mounts it. The kernel takes one page of options and cuts off the rest, which is an error here.
    pub(crate) fn mount<'a>(&self, target: &'a CStr) -> Outcome<'a> {
        const MAX_OPTIONS: usize = 4095;
        let mut options = b"lowerdir=".to_vec();
        for (place, name) in self.names.iter().enumerate() {
            if place > 0 {
                options.push(b':');
            }
            escape(name, &mut options);
        }
        if let Some((upper, work)) = self.upper {
            options.extend(b",upperdir=");
            escape(upper, &mut options);
            options.extend(b",workdir=");
            escape(work, &mut options);
        }
        if self.user_attributes {
            options.extend(b",userxattr");
        }
        if options.len() > MAX_OPTIONS {
            let errno = libc::E2BIG;
            return Err(Failure {
                errno,
                subject: target,
            });
        }
        let options = CString::new(options).map_err(|_| DAMAGED)?;
        let overlay = c"overlay".as_ptr();
        // SAFETY: all are C strings.
        let result = unsafe {
            syscall!(
                SYS_mount,
                overlay,
                target.as_ptr(),
                overlay,
                self.attributes,
                options.as_ptr(),
            )
        };
        check(result).map(drop).map_err(|failure| failure.on(target))
    }
}

/// Writes a path as an option of overlayfs, where `:` and `,` have a meaning.
fn escape(path: &CStr, options: &mut Vec<u8>) {
    for byte in path.to_bytes() {
        if matches!(byte, b':' | b',' | b'\\') {
            options.push(b'\\');
        }
        options.push(*byte);
    }
}

/// Gives a new file or directory to a user and group of the host.
pub(crate) fn own(directory: i32, name: &CStr, (uid, gid): (u32, u32)) -> Outcome<'static> {
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: the name is a C string.
    check(unsafe { syscall!(SYS_fchownat, directory, name.as_ptr(), uid, gid, flags) }).map(drop)
}

/// Makes a device; `mode` holds its type.
pub(crate) fn make_node_at(directory: i32, name: &CStr, mode: u32, device: u64) -> Outcome<'static> {
    // SAFETY: the name is a C string.
    check(unsafe { syscall!(SYS_mknodat, directory, name.as_ptr(), mode, device) }).map(drop)
}

pub(crate) fn make_link_at(directory: i32, name: &CStr, target: &CStr) -> Outcome<'static> {
    // SAFETY: both are C strings.
    check(unsafe { syscall!(SYS_symlinkat, target.as_ptr(), directory, name.as_ptr()) }).map(drop)
}

//! Mount trees by descriptor, and places in a root that may be hostile.
//!
//! A place is always resolved below the root by the kernel (`RESOLVE_IN_ROOT`) and used by its descriptor: no symbolic
//! link in an image or a volume leads a mount out of the container, whoever swaps it and whenever.

use alloc::ffi::CString;
use core::ffi::CStr;

use super::kernel::syscall;
use super::{Failure, Outcome, check, close};

/// openat2(2)'s argument.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// mount_setattr(2)'s argument.
#[derive(Default)]
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const RESOLVE_IN_ROOT: u64 = 0x10;

const OPEN_TREE_CLONE: u32 = 1;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
const FSOPEN_CLOEXEC: u32 = 1;
const FSMOUNT_CLOEXEC: u32 = 1;
const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_CMD_CREATE: u32 = 6;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// The most dangling symbolic links that are followed to make what they name; the kernel's own limit is 40.
const MAX_LINKS: u32 = 8;

fn openat2(directory: i32, path: &CStr, flags: i32, resolve: u64) -> Outcome<'static, i32> {
    let how = OpenHow {
        flags: u64::from((flags | libc::O_CLOEXEC).cast_unsigned()),
        mode: 0,
        resolve: resolve | RESOLVE_NO_MAGICLINKS,
    };
    // SAFETY: the path is a C string and `how` a valid open_how.
    let descriptor = unsafe {
        syscall!(
            SYS_openat2,
            directory,
            path.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        )
    };
    check(descriptor)
}

/// What is made where a place is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Fail,
    Directory,
    File,
}

/// Opens a place below a root, as a path only; makes it and its parents where that is asked for.
pub(crate) fn place(root: i32, path: &CStr, missing: Missing) -> Outcome<'static, i32> {
    place_within(root, path, missing, MAX_LINKS)
}

fn place_within(root: i32, path: &CStr, missing: Missing, links: u32) -> Outcome<'static, i32> {
    let opened = openat2(root, path, libc::O_PATH, RESOLVE_IN_ROOT);
    let Err(Failure {
        errno: libc::ENOENT, ..
    }) = opened
    else {
        return opened;
    };
    if missing == Missing::Fail || links == 0 {
        return opened;
    }
    let (parent_path, name) = split(path);
    let parent = place_within(root, &parent_path, Missing::Directory, links)?;
    let made = match missing {
        Missing::Directory => make_directory_at(parent, &name, 0o755),
        Missing::Fail | Missing::File => make_file_at(parent, &name, 0o644).map(close),
    };
    let link = match made {
        Err(Failure {
            errno: libc::EEXIST, ..
        }) => read_link_at(parent, &name),
        made => made.map(|()| None),
    };
    close(parent);
    match link? {
        // It leads nowhere yet: what it names is what is missing.
        Some(target) => place_within(root, &join(&parent_path, &target), missing, links - 1),
        None => openat2(root, path, libc::O_PATH, RESOLVE_IN_ROOT),
    }
}

/// A path's parent and its last part.
pub(crate) fn split(path: &CStr) -> (CString, CString) {
    let bytes = path.to_bytes();
    let end = bytes
        .iter()
        .rposition(|byte| *byte != b'/')
        .map_or(0, |last| last + 1);
    let start = bytes[..end]
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    let parent = if start == 0 { b"/" } else { &bytes[..start] };
    (c_string(parent), c_string(&bytes[start..end]))
}

/// What a link in a directory names, as a path of the root.
fn join(directory: &CStr, target: &CStr) -> CString {
    if target.to_bytes().starts_with(b"/") {
        return CString::from(target);
    }
    c_string(&[directory.to_bytes(), b"/", target.to_bytes()].concat())
}

/// Parts of C strings hold no NUL.
fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).unwrap_or_default()
}

/// What a symbolic link names; `None` for anything else.
fn read_link_at(directory: i32, name: &CStr) -> Outcome<'static, Option<CString>> {
    let mut buffer = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the name is a C string and the buffer valid for its length.
    let len = unsafe {
        syscall!(
            SYS_readlinkat,
            directory,
            name.as_ptr(),
            buffer.as_mut_ptr(),
            buffer.len()
        )
    };
    match check(len) {
        Ok(len) => Ok(Some(c_string(&buffer[..usize::try_from(len).unwrap_or(0)]))),
        Err(Failure {
            errno: libc::EINVAL, ..
        }) => Ok(None),
        Err(failure) => Err(failure),
    }
}

pub(crate) fn make_directory_at(directory: i32, name: &CStr, mode: u32) -> Outcome<'static> {
    // SAFETY: the name is a C string.
    check(unsafe { syscall!(SYS_mkdirat, directory, name.as_ptr(), mode) }).map(drop)
}

/// Makes a new file, open for writing.
pub(crate) fn make_file_at(directory: i32, name: &CStr, mode: u32) -> Outcome<'static, i32> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the name is a C string.
    check(unsafe { syscall!(SYS_openat, directory, name.as_ptr(), flags, mode) })
}

/// Opens a directory of this mount namespace as a path only.
pub(crate) fn directory(path: &CStr) -> Outcome<'_, i32> {
    openat2(libc::AT_FDCWD, path, libc::O_PATH | libc::O_DIRECTORY, 0).map_err(|failure| failure.on(path))
}

/// A copy of what is mounted at a path and below it, attached nowhere. No part of the path may be a symbolic link: whoever
/// could plant one would choose what is mounted.
pub(crate) fn open(path: &CStr) -> Outcome<'_, i32> {
    let place = openat2(libc::AT_FDCWD, path, libc::O_PATH, RESOLVE_NO_SYMLINKS);
    let place = place.map_err(|failure| failure.on(path))?;
    let tree = copy(place, true);
    close(place);
    tree.map_err(|failure| failure.on(path))
}

/// A copy of what is mounted at a place, and below it if it is `recursive`.
pub(crate) fn copy(place: i32, recursive: bool) -> Outcome<'static, i32> {
    let recursive = if recursive { libc::AT_RECURSIVE } else { 0 };
    let flags = OPEN_TREE_CLONE | (libc::O_CLOEXEC | libc::AT_EMPTY_PATH | recursive).cast_unsigned();
    // SAFETY: a descriptor and an empty C string.
    let tree = unsafe { syscall!(SYS_open_tree, place, c"".as_ptr(), flags) };
    check(tree)
}

/// What is changed of the mounts of a tree.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    /// `MOUNT_ATTR_*` that are set.
    pub(crate) set: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, or 0.
    pub(crate) propagation: u64,
    /// The user namespace whose ids its files have.
    pub(crate) user_namespace: Option<i32>,
    pub(crate) recursive: bool,
}

/// Changes a mount that a descriptor is the root of, or the tree below it.
pub(crate) fn change(tree: i32, change: Change) -> Outcome<'static> {
    let attributes = MountAttributes {
        set: change.set | change.user_namespace.map_or(0, |_| MOUNT_ATTR_IDMAP),
        propagation: change.propagation,
        user_namespace: change
            .user_namespace
            .map_or(0, |descriptor| u64::from(descriptor.cast_unsigned())),
        ..MountAttributes::default()
    };
    let recursive = if change.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: a descriptor, an empty C string and a valid mount_attr.
    let changed = unsafe {
        syscall!(
            SYS_mount_setattr,
            tree,
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    check(changed).map(drop)
}

/// Attaches a tree at a place. Both are descriptors.
pub(crate) fn attach(tree: i32, place: i32) -> Outcome<'static> {
    // SAFETY: two descriptors and empty C strings.
    let moved = unsafe {
        syscall!(
            SYS_move_mount,
            tree,
            c"".as_ptr(),
            place,
            c"".as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
        )
    };
    check(moved).map(drop)
}

/// A file system in the making.
#[derive(Debug)]
pub(crate) struct NewFileSystem(i32);

impl NewFileSystem {
    pub(crate) fn open(name: &CStr) -> Outcome<'_, Self> {
        // SAFETY: the name is a C string.
        let context = unsafe { syscall!(SYS_fsopen, name.as_ptr(), FSOPEN_CLOEXEC) };
        check(context).map(Self).map_err(|failure| failure.on(name))
    }

    /// Sets an option; one without a value is a flag.
    pub(crate) fn set<'a>(&self, key: &'a CStr, value: &CStr) -> Outcome<'a> {
        let (command, value) = match value.is_empty() {
            true => (FSCONFIG_SET_FLAG, core::ptr::null()),
            false => (FSCONFIG_SET_STRING, value.as_ptr()),
        };
        // SAFETY: key and value are C strings, the value null for a flag.
        let set = unsafe { syscall!(SYS_fsconfig, self.0, command, key.as_ptr(), value, 0) };
        check(set).map(drop).map_err(|failure| failure.on(key))
    }

    /// A tree of the new file system, with `MOUNT_ATTR_*`.
    pub(crate) fn tree(&self, attributes: u64) -> Outcome<'static, i32> {
        let none = core::ptr::null::<libc::c_char>();
        // SAFETY: a descriptor and null pointers, as the command wants them.
        check(unsafe { syscall!(SYS_fsconfig, self.0, FSCONFIG_CMD_CREATE, none, none, 0) })?;
        // SAFETY: a descriptor and numbers.
        let tree = unsafe { syscall!(SYS_fsmount, self.0, FSMOUNT_CLOEXEC, attributes) };
        check(tree)
    }
}

impl Drop for NewFileSystem {
    fn drop(&mut self) {
        close(self.0);
    }
}

/// Whether a descriptor is a directory's.
pub(crate) fn is_directory(descriptor: i32) -> Outcome<'static, bool> {
    // SAFETY: all zeros is a valid stat, which the call fills in.
    let (result, mode) = unsafe {
        let mut status: libc::stat = core::mem::zeroed();
        let result = syscall!(SYS_fstat, descriptor, &raw mut status);
        (result, status.st_mode)
    };
    check(result).map(|_| mode & libc::S_IFMT == libc::S_IFDIR)
}

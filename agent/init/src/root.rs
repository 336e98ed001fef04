//! The container's root in the making: where steps that name a place find it, and the trees that are opened beforehand.
//!
//! Every place is one of the root, wherever that is mounted so far.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use proffer_init::fd;
use proffer_init::program::{Overlay, Reader};

use crate::run::{number, text};
use crate::sys::mount::{self, LegacyOverlay};
use crate::sys::tree::{self, Change, Missing, NewFileSystem};
use crate::sys::{self, DAMAGED, Failure, Outcome, process};

const RDONLY: u64 = 0x1;
const NOSUID: u64 = 0x2;
const NODEV: u64 = 0x4;
const NOEXEC: u64 = 0x8;

/// The mode of a directory that stands for one which is hidden: nothing to see for anybody.
const COVER_MODE: &CStr = c"0";

/// The root, and the trees that wait to be attached.
#[derive(Debug, Default)]
pub(crate) struct Root {
    /// Opened at the first use: the mount namespace's own root, until another is mounted.
    root: Option<i32>,
    trees: Vec<i32>,
    /// The directory something was made in last: what a root is given lies side by side.
    directory: Option<(CString, i32)>,
    /// What hides directories, where it was attached first.
    empty: Option<i32>,
}

impl Root {
    fn fd(&mut self) -> Outcome<'static, i32> {
        let root = match self.root {
            Some(root) => root,
            None => tree::directory(c"/")?,
        };
        self.root = Some(root);
        Ok(root)
    }

    fn place(&mut self, path: &'static CStr, missing: Missing) -> Outcome<'static, i32> {
        let root = self.fd()?;
        tree::place(root, path, missing).map_err(|failure| failure.on(path))
    }

    /// A place, or `None` where there is nothing.
    fn found(&mut self, path: &'static CStr) -> Outcome<'static, Option<i32>> {
        match self.place(path, Missing::Fail) {
            Err(Failure {
                errno: libc::ENOENT | libc::ENOTDIR,
                ..
            }) => Ok(None),
            place => place.map(Some),
        }
    }

    /// Attaches a tree at a path and closes both.
    fn attach(&mut self, tree: i32, target: &'static CStr) -> Outcome<'static> {
        let missing = match tree::is_directory(tree)? {
            true => Missing::Directory,
            false => Missing::File,
        };
        self.attach_as(missing, tree, target)
    }

    fn attach_as(&mut self, missing: Missing, tree: i32, target: &'static CStr) -> Outcome<'static> {
        // It may be what is covered now.
        if let Some((_, directory)) = self.directory.take() {
            sys::close(directory);
        }
        let place = self.place(target, missing)?;
        attach_at(tree, place).map_err(|failure| failure.on(target))
    }

    /// Makes something new: in its directory, made where missing, by its name in there.
    fn make<T>(
        &mut self,
        path: &'static CStr,
        make: impl FnOnce(i32, &CStr) -> Outcome<'static, T>,
    ) -> Outcome<'static, T> {
        let (parent, name) = tree::split(path);
        let directory = match self.directory.take() {
            Some((last, directory)) if last == parent => directory,
            other => {
                if let Some((_, directory)) = other {
                    sys::close(directory);
                }
                tree::place(self.fd()?, &parent, Missing::Directory).map_err(|failure| failure.on(path))?
            }
        };
        let made = make(directory, &name);
        self.directory = Some((parent, directory));
        made.map_err(|failure| failure.on(path))
    }

    pub(crate) fn mount(&mut self, operands: &mut Reader<'static>) -> Outcome<'static> {
        let (name, target, attributes) = (text(operands)?, text(operands)?, number(operands)?);
        let context = NewFileSystem::open(name)?;
        let n_texts = operands.length().ok_or(DAMAGED)?;
        for _ in 0..n_texts / 2 {
            context.set(text(operands)?, text(operands)?)?;
        }
        let tree = context.tree(attributes).map_err(|failure| failure.on(target))?;
        self.attach_as(Missing::Directory, tree, target)
    }

    pub(crate) fn open_tree(&mut self, operands: &mut Reader<'static>) -> Outcome<'static> {
        self.trees.push(tree::open(text(operands)?)?);
        Ok(())
    }

    pub(crate) fn attach_tree(&mut self, operands: &mut Reader<'static>) -> Outcome<'static> {
        let (index, target) = (number(operands)?, text(operands)?);
        let (set, propagation) = (number(operands)?, number(operands)?);
        let index = usize::try_from(index).map_err(|_| DAMAGED)?;
        let tree = *self.trees.get(index).ok_or(DAMAGED)?;
        let recursive = true;
        let change = Change {
            set,
            propagation,
            recursive,
            ..Change::default()
        };
        tree::change(tree, change).map_err(|failure| failure.on(target))?;
        self.attach(tree, target)
    }

    pub(crate) fn seal(&mut self, operands: &mut Reader<'static>) -> Outcome<'static> {
        let (set, recursive) = (number(operands)?, number(operands)? != 0);
        let change = Change {
            set,
            recursive,
            ..Change::default()
        };
        tree::change(self.fd()?, change)
    }

    pub(crate) fn show(&mut self, operands: &mut Reader<'static>) -> Outcome<'static> {
        let (source, target, set) = (text(operands)?, text(operands)?, number(operands)?);
        let source = self.place(source, Missing::Fail)?;
        let copy = tree::copy(source, false);
        sys::close(source);
        let copy = copy.map_err(|failure| failure.on(target))?;
        tree::change(
            copy,
            Change {
                set,
                ..Change::default()
            },
        )
        .map_err(|failure| failure.on(target))?;
        self.attach(copy, target)
    }

    /// Hides what is at a path: under an empty directory or, where it is a file, the null device.
    pub(crate) fn cover(&mut self, operands: &mut Reader<'static>) -> Outcome<'static> {
        let path = text(operands)?;
        let Some(place) = self.found(path)? else {
            return Ok(());
        };
        let cover = if tree::is_directory(place)? {
            let Some(empty) = self.empty else {
                let empty = NewFileSystem::open(c"tmpfs")?;
                empty.set(c"mode", COVER_MODE)?;
                let tree = empty.tree(RDONLY | NOSUID | NODEV | NOEXEC)?;
                // Kept open: where it is attached, it can be copied.
                self.empty = Some(tree);
                let attached = tree::attach(tree, place);
                sys::close(place);
                return attached.map_err(|failure| failure.on(path));
            };
            tree::copy(empty, false)?
        } else {
            let null = self.place(c"/dev/null", Missing::Fail)?;
            let cover = tree::copy(null, false);
            sys::close(null);
            cover?
        };
        attach_at(cover, place).map_err(|failure| failure.on(path))
    }

    /// Makes what is at a path read-only, by a mount of its own.
    pub(crate) fn read_only(&mut self, operands: &mut Reader<'static>) -> Outcome<'static> {
        let path = text(operands)?;
        let Some(place) = self.found(path)? else {
            return Ok(());
        };
        let copy = tree::copy(place, true)?;
        let change = Change {
            set: RDONLY | NOSUID | NODEV | NOEXEC,
            recursive: true,
            ..Change::default()
        };
        tree::change(copy, change).map_err(|failure| failure.on(path))?;
        attach_at(copy, place).map_err(|failure| failure.on(path))
    }

    pub(crate) fn make_directory(&mut self, operands: &mut Reader<'static>) -> Outcome<'static> {
        let path = text(operands)?;
        let (mode, owner) = (mode(operands)?, owner(operands)?);
        self.make(path, |directory, name| {
            match tree::make_directory_at(directory, name, mode) {
                Err(Failure {
                    errno: libc::EEXIST, ..
                }) => Ok(()),
                made => made.and_then(|()| mount::own(directory, name, owner)),
            }
        })
    }

    pub(crate) fn make_node(&mut self, operands: &mut Reader<'static>) -> Outcome<'static> {
        let path = text(operands)?;
        let (mode, device, owner) = (mode(operands)?, number(operands)?, owner(operands)?);
        self.make(path, |directory, name| {
            mount::make_node_at(directory, name, mode, device)?;
            mount::own(directory, name, owner)
        })
    }

    pub(crate) fn make_link(&mut self, operands: &mut Reader<'static>) -> Outcome<'static> {
        let (path, target) = (text(operands)?, text(operands)?);
        self.make(path, |directory, name| {
            mount::make_link_at(directory, name, target)
        })
    }

    pub(crate) fn make_file(&mut self, operands: &mut Reader<'static>) -> Outcome<'static> {
        let path = text(operands)?;
        let (mode, owner) = (mode(operands)?, owner(operands)?);
        let content = operands.bytes().ok_or(DAMAGED)?;
        self.make(path, |directory, name| {
            let file = tree::make_file_at(directory, name, mode)?;
            let written = sys::write_all(file, content);
            sys::close(file);
            written.and_then(|()| mount::own(directory, name, owner))
        })
    }

    pub(crate) fn pivot(&mut self) -> Outcome<'static> {
        let root = self.fd()?;
        mount::pivot(root)?;
        sys::close(root);
        self.root = None;
        Ok(())
    }

    /// Mounts an image's layers as the root.
    pub(crate) fn mount_root(&mut self, operands: &mut Reader<'static>) -> Outcome<'static> {
        let mount_point = text(operands)?;
        let layers = Layers::read(operands)?;
        let (upper, work) = (text(operands)?, text(operands)?);
        let (flags, owner) = (number(operands)?, owner(operands)?);
        let place = |mount_point| tree::directory(mount_point);
        let fail = |failure: Failure<'_>| Failure {
            errno: failure.errno,
            subject: mount_point,
        };
        let scratch = place(mount_point).map_err(fail)?;
        layers.enter(flags, scratch).map_err(fail)?;
        sys::close(scratch);
        let (memory_upper, memory_work);
        let (upper, work) = if upper.is_empty() {
            attach_at(NewFileSystem::open(c"tmpfs")?.tree(NODEV)?, place(mount_point)?).map_err(fail)?;
            (memory_upper, memory_work) = (below(mount_point, "upper"), below(mount_point, "work"));
            for directory in [&memory_upper, &memory_work] {
                tree::make_directory_at(libc::AT_FDCWD, directory, 0o755).map_err(fail)?;
            }
            (memory_upper.as_c_str(), memory_work.as_c_str())
        } else {
            (upper, work)
        };
        mount::own(libc::AT_FDCWD, upper, owner).map_err(fail)?;
        let overlay = layers
            .overlay(Some((upper, work)), (NODEV, flags), mount_point)
            .map_err(fail)?;
        if let Some(overlay) = overlay {
            attach_at(overlay, place(mount_point)?).map_err(fail)?;
        }
        process::change_directory(c"/")?;
        self.root = Some(place(mount_point)?);
        Ok(())
    }

    /// Mounts an image's layers at a place, to be read only.
    pub(crate) fn mount_layers(&mut self, operands: &mut Reader<'static>) -> Outcome<'static> {
        let target = text(operands)?;
        let layers = Layers::read(operands)?;
        let flags = number(operands)?;
        let attributes = RDONLY | NOSUID | NODEV;
        let place = self.place(target, Missing::Directory)?;
        let path = process::descriptor_path(place);
        let fail = |failure: Failure<'_>| Failure {
            errno: failure.errno,
            subject: target,
        };
        layers.enter(flags, place).map_err(fail)?;
        let overlay = layers.overlay(None, (attributes, flags), &path).map_err(fail)?;
        sys::close(place);
        if let Some(overlay) = overlay {
            // What was attached by `enter` covers the place, so the place is looked up again.
            self.attach(overlay, target)?;
        }
        process::change_directory(c"/")
    }
}

/// Layers by their names below one directory, the uppermost first.
struct Layers {
    base: &'static CStr,
    names: Vec<&'static CStr>,
}

impl Layers {
    fn read(operands: &mut Reader<'static>) -> Outcome<'static, Self> {
        let base = text(operands)?;
        let n_names = operands.length().ok_or(DAMAGED)?;
        let names = (0..n_names).map(|_| text(operands)).collect::<Result<_, _>>()?;
        Ok(Self { base, names })
    }

    /// Changes into their directory, so that their names are short. With an id map that is a mount of it with the ids
    /// of the user namespace, attached at the place `scratch`: overlayfs takes layers from attached mounts only.
    fn enter(&self, flags: u64, scratch: i32) -> Outcome<'static> {
        if flags & Overlay::ID_MAPPED == 0 {
            return process::change_directory(self.base);
        }
        let base = tree::directory(self.base)?;
        let tree = tree::copy(base, false);
        sys::close(base);
        let tree = tree?;
        let change = Change {
            set: RDONLY | NOSUID | NODEV,
            user_namespace: Some(fd::USER_NAMESPACE),
            ..Change::default()
        };
        tree::change(tree, change).map_err(|failure| failure.on(self.base))?;
        tree::attach(tree, scratch)?;
        process::change_to(tree)?;
        sys::close(tree);
        Ok(())
    }

    /// Puts them together; `None` when the kernel could do so only at the target itself, and did.
    fn overlay<'a>(
        &self,
        upper: Option<(&'a CStr, &'a CStr)>,
        (attributes, flags): (u64, u64),
        target: &'a CStr,
    ) -> Outcome<'a, Option<i32>> {
        if let (None, [only]) = (upper, self.names.as_slice()) {
            let layer = tree::directory(only)?;
            let copy = tree::copy(layer, false);
            sys::close(layer);
            let copy = copy?;
            let set = attributes;
            tree::change(
                copy,
                Change {
                    set,
                    ..Change::default()
                },
            )?;
            return Ok(Some(copy));
        }
        let user_attributes = flags & Overlay::USER_ATTRIBUTES != 0;
        match self.new_overlay(upper, user_attributes, attributes, target) {
            // Kernels before 6.7 take all layers in one text, and say so only when they mount it.
            Err(Failure {
                errno: libc::EINVAL, ..
            }) => {
                let legacy = LegacyOverlay {
                    names: &self.names,
                    upper,
                    attributes,
                    user_attributes,
                };
                legacy.mount(target).map(|()| None)
            }
            overlay => overlay.map(Some),
        }
    }

    fn new_overlay<'a>(
        &self,
        upper: Option<(&CStr, &CStr)>,
        user_attributes: bool,
        attributes: u64,
        target: &'a CStr,
    ) -> Outcome<'a, i32> {
        let context = NewFileSystem::open(c"overlay")?;
        let set = |key, value: &CStr| {
            let set = context.set(key, value);
            set.map_err(|failure| failure.on(target))
        };
        if user_attributes {
            set(c"userxattr", c"")?;
        }
        for name in &self.names {
            set(c"lowerdir+", name)?;
        }
        if let Some((upper, work)) = upper {
            set(c"upperdir", upper)?;
            set(c"workdir", work)?;
        }
        context.tree(attributes).map_err(|failure| failure.on(target))
    }
}

/// Attaches a tree and closes both.
fn attach_at(tree: i32, place: i32) -> Outcome<'static> {
    let attached = tree::attach(tree, place);
    sys::close(place);
    sys::close(tree);
    attached
}

/// A path below one that is agent's.
fn below(path: &CStr, name: &str) -> CString {
    CString::new([path.to_bytes(), b"/", name.as_bytes()].concat()).unwrap_or_default()
}

fn mode(operands: &mut Reader<'static>) -> Outcome<'static, u32> {
    u32::try_from(number(operands)?).map_err(|_| DAMAGED)
}

/// User and group of the host.
fn owner(operands: &mut Reader<'static>) -> Outcome<'static, (u32, u32)> {
    Ok((mode(operands)?, mode(operands)?))
}

//! The steps that put a container's root together, as instructions.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc;
use proffer_container::{Access, Attach, Layers, Mount, MountLayers, MountRoot, NewFile, Node, RootStep};
use proffer_init::program::{Op, Overlay, Writer};
use proffer_types::container::Propagation;

/// One step.
pub(super) fn step(step: &RootStep, writer: &mut Writer) {
    match step {
        RootStep::OpenTree(path) => {
            writer.op(Op::OpenTree).text(bytes(path));
        }
        RootStep::SealHost => {
            let attributes = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
            writer.op(Op::SealRoot).number(attributes).number(1);
        }
        RootStep::SealImage => {
            writer.op(Op::SealRoot).number(libc::MOUNT_ATTR_RDONLY).number(0);
        }
        RootStep::MountRoot(step) => mount_root(step, writer),
        RootStep::Mount(step) => mount(step, writer),
        RootStep::Attach(step) => attach(step, writer),
        RootStep::MountLayers(MountLayers { layers, target }) => {
            writer.op(Op::MountLayers).text(bytes(target));
            list(layers, writer);
            writer.number(flags(layers));
        }
        RootStep::Show {
            source,
            target,
            read_only,
        } => {
            let (source, target) = (bytes(source), bytes(target));
            writer
                .op(Op::Show)
                .text(source)
                .text(target)
                .number(bound(*read_only));
        }
        RootStep::Cover(path) => {
            writer.op(Op::Cover).text(bytes(path));
        }
        RootStep::ReadOnly(path) => {
            writer.op(Op::ReadOnly).text(path);
        }
        RootStep::Pivot => {
            writer.op(Op::Pivot);
        }
        RootStep::MakeDirectory { path, mode, owner } => {
            writer
                .op(Op::MakeDirectory)
                .text(bytes(path))
                .number((*mode).into());
            self::owner(*owner, writer);
        }
        RootStep::MakeNode(node) => make_node(node, writer),
        RootStep::MakeLink { path, target } => {
            writer.op(Op::MakeLink).text(path).text(target);
        }
        RootStep::MakeFile(file) => make_file(file, writer),
        RootStep::Write { path, value } => {
            writer.op(Op::WriteFile).text(path).text(value);
        }
    }
}

fn make_node(node: &Node, writer: &mut Writer) {
    let kind = if node.is_block {
        libc::S_IFBLK
    } else {
        libc::S_IFCHR
    };
    let device = libc::makedev(node.major, node.minor);
    writer.op(Op::MakeNode).text(bytes(&node.path));
    writer.number((kind | node.mode).into()).number(device);
    owner(node.owner, writer);
}

fn make_file(file: &NewFile, writer: &mut Writer) {
    writer
        .op(Op::MakeFile)
        .text(bytes(&file.path))
        .number(file.mode.into());
    owner(file.owner, writer);
    writer.bytes(&file.content);
}

fn mount_root(step: &MountRoot, writer: &mut Writer) {
    let upper = step.upper.as_ref();
    let (upper, work) = upper.map_or((&b""[..], &b""[..]), |(upper, work)| (bytes(upper), bytes(work)));
    writer.op(Op::MountRoot).text(bytes(&step.mount_point));
    list(&step.layers, writer);
    writer.text(upper).text(work).number(flags(&step.layers));
    owner(step.owner, writer);
}

fn flags(layers: &Layers) -> u64 {
    let flags = [
        (layers.id_mapped, Overlay::ID_MAPPED),
        (layers.user_attributes, Overlay::USER_ATTRIBUTES),
    ];
    flags
        .iter()
        .filter(|(is_set, _)| *is_set)
        .map(|(_, flag)| flag)
        .sum()
}

fn list(layers: &Layers, writer: &mut Writer) {
    let names = layers.names.iter().map(|name| bytes(name)).collect::<Vec<_>>();
    writer.text(bytes(&layers.base)).list(&names);
}

/// A mount of a new file system.
pub(super) fn mount(mount: &Mount, writer: &mut Writer) {
    let Access {
        read_only,
        execute,
        devices,
    } = mount.access;
    let attributes = [
        (true, libc::MOUNT_ATTR_NOSUID),
        (read_only, libc::MOUNT_ATTR_RDONLY),
        (!execute, libc::MOUNT_ATTR_NOEXEC),
        (!devices, libc::MOUNT_ATTR_NODEV),
    ];
    let set = attributes.into_iter().filter(|(is_set, _)| *is_set);
    let options = mount
        .options
        .iter()
        .flat_map(|(key, value)| [key, value.as_str()]);
    writer
        .op(Op::Mount)
        .text(mount.filesystem)
        .text(bytes(&mount.target))
        .number(set.fold(0, |all, (_, one)| all | one))
        .list(&options.collect::<Vec<_>>());
}

fn attach(attach: &Attach, writer: &mut Writer) {
    let propagation = match attach.propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::HostToContainer => libc::MS_SLAVE,
        Propagation::Bidirectional => libc::MS_SHARED,
    };
    let devices = if attach.is_device {
        libc::MOUNT_ATTR_NODEV
    } else {
        0
    };
    writer
        .op(Op::Attach)
        .number(attach.tree as u64)
        .text(bytes(&attach.target))
        .number(bound(attach.read_only) & !devices)
        .number(propagation);
}

/// The attributes of what is seen at another place.
fn bound(read_only: bool) -> u64 {
    let read_only = if read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
    libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | read_only
}

fn owner((uid, gid): (u32, u32), writer: &mut Writer) {
    writer.number(uid.into()).number(gid.into());
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

//! What init mounts and makes in a container's root. Every target is below that root, wherever it is, and no symbolic
//! link leads out of it.

use std::path::PathBuf;

use proffer_types::container::Propagation;

/// One step at the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootStep {
    /// Opens what is mounted at a path of the host and below it, for a later [`Attach`]; numbered from 0 in their order. No
    /// part of the path may be a symbolic link.
    OpenTree(PathBuf),
    /// Makes what is mounted in the root so far read-only, and useless for device files and set-user-id programs.
    SealHost,
    MountRoot(MountRoot),
    Mount(Mount),
    Attach(Attach),
    MountLayers(MountLayers),
    /// Shows a file of the container at another place.
    Show {
        source: PathBuf,
        target: PathBuf,
        read_only: bool,
    },
    MakeDirectory {
        path: PathBuf,
        mode: u32,
        owner: (u32, u32),
    },
    MakeNode(Node),
    MakeLink {
        path: &'static str,
        target: &'static str,
    },
    MakeFile(NewFile),
    /// Writes a file of the kernel's.
    Write {
        path: &'static str,
        value: String,
    },
    /// Hides a file or directory; fine where there is none.
    Cover(PathBuf),
    /// Makes a file or directory read-only; fine where there is none.
    ReadOnly(&'static str),
    /// Makes the image's root read-only, but for what is mounted in it.
    SealImage,
    /// Makes the image's root the root.
    Pivot,
}

/// One new file system; never with set-user-id programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `proc`, `sysfs`, `tmpfs`, `devpts`, `mqueue`, `ramfs`, `cgroup2`.
    pub filesystem: &'static str,
    pub target: PathBuf,
    pub access: Access,
    /// The file system's own options; a value that is empty makes a flag.
    pub options: Vec<(&'static str, String)>,
}

/// What may be done with the files of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Access {
    pub read_only: bool,
    /// Whether programs can be executed.
    pub execute: bool,
    /// Whether device files work.
    pub devices: bool,
}

/// A tree that was opened before, seen at its target, which is made where it is missing; without set-user-id programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// The number of the tree.
    pub tree: usize,
    pub target: PathBuf,
    pub read_only: bool,
    /// Whether device files work: the tree is one.
    pub is_device: bool,
    pub propagation: Propagation,
}

/// Layers of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    /// A directory above all of them.
    pub base: PathBuf,
    /// Relative to `base`, the uppermost first.
    pub names: Vec<PathBuf>,
    /// Whether their files have the ids of the container's user namespace.
    pub id_mapped: bool,
    /// Whether overlayfs keeps its own attributes where a user may set them (`userxattr`).
    pub user_attributes: bool,
}

/// An image's layers as the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountRoot {
    pub layers: Layers,
    pub mount_point: PathBuf,
    /// What the container changes, and overlayfs's own directory; absent means in memory, to be sealed.
    pub upper: Option<(PathBuf, PathBuf)>,
    /// Of the upper directory: user and group of the host.
    pub owner: (u32, u32),
}

/// An image's layers at a place, read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountLayers {
    pub layers: Layers,
    pub target: PathBuf,
}

/// A device file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub path: PathBuf,
    pub is_block: bool,
    pub major: u32,
    pub minor: u32,
    /// Permissions only.
    pub mode: u32,
    /// User and group of the host.
    pub owner: (u32, u32),
}

/// A small file.
#[derive(Clone, PartialEq, Eq)]
pub struct NewFile {
    pub path: PathBuf,
    pub mode: u32,
    pub owner: (u32, u32),
    pub content: Vec<u8>,
}

/// The content may be a secret.
impl std::fmt::Debug for NewFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewFile")
            .field("path", &self.path)
            .field("mode", &self.mode)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

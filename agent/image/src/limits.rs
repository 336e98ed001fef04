//! What an image may cost at most. An image comes from anybody; nothing of it is taken on trust.

/// The largest manifest or index, in bytes: what registries accept at most (the distribution specification says 4 MiB).
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;
/// The largest image configuration, in bytes. Long histories make some hundred KiB.
pub const MAX_CONFIG_BYTES: u64 = 4 << 20;
/// The most layers of an image: what Docker and containerd build at most.
pub const MAX_LAYERS: usize = 127;
/// Indexes that point to indexes, at most so many below each other.
pub(crate) const MAX_INDEX_DEPTH: usize = 4;
/// The largest extended header of one tar entry, in bytes: a path, a link and the largest extended attribute the kernel
/// takes (64 KiB) several times over.
pub(crate) const MAX_TAR_HEADER_BYTES: u64 = 1 << 20;
/// The longest path in a layer, in bytes: the kernel's PATH_MAX, with its NUL.
pub(crate) const MAX_PATH_BYTES: usize = 4095;
/// What is remembered of one layer while it is unpacked, in bytes of paths and attributes.
pub(crate) const MAX_REMEMBERED_BYTES: u64 = 64 << 20;
/// The most pieces of one sparse file.
pub(crate) const MAX_SPARSE_PIECES: usize = 1 << 16;
/// So much may be unpacked before the ratio is looked at: small layers of zeros are common.
pub(crate) const RATIO_FREE_BYTES: u64 = 64 << 20;

/// What an operator allows one image to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of one layer, unpacked, in bytes. Also bounds what a registry may send for it.
    pub layer_bytes: u64,
    /// Of all layers of one image, unpacked, in bytes.
    pub image_bytes: u64,
    /// Files, directories and links in one layer.
    pub layer_entries: u64,
    /// A layer that unpacks to more than so many times its size is taken for a bomb.
    pub ratio: u64,
}

impl Default for Limits {
    /// Room for the largest images in common use (some 20 GiB), and for text that compresses very well.
    fn default() -> Self {
        Self {
            layer_bytes: 16 << 30,
            image_bytes: 48 << 30,
            layer_entries: 1_000_000,
            ratio: 200,
        }
    }
}

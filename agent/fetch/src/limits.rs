//! How much a server or an archive may cost.

/// The bounds of one fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a download, and of what an archive holds.
    pub max_bytes: u64,
    /// Files, directories and links of an archive: a file system has only so many inodes.
    pub max_entries: u64,
    /// Bytes unpacked for each byte of an archive. Deflate reaches 1032, which is what a zip bomb is; source code stays
    /// below 20 and logs below 100.
    pub max_ratio: u64,
}

impl Limits {
    /// Bounds that no honest file meets.
    pub const DEFAULT: Self = Self {
        max_bytes: 10 << 30,
        max_entries: 1_000_000,
        max_ratio: 200,
    };

    /// What may be unpacked from an archive of a size. A small one may hold zeros.
    #[must_use]
    pub fn unpacked(&self, archive_bytes: u64) -> u64 {
        /// Below this nobody is hurt, whatever the ratio.
        const FREE: u64 = 16 << 20;
        let by_ratio = archive_bytes.saturating_mul(self.max_ratio).max(FREE);
        by_ratio.min(self.max_bytes)
    }
}

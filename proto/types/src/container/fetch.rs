//! Files a task wants in its sandbox before it starts.

/// One file or archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// `http://`, `https://`, or `file://` (only below what the agent's operator allows).
    pub uri: String,
    /// Of the file as fetched, 64 hex digits in lower case; another content fails the task.
    pub sha256: Option<String>,
    /// Relative to the sandbox, without `..`; absent means the last part of the URI's path. Of an archive that is
    /// extracted, the directory it goes to; absent means the sandbox itself.
    pub destination: Option<String>,
    pub executable: bool,
    /// Unpack it: `.tar`, `.tar.gz`, `.tgz`, `.tar.zst`, `.tar.bz2`, `.zip`. The archive itself is not kept.
    pub extract: bool,
    /// Keep it for other tasks, and take it from there.
    pub cache: bool,
}

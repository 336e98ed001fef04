//! Which image a task runs in.

/// An image, and when it is asked for again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageSpec {
    /// `[registry/]name[:tag][@sha256:..]` as Docker writes them; `oci:/path[:tag]` for a layout directory of the agent's
    /// host, `oci-archive:/path[:tag]` for one in a tar file.
    pub reference: String,
    pub pull: PullPolicy,
}

/// When an image is looked up at its source again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum PullPolicy {
    /// When the agent does not have it.
    #[default]
    IfMissing,
    /// At every launch; layers that are there are not fetched again.
    Always,
    /// Not at all: the task fails when the agent does not have it.
    Never,
}

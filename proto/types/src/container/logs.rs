//! How much of a task's output is kept.

/// Bytes of one file of output where neither task nor agent says otherwise.
pub const DEFAULT_LOG_BYTES: u64 = 10 << 20;
/// Files of each stream where neither task nor agent says otherwise, the one being written among them.
pub const DEFAULT_LOG_FILES: u32 = 5;

/// How much of a task's output is kept: of each stream the newest `files` files of `max_bytes`. Absent means the agent's
/// default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogSettings {
    /// At least 4096.
    pub max_bytes: Option<u64>,
    /// 1 to 100.
    pub files: Option<u32>,
}

//! What the agent and proffer-init tell each other: the program, the report, the exit record.
//!
//! Every form is bytes at fixed places, so that init needs no parser and no allocation. The two ends are always built
//! together, save for the exit record, which an agent of a later version may read: it carries a version.

pub mod program;
pub mod record;
pub mod report;

/// The descriptors init is started with; 0, 1 and 2 are the payload's.
pub mod fd {
    /// A file that holds the program.
    pub const PROGRAM: i32 = 3;
    /// The file the exit record is written to.
    pub const EXIT: i32 = 4;
    /// The pipe that reports are written to; its end means the command has been executed.
    pub const REPORT: i32 = 5;
}

/// The real-time signal that makes init kill every other process of the container. Unlike SIGKILL of init itself,
/// it leaves an exit record.
pub const SIGNAL_KILL_ALL: i32 = 40;

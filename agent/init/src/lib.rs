//! What the agent and proffer-init tell each other: the program, the report, the exit record.
//!
//! Every form is bytes at fixed places, so that init needs no parser and no allocation. The two ends are always built
//! together, save for the exit record, which an agent of a later version may read: it carries a version.
#![no_std]

extern crate alloc;

pub mod attach;
pub mod control;
pub mod older;
pub mod program;
pub mod record;
pub mod report;

/// The descriptors init is started with; 0 is the payload's, 1 and 2 are the files of its output.
pub mod fd {
    /// A file that holds the program.
    pub const PROGRAM: i32 = 3;
    /// The file the exit record is written to.
    pub const EXIT: i32 = 4;
    /// The pipe that reports are written to; its end means the command has been executed.
    pub const REPORT: i32 = 5;
    /// The directory of the files that are 1 and 2 for init itself.
    pub const DIRECTORY: i32 = 6;
    /// The socket that clients attach to, if the payload takes input.
    pub const ATTACH: i32 = 7;
    /// The user namespace of the payload, and of the files of its image. Absent where those are the host's.
    pub const USER_NAMESPACE: i32 = 8;
    /// The mount namespace of an agent without root: kept here for the next agent, and never looked at.
    pub const MOUNTS: i32 = 9;
    /// In place of [`EXIT`] when a command is executed in a running container: the socket to the agent.
    pub const CONTROL: i32 = EXIT;
    /// In place of [`DIRECTORY`]: the container's pid 1.
    pub const CONTAINER: i32 = DIRECTORY;
    /// In place of [`ATTACH`]: the payload's first process.
    pub const PAYLOAD: i32 = ATTACH;
    /// The first of those that the payload's cgroup is entered by: one directory of v2, or the `tasks` files of v1.
    pub const CGROUPS: i32 = MOUNTS + 1;
    /// The kernel knows no more hierarchies of cgroup v1 with a controller.
    pub const MAX_CGROUPS: i32 = 16;
    /// The last of them.
    pub const LAST: i32 = CGROUPS + MAX_CGROUPS - 1;
}

/// The real-time signal that makes init kill every other process of the container. Unlike SIGKILL of init itself,
/// it leaves an exit record.
pub const SIGNAL_KILL_ALL: i32 = 40;

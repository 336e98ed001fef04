//! What the agent and proffer-init tell each other: the program, the report, the exit record.
//!
//! Every form is bytes at fixed places, so that init needs no parser and no allocation. The two ends are built together, but
//! a container outlives its agent: whatever a later agent still does to it stays as it is for good. That is the exit record,
//! the signal that kills all, the input of those who attach, the descriptors of the program and of the mount namespace, and
//! of the program its template. A test of each says so.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_agent_does_to_a_container_stays_as_it_is() {
        assert_eq!((fd::PROGRAM, fd::MOUNTS), (3, 9));
        assert_eq!(SIGNAL_KILL_ALL, 40);
        assert_eq!((attach::INPUT, attach::END), (b'I', b'E'));
        assert_eq!(attach::resize(0x0102, 0x0304), *b"W\x02\x01\x04\x03");
        let record = record::Record {
            wait_status: 0x0300,
            wall_time_us: 5,
        };
        let kept = *b"PROFEXIT\x01\0\0\0\0\x03\0\0\x05\0\0\0\0\0\0\0";
        assert_eq!(record.to_bytes()[..24], kept);
        assert_eq!(record::Record::from_bytes(&record.to_bytes()), Some(record));
    }
}

//! bpf(2) for device programs: loading one, and attaching it to a group.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use proffer_container::DeviceRule;
use proffer_container::devices::program;

/// Numbers of linux/bpf.h.
const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
/// Programs of the groups above still have their say: all must allow.
const ALLOW_MULTI: u32 = 2;

/// A program the kernel has checked.
#[derive(Debug)]
pub(super) struct Program(OwnedFd);

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`; what follows it is zero.
#[repr(C)]
struct Load {
    kind: u32,
    n_instructions: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The head of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

impl Program {
    /// Loads the program of some rules.
    pub(super) fn load(rules: &[DeviceRule]) -> io::Result<Self> {
        let instructions = program(rules);
        let bytes = instructions
            .iter()
            .flat_map(|one| one.to_bytes())
            .collect::<Vec<_>>();
        let attributes = Load {
            kind: TYPE_CGROUP_DEVICE,
            n_instructions: u32::try_from(instructions.len()).unwrap_or(u32::MAX),
            instructions: bytes.as_ptr() as u64,
            license: c"Apache-2.0".as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel_version: 0,
            flags: 0,
        };
        // SAFETY: the kernel reads as many bytes of the attributes as they have, and from them the instructions and the
        // NUL-terminated license, which live until the call returns. It returns a new descriptor (close-on-exec) or an
        // error.
        unsafe {
            let fd = libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attributes, size_of::<Load>());
            let fd = Errno::result(i32::try_from(fd).unwrap_or(-1))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Attaches it to a group for as long as the group is there.
    pub(super) fn attach(&self, group: &impl AsFd) -> io::Result<()> {
        let number = |fd: i32| u32::try_from(fd).unwrap_or(u32::MAX);
        let attributes = Attach {
            target: number(group.as_fd().as_raw_fd()),
            program: number(self.0.as_raw_fd()),
            kind: ATTACH_CGROUP_DEVICE,
            flags: ALLOW_MULTI,
        };
        // SAFETY: the kernel reads as many bytes of the attributes as they have, which are numbers alone.
        let attached = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                PROG_ATTACH,
                &raw const attributes,
                size_of::<Attach>(),
            )
        };
        Errno::result(attached).map(drop).map_err(io::Error::from)
    }
}

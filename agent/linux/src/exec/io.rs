//! The descriptors of a command that is executed in a container: theirs and ours.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, socketpair,
};
use nix::unistd::{Gid, Uid, fchown, pipe2};
use std::os::fd::AsFd;

use super::{ExecIo, ExecRequest};
use crate::embedded::out_of_the_way;
use crate::process::wait_readable;
use crate::spawn::Descriptors;

/// The terminal was sent before the command was executed: it is there, or never will be.
const TERMINAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Our ends.
#[derive(Debug)]
pub(super) struct Ends {
    control: OwnedFd,
    /// `None` for a terminal, which comes by the socket.
    pipes: Option<(Option<OwnedFd>, OwnedFd, OwnedFd)>,
}

/// What the command, and who watches over it, start with.
#[derive(Debug)]
pub(super) struct Theirs {
    stdio: [OwnedFd; 3],
    control: OwnedFd,
    pub(super) program: Option<OwnedFd>,
    pub(super) container: Option<OwnedFd>,
    pub(super) payload: Option<OwnedFd>,
}

impl Ends {
    /// Makes both; pipes belong to `owner`, user and group of the host, so that the command can open `/dev/stdout`.
    pub(super) fn new(request: &ExecRequest, owner: (u32, u32)) -> io::Result<(Self, Theirs)> {
        let (control, their_control) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        let null = || -> io::Result<OwnedFd> {
            out_of_the_way(File::options().read(true).write(true).open("/dev/null")?.into())
        };
        let mut stdio = [null()?, null()?, null()?];
        let mut pipes = None;
        if request.terminal.is_none() {
            let (stdout, theirs) = pipe(owner)?;
            stdio[1] = theirs;
            let (stderr, theirs) = pipe(owner)?;
            stdio[2] = theirs;
            never_block(&stdout)?;
            never_block(&stderr)?;
            let mut stdin = None;
            if request.stdin {
                let (theirs, ours) = pipe(owner)?;
                never_block(&ours)?;
                stdio[0] = theirs;
                stdin = Some(ours);
            }
            pipes = Some((stdin, stdout, stderr));
        }
        let theirs = Theirs {
            stdio,
            control: out_of_the_way(their_control)?,
            program: None,
            container: None,
            payload: None,
        };
        Ok((Self { control, pipes }, theirs))
    }

    /// Takes the terminal, if it is one.
    pub(super) fn into_io(self) -> io::Result<(ExecIo, OwnedFd)> {
        let io = match self.pipes {
            Some((stdin, stdout, stderr)) => ExecIo::Pipes {
                stdin,
                stdout,
                stderr,
            },
            None => ExecIo::Terminal(receive_terminal(&self.control)?),
        };
        Ok((io, self.control))
    }
}

impl Theirs {
    pub(super) fn descriptors(self) -> io::Result<Descriptors> {
        let missing = || io::Error::from(io::ErrorKind::InvalidInput);
        let [stdin, stdout, stderr] = self.stdio;
        Ok(Descriptors {
            stdin,
            stdout,
            stderr,
            program: self.program.ok_or_else(missing)?,
            exit: self.control,
            directory: out_of_the_way(self.container.ok_or_else(missing)?)?,
            attach: Some(out_of_the_way(self.payload.ok_or_else(missing)?)?),
            user_namespace: None,
            mounts: None,
            cgroups: Vec::new(),
        })
    }
}

fn pipe(owner: (u32, u32)) -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    fchown(
        &writer,
        Some(Uid::from_raw(owner.0)),
        Some(Gid::from_raw(owner.1)),
    )?;
    Ok((out_of_the_way(reader)?, out_of_the_way(writer)?))
}

fn never_block(descriptor: &OwnedFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFL)?);
    fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Takes the master that the command's process sent.
fn receive_terminal(control: &OwnedFd) -> io::Result<OwnedFd> {
    let lost = || io::Error::other("the command's terminal did not arrive");
    if !wait_readable(control.as_fd(), Instant::now() + TERMINAL_TIMEOUT)? {
        return Err(lost());
    }
    let mut tag = [0; 1];
    let mut bytes = [IoSliceMut::new(&mut tag)];
    let mut ancillary = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(control.as_raw_fd(), &mut bytes, Some(&mut ancillary), flags)?;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = part
            && let [descriptor] = descriptors[..]
        {
            // SAFETY: the kernel made it for this message, and nobody else has its number.
            let master = unsafe { OwnedFd::from_raw_fd(descriptor) };
            return is_master(&master).then_some(master).ok_or_else(lost);
        }
    }
    Err(lost())
}

/// Whether it is a terminal's master: only those have a number.
fn is_master(descriptor: &OwnedFd) -> bool {
    let mut number: libc::c_uint = 0;
    // SAFETY: the number outlives the call, and is what the request writes.
    unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::TIOCGPTN, &raw mut number) == 0 }
}

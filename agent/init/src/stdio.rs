//! The payload's stdin, stdout and stderr: made before it starts, shared out when it does.

use core::ffi::CStr;

use proffer_init::fd;
use proffer_init::program::{Reader, Stdio as Flags};

use crate::input::Input;
use crate::output::Stream;
use crate::rotate::{Limits, Log};
use crate::sys::{self, DAMAGED, Outcome, io, signal, terminal};

/// What pid 1 supervises with.
#[derive(Debug)]
pub(crate) struct Stdio {
    /// What the payload gets as descriptors 0, 1 and 2; `None` for what init itself has there.
    theirs: [Option<i32>; 3],
    is_terminal: bool,
    pub(crate) signals: i32,
    pub(crate) streams: [Option<Stream>; 2],
    pub(crate) input: Option<Input>,
}

impl Stdio {
    /// Makes pipes or a terminal. The operands are those of [`proffer_init::program::Op::Stdio`].
    pub(crate) fn new(operands: &mut Reader<'static>) -> Outcome<'static, Self> {
        let mut number = || operands.number().ok_or(DAMAGED);
        let (flags, uid, gid) = (number()?, number()?, number()?);
        let (max_bytes, files) = (number()?, number()?);
        let owner = (id(uid)?, id(gid)?);
        let limits = Limits {
            max_bytes,
            files: usize::try_from(files).map_err(|_| DAMAGED)?,
        };
        let stdout = log(limits, operands, libc::STDOUT_FILENO)?;
        let stderr = log(limits, operands, libc::STDERR_FILENO)?;
        if flags & Flags::TERMINAL != 0 {
            return Self::terminal(owner, stdout);
        }
        Self::pipes(owner, flags & Flags::STDIN != 0, [stdout, stderr])
    }

    fn pipes(owner: (u32, u32), has_stdin: bool, logs: [Log; 2]) -> Outcome<'static, Self> {
        let [stdout, stderr] = logs;
        let mut stdio = Self {
            theirs: [None; 3],
            is_terminal: false,
            signals: signal::open()?,
            streams: [None, None],
            input: None,
        };
        for (at, log) in [stdout, stderr].into_iter().enumerate() {
            let (ours, theirs) = io::pipe()?;
            io::never_block(ours)?;
            io::give_to(theirs, owner.0, owner.1)?;
            stdio.theirs[1 + at] = Some(theirs);
            stdio.streams[at] = Some(Stream::new(ours, log, true));
        }
        if has_stdin {
            let (theirs, ours) = io::pipe()?;
            io::never_block(ours)?;
            io::give_to(theirs, owner.0, owner.1)?;
            stdio.theirs[0] = Some(theirs);
            stdio.input = Some(Input::new(fd::ATTACH, ours, false));
        }
        Ok(stdio)
    }

    fn terminal(owner: (u32, u32), log: Log) -> Outcome<'static, Self> {
        let (master, slave) = terminal::open()?;
        io::give_to(slave, owner.0, owner.1)?;
        Ok(Self {
            theirs: [Some(slave); 3],
            is_terminal: true,
            signals: signal::open()?,
            streams: [Some(Stream::new(master, log, false)), None],
            input: Some(Input::new(fd::ATTACH, io::duplicate(master)?, true)),
        })
    }

    /// In the payload's process, which leads a session: puts its ends where it looks for them.
    pub(crate) fn take(&self) -> Outcome<'static> {
        for (theirs, place) in self.theirs.into_iter().zip(0..) {
            if let Some(theirs) = theirs {
                io::place(theirs, place)?;
            }
        }
        if self.is_terminal {
            terminal::control(libc::STDIN_FILENO)?;
        }
        Ok(())
    }

    /// In pid 1: lets go of what is the payload's, so that a pipe ends when the payload closes it. A terminal is kept open
    /// lest it hang up whenever the payload has it closed.
    pub(crate) fn keep(&self) {
        if !self.is_terminal {
            self.theirs.into_iter().flatten().for_each(sys::close);
        }
        sys::close(libc::STDIN_FILENO);
    }

    /// Moves what the payload has written so far to its files.
    pub(crate) fn drain(&mut self) {
        self.streams.iter_mut().flatten().for_each(Stream::drain);
    }
}

fn id(number: u64) -> Outcome<'static, u32> {
    u32::try_from(number).map_err(|_| DAMAGED)
}

/// One stream's files: the name of the one being written, which is open, and where the older ones end.
fn log(limits: Limits, operands: &mut Reader<'static>, file: i32) -> Outcome<'static, Log> {
    let name: &'static CStr = operands.text().ok_or(DAMAGED)?;
    let n_ends = operands.length().ok_or(DAMAGED)?;
    let mut damaged = false;
    let ends = (0..n_ends).map(|_| {
        operands.number().unwrap_or_else(|| {
            damaged = true;
            0
        })
    });
    let log = Log::new(limits, name, file, ends)?;
    if damaged { Err(DAMAGED) } else { Ok(log) }
}

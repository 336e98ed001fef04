//! Runs a program, and kills it just before one of its steps: `kill-before LOG DIR STEP NTH PROGRAM..`. With
//! `PROFFER_FAIL_WITH=ERRNO` in the environment that step fails instead, and nobody is killed.
//!
//! A step is a system call that changes something (`steps`), of the program or of a process it started: when it is the
//! latter's, that one goes on. Steps are told apart by who makes them, the call, and its path; NTH is among those of one
//! name, from 1. Names of all steps go to LOG. It says the program's pid first, and ends when nothing that came of the
//! program is left.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use proffer_privileged_tests::steps::{CALLS, FAIL_WITH, KILLED, Subject};

/// What tasks execute: their own doings are no steps of a launch.
const PAYLOADS: [&str; 3] = ["sh", "sleep", "busybox"];

/// Longer paths are told by their beginning.
const MAX_PATH_BYTES: usize = 512;

/// Names of so many hex digits are ids.
const MIN_ID_DIGITS: usize = 8;

struct Tracer {
    program: Pid,
    dir: PathBuf,
    log: File,
    target: (String, usize),
    /// What the step fails with; absent where the program is killed before it.
    errno: Option<i32>,
    counts: BTreeMap<String, usize>,
}

#[expect(clippy::print_stdout, reason = "its output is what the test reads")]
fn main() -> Result<()> {
    // A test that is killed takes all with it.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let mut args = std::env::args().skip(1);
    let mut arg = || args.next().context("LOG DIR STEP NTH PROGRAM..");
    let (log, dir, step, nth) = (arg()?, arg()?, arg()?, arg()?.parse()?);
    let child = Command::new("sh")
        .args(["-c", "kill -STOP $$; exec \"$@\"", "sh"])
        .args(args)
        .stdout(Stdio::null())
        .spawn()?;
    let program = Pid::from_raw(child.id().cast_signed());
    waitpid(program, Some(WaitPidFlag::WUNTRACED))?;
    let options = Options::PTRACE_O_TRACESECCOMP
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(program, options)?;
    println!("{program}");
    signal::kill(program, Signal::SIGCONT)?;
    let tracer = Tracer {
        program,
        dir: PathBuf::from(dir),
        log: File::create(log)?,
        target: (step, nth),
        errno: std::env::var(FAIL_WITH)
            .ok()
            .map(|errno| errno.parse())
            .transpose()?,
        counts: BTreeMap::new(),
    };
    tracer.run()
}

impl Tracer {
    fn run(mut self) -> Result<()> {
        loop {
            match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::PtraceEvent(pid, _, event)) => {
                    if event == libc::PTRACE_EVENT_SECCOMP {
                        self.step(pid)?;
                    }
                    resume(pid, None)?;
                }
                Ok(WaitStatus::Stopped(pid, signal)) => resume(pid, Some(signal))?,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn step(&mut self, pid: Pid) -> Result<()> {
        // What is killed meanwhile cannot be read.
        let Ok(Some(name)) = self.name(pid) else {
            return Ok(());
        };
        writeln!(self.log, "{name}")?;
        let count = self.counts.entry(name.clone()).or_insert(0);
        *count += 1;
        if (&name, *count) == (&self.target.0, self.target.1) {
            match self.errno {
                None => signal::kill(self.program, Signal::SIGKILL)?,
                Some(errno) => fail(pid, errno)?,
            }
            writeln!(self.log, "{KILLED}")?;
        }
        Ok(())
    }

    fn name(&self, pid: Pid) -> Result<Option<String>> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let status = fs::read_to_string(process.join("status"))?;
        let line = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.map(|value| value.trim().to_owned()).context("no such line")
        };
        let who = match line("Tgid:")? == self.program.to_string() {
            true => "agent".to_owned(),
            false => line("Name:")?,
        };
        if PAYLOADS.contains(&who.as_str()) {
            return Ok(None);
        }
        let text = fs::read_to_string(process.join("syscall"))?;
        let mut words = text.split_whitespace();
        let number: i64 = words.next().context("no number")?.parse()?;
        let args = words.map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16));
        let args = args.collect::<Result<Vec<_>, _>>()?;
        let Some(call) = CALLS.iter().find(|call| call.number == number) else {
            return Ok(None);
        };
        let subject = subject(&process, call.subject, &args)?;
        Ok(subject.map(|path| format!("{who} {} {}", call.name, self.plain(&path))))
    }

    /// A path without what differs from life to life.
    fn plain(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.dir).unwrap_or(path);
        let parts = path.iter().map(|part| {
            let mut plain = String::new();
            let text = part.to_string_lossy();
            for word in text.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
                let (digits, rest) =
                    word.split_at(word.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(word.len()));
                let is_id = digits.len() >= MIN_ID_DIGITS || digits.chars().all(|c| c.is_ascii_digit());
                plain += match is_id && !digits.is_empty() {
                    true => "#",
                    false => digits,
                };
                plain += rest;
            }
            plain
        });
        parts.collect::<Vec<_>>().join("/")
    }
}

/// Has a call return an error without being made (ptrace(2), seccomp(2): a call of number -1 is skipped).
#[cfg(target_arch = "x86_64")]
fn fail(pid: Pid, errno: i32) -> Result<()> {
    let mut registers = ptrace::getregs(pid)?;
    registers.orig_rax = u64::MAX;
    registers.rax = i64::from(-errno).cast_unsigned();
    Ok(ptrace::setregs(pid, registers)?)
}

#[cfg(not(target_arch = "x86_64"))]
fn fail(_: Pid, _: i32) -> Result<()> {
    anyhow::bail!("no call can be failed on this architecture")
}

fn resume(pid: Pid, signal: Option<Signal>) -> Result<()> {
    match ptrace::cont(pid, signal) {
        // It was killed meanwhile.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The path a call is about, empty where it has none; `None` where the call is no step.
fn subject(process: &Path, subject: Subject, args: &[u64]) -> Result<Option<PathBuf>> {
    let arg = |n: usize| args.get(n).copied().context("no such argument");
    let creates = u64::from((libc::O_CREAT | libc::O_TMPFILE & !libc::O_DIRECTORY).cast_unsigned());
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    let link = |n| -> Result<PathBuf> { Ok(fs::read_link(process.join("fd").join(arg(n)?.to_string()))?) };
    Ok(match subject {
        Subject::Nothing => Some(PathBuf::new()),
        Subject::Path(n) => Some(text(process, arg(n)?)?),
        Subject::At(n) => Some(at(process, arg(n)?, arg(n + 1)?)?),
        Subject::Create(n) if arg(n + 2)? & creates == 0 => None,
        Subject::Create(n) => Some(at(process, arg(n)?, arg(n + 1)?)?),
        Subject::File(n) => Some(link(n)?).filter(|path| {
            let is_ours = path.is_absolute() && !path.starts_with("/dev") && !path.starts_with("/memfd:");
            is_ours && path.extension().is_none_or(|extension| extension != "log")
        }),
        Subject::Netlink(n) => {
            let path = process.join("fd").join(arg(n)?.to_string());
            let mut protocol = [0; 16];
            let length = rustix::fs::getxattr(&path, "system.sockprotoname", &mut protocol[..]);
            length
                .is_ok_and(|length| protocol[..length].starts_with(b"NETLINK"))
                .then(PathBuf::new)
        }
        Subject::Flags(n) => (arg(n)? & thread == 0).then(PathBuf::new),
        Subject::FlagsBehind(n) => {
            let mut flags = [0; 8];
            File::open(process.join("mem"))?.read_exact_at(&mut flags, arg(n)?)?;
            (u64::from_ne_bytes(flags) & thread == 0).then(PathBuf::new)
        }
    })
}

fn text(process: &Path, address: u64) -> Result<PathBuf> {
    let mut bytes = [0; MAX_PATH_BYTES];
    // Less than that where no memory follows.
    let n_bytes = File::open(process.join("mem"))?.read_at(&mut bytes, address)?;
    let text = bytes[..n_bytes]
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default();
    Ok(PathBuf::from(String::from_utf8_lossy(text).into_owned()))
}

fn at(process: &Path, directory: u64, path: u64) -> Result<PathBuf> {
    let path = text(process, path)?;
    // A descriptor is an int, whatever the register holds above it.
    let directory = u32::try_from(directory & u64::from(u32::MAX))?.cast_signed();
    if path.is_absolute() || directory == libc::AT_FDCWD {
        return Ok(path);
    }
    let directory = fs::read_link(process.join("fd").join(directory.to_string()))?;
    Ok(directory.join(path))
}

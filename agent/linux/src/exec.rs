//! Executing a command in a running container: in its namespaces and its cgroup, as confined as its payload.
//!
//! A process that watches over the command stays outside of the container's pid namespace, in init's own leaf. It ends the
//! command when the [`Exec`] is dropped or the agent dies, and says how the command ended.

mod io;
mod target;

use std::io as std_io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{MsgFlags, recv, send};
use proffer_container::{ContainerId, Leaf, User};
use proffer_init::control;
use proffer_init::program::{Op, Writer};
use proffer_init::report::Report;
use proffer_types::TaskExit;

use crate::cgroups::Cgroups;
use crate::error::ExecError;
use crate::process::{Process, wait_readable};
use crate::spawn::{self, Place};
use crate::template::Template;
use crate::{embedded, launch, program};
use io::Ends;
use target::Target;

/// A command to be executed in a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecRequest {
    /// Not empty, nor its first item. No NUL bytes, here and below.
    pub argv: Vec<String>,
    /// Over the environment of the task.
    pub env: Vec<(String, String)>,
    /// Absolute; absent means the task's.
    pub working_directory: Option<String>,
    /// Absent means the task's.
    pub user: Option<User>,
    /// A terminal of that size in place of three pipes.
    pub terminal: Option<WindowSize>,
    /// Whether stdin is a pipe; else it is empty. A terminal always takes input.
    pub stdin: bool,
}

/// Rows and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}

/// What a command reads from and writes to: our ends, which do not block.
#[derive(Debug)]
pub enum ExecIo {
    Pipes {
        stdin: Option<OwnedFd>,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// The master. Reading fails with EIO once nobody has the terminal open.
    Terminal(OwnedFd),
}

/// A command that is being executed. Dropped, it is hung up on, and a second later killed.
#[derive(Debug)]
pub struct Exec {
    io: Option<ExecIo>,
    terminal: Option<OwnedFd>,
    control: OwnedFd,
    watcher: Option<Process>,
    leftovers: Leftovers,
}

/// Processes that are to be taken off the kernel's table once they have ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leftovers(Arc<Mutex<Vec<Process>>>);

impl Leftovers {
    /// Reaps those that have ended.
    pub(crate) fn sweep(&self) {
        let mut processes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        processes.retain(|process| {
            let has_ended = process.wait(Duration::ZERO).unwrap_or(false);
            if has_ended {
                process.reap();
            }
            !has_ended
        });
    }

    fn add(&self, process: Process) {
        let mut processes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        processes.push(process);
    }
}

/// Executes a command in a container whose pid 1 is `init`. Returns when it has been executed.
pub(crate) fn exec(
    cgroups: &Cgroups,
    program: &OwnedFd,
    container_id: &ContainerId,
    init: &Process,
    request: &ExecRequest,
    leftovers: Leftovers,
) -> Result<Exec, ExecError> {
    check(request)?;
    let target = Target::find(cgroups, container_id, init)?;
    let mut template = target.template()?;
    let owner = target.outside(template.become_user(request.user.clone()));
    template.change_directory(request.working_directory.clone());
    let (ends, mut theirs) = Ends::new(request, owner).map_err(ExecError::Spawn)?;
    let join = |leaf| cgroups.join(container_id, leaf);
    let steps = write(request, &template, &target, join);
    theirs.program = Some(embedded::file(c"proffer-exec", &steps).map_err(ExecError::Spawn)?);
    theirs.container = Some(init.pidfd().map_err(ExecError::Spawn)?);
    theirs.payload = Some(target.payload.pidfd().map_err(ExecError::Spawn)?);
    let place = cgroups
        .open_existing(container_id, Leaf::Init)
        .map(|cgroup| Place {
            namespaces: 0,
            cgroup,
        });
    let started = place.and_then(|place| spawn::run(program, theirs.descriptors()?, place));
    let (watcher, report) = started.map_err(ExecError::Spawn)?;
    let Some(report) = report else {
        let _ = watcher.signal(libc::SIGKILL);
        leftovers.add(watcher);
        return Err(ExecError::TimedOut(spawn::LAUNCH_TIMEOUT));
    };
    let failure = failed(&report, request);
    let (io, control) = match (failure, ends.into_io()) {
        (None, Ok(ends)) => ends,
        (failure, ends) => {
            // It ends by itself, now that our end of its socket is closed.
            leftovers.add(watcher);
            return Err(failure
                .or(ends.err().map(ExecError::Spawn))
                .unwrap_or(ExecError::Gone));
        }
    };
    let terminal = match &io {
        ExecIo::Terminal(master) => Some(master.try_clone().map_err(ExecError::Spawn)?),
        ExecIo::Pipes { .. } => None,
    };
    Ok(Exec {
        io: Some(io),
        terminal,
        control,
        watcher: Some(watcher),
        leftovers,
    })
}

fn check(request: &ExecRequest) -> Result<(), ExecError> {
    let texts = request.argv.iter().chain(&request.working_directory);
    let mut all = texts.chain(request.env.iter().flat_map(|(name, value)| [name, value]));
    if request.argv.first().is_none_or(String::is_empty) {
        return Err(ExecError::Request("the command is empty"));
    }
    if all.any(|text| text.contains('\0')) {
        return Err(ExecError::Request("a text contains a NUL byte"));
    }
    if request
        .env
        .iter()
        .any(|(name, _)| name.is_empty() || name.contains('='))
    {
        return Err(ExecError::Request("a variable's name is empty or contains `=`"));
    }
    if request
        .working_directory
        .as_ref()
        .is_some_and(|path| !path.starts_with('/'))
    {
        return Err(ExecError::Request("the working directory is not absolute"));
    }
    Ok(())
}

/// The program of the watching process and the command.
fn write(
    request: &ExecRequest,
    template: &Template,
    target: &Target,
    join: impl Fn(Leaf) -> (proffer_init::program::Join, Vec<std::path::PathBuf>),
) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.op(Op::ForbidDumping);
    writer.op(Op::EnterContainer);
    program::enter(join(Leaf::Task), &mut writer);
    template.write_limits(&mut writer);
    let (of_init, of_payload) = target.namespaces;
    writer.op(Op::JoinNamespaces).number(of_init).number(of_payload);
    template.write_user(&mut writer);
    if let Some(WindowSize { rows, columns }) = request.terminal {
        writer
            .op(Op::OpenTerminal)
            .number(rows.into())
            .number(columns.into());
    }
    template.write_privileges(&mut writer);
    let env = environment(&template.env, &request.env);
    writer.op(Op::Execute).list(&request.argv).list(&env);
    proffer_init::program::file(&[], &writer.0)
}

/// The task's environment with what is asked for over it.
fn environment(of_task: &[Vec<u8>], over: &[(String, String)]) -> Vec<Vec<u8>> {
    let is_over = |variable: &&Vec<u8>| {
        let name = variable.split(|byte| *byte == b'=').next();
        over.iter().any(|(over, _)| Some(over.as_bytes()) == name)
    };
    let kept = of_task.iter().filter(|variable| !is_over(variable)).cloned();
    let over = over
        .iter()
        .map(|(name, value)| format!("{name}={value}").into_bytes());
    kept.chain(over).collect()
}

fn failed(report: &Report, request: &ExecRequest) -> Option<ExecError> {
    let Some(failure) = &report.failure else {
        return (!report.executes).then_some(ExecError::Gone);
    };
    let source = std_io::Error::from_raw_os_error(failure.errno);
    Some(match failure.op {
        Some(Op::Execute) => ExecError::Command {
            program: request.argv.first().cloned().unwrap_or_default(),
            is_missing: failure.errno == libc::ENOENT,
            reason: launch::reason(&source),
        },
        Some(Op::ChangeDirectory) => ExecError::Directory {
            path: failure.subject.clone(),
            reason: launch::reason(&source),
        },
        // The container's pid 1 or first process has ended meanwhile.
        Some(Op::EnterContainer | Op::JoinNamespaces) if failure.errno == libc::ESRCH => ExecError::Gone,
        op => ExecError::Step {
            step: op.map_or("read the program", Op::describe),
            source,
        },
    })
}

impl Exec {
    /// Our ends of stdin, stdout and stderr; `None` when they were taken before.
    pub fn take_io(&mut self) -> Option<ExecIo> {
        self.io.take()
    }

    /// Signals the command's process group.
    pub fn signal(&self, signal: u8) -> std_io::Result<()> {
        let packet = [control::SIGNAL, signal];
        match send(
            self.control.as_raw_fd(),
            &packet,
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
        ) {
            // It has ended.
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives the command's terminal another size. Without a terminal there is nothing to do.
    pub fn resize(&self, size: WindowSize) -> std_io::Result<()> {
        let Some(master) = &self.terminal else {
            return Ok(());
        };
        let size = libc::winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: the size outlives the call, and is what the request takes.
        Errno::result(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })?;
        Ok(())
    }

    /// How the command ended; `None` while it runs. Fails when that can never be known, since the process that watched
    /// over it was killed: with the container, as a rule.
    pub fn exit(&self) -> std_io::Result<Option<TaskExit>> {
        let mut packet = [0; 8];
        match recv(self.control.as_raw_fd(), &mut packet, MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(errno) => Err(errno.into()),
            Ok(n_read) => match packet[..n_read] {
                [control::EXITED, a, b, c, d] => Ok(Some(crate::exit::of_wait_status(i32::from_le_bytes([
                    a, b, c, d,
                ])))),
                _ => Err(std_io::ErrorKind::UnexpectedEof.into()),
            },
        }
    }

    /// Waits for the end; `None` when it has not come within the timeout.
    pub fn wait(&self, timeout: Duration) -> std_io::Result<Option<TaskExit>> {
        if wait_readable(self.control.as_fd(), Instant::now() + timeout)? {
            return self.exit();
        }
        Ok(None)
    }
}

/// Readable when the command has ended.
impl AsFd for Exec {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}

impl AsRawFd for Exec {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.control.as_raw_fd()
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            self.leftovers.add(watcher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_goes_over_the_tasks_environment() {
        let of_task = [b"PATH=/bin".to_vec(), b"A=1".to_vec(), b"AB=2".to_vec()];
        let over = [
            ("A".to_owned(), "x=y".to_owned()),
            ("C".to_owned(), String::new()),
        ];
        let env = environment(&of_task, &over);
        let env = env
            .iter()
            .map(|one| String::from_utf8_lossy(one))
            .collect::<Vec<_>>();
        assert_eq!(env, ["PATH=/bin", "AB=2", "A=x=y", "C="]);
    }

    #[test]
    fn a_request_that_cannot_be_executed_is_refused_before_anything_is_done() {
        let good = ExecRequest {
            argv: vec!["ls".into()],
            ..ExecRequest::default()
        };
        assert!(check(&good).is_ok());
        let bad = |change: fn(&mut ExecRequest)| {
            let mut request = good.clone();
            change(&mut request);
            assert!(
                matches!(check(&request), Err(ExecError::Request(_))),
                "{request:?}"
            );
        };
        bad(|request| request.argv.clear());
        bad(|request| request.argv[0].clear());
        bad(|request| request.argv.push("a\0b".into()));
        bad(|request| request.env.push(("A=".into(), String::new())));
        bad(|request| request.env.push(("A".into(), "\0".into())));
        bad(|request| request.working_directory = Some("here".into()));
    }
}

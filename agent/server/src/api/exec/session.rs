//! One executed command and its client: output one way, input the other, and the exit last.

use std::io;
use std::os::fd::OwnedFd;

use proffer_linux::{Exec, ExecIo};
use proffer_types::TaskExit;
use proffer_wire::v1::exec_request::What as Asked;
use proffer_wire::v1::exec_response::What as Answer;
use proffer_wire::v1::{ExecRequest, ExecResponse};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{MAX_SIGNAL, check_input, stopping, window_size};
use crate::descriptor::{Descriptor, watch};

/// The most bytes in one answer.
const CHUNK_BYTES: usize = 32 << 10;

/// What a command that has ended can have left unread: a pipe's content, and a terminal's is less.
const MAX_LEFT_BYTES: usize = 1 << 20;

type Answers = mpsc::Sender<Result<ExecResponse, Status>>;

/// Serves a command to its end, or until its client or the agent has no more interest in it.
pub(super) async fn run(
    mut exec: Exec,
    asked: Streaming<ExecRequest>,
    answers: Answers,
    end: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    let outcome = match Ends::new(&mut exec) {
        Ok(ends) => tokio::select! {
            outcome = serve(exec, ends, asked, &answers) => outcome,
            () = end.cancelled() => Err(stopping()),
            () = answers.closed() => return,
        },
        Err(error) => Err(lost(&error)),
    };
    let answer = match outcome {
        Ok(exit) => Ok(answer(Answer::Exit(exit.into()))),
        Err(status) => Err(status),
    };
    // A client that is gone does not want to know.
    let _ = answers.send(answer).await;
}

/// Our ends. A terminal is stdin and stdout at once.
struct Ends {
    stdin: Option<Descriptor>,
    stdout: Descriptor,
    stderr: Option<Descriptor>,
    is_terminal: bool,
}

impl Ends {
    fn new(exec: &mut Exec) -> io::Result<Self> {
        let on = |descriptor: Option<OwnedFd>| descriptor.map(Descriptor::new).transpose();
        match exec.take_io() {
            Some(ExecIo::Pipes {
                stdin,
                stdout,
                stderr,
            }) => Ok(Self {
                stdin: on(stdin)?,
                stdout: Descriptor::new(stdout)?,
                stderr: on(Some(stderr))?,
                is_terminal: false,
            }),
            Some(ExecIo::Terminal(master)) => Ok(Self {
                stdin: on(Some(master.try_clone()?))?,
                stdout: Descriptor::new(master)?,
                stderr: None,
                is_terminal: true,
            }),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

async fn serve(
    exec: Exec,
    ends: Ends,
    asked: Streaming<ExecRequest>,
    answers: &Answers,
) -> Result<TaskExit, Status> {
    let exec = watch(exec, Interest::READABLE).map_err(|error| lost(&error))?;
    let exited = CancellationToken::new();
    let exit = async {
        let exit = wait(&exec).await;
        exited.cancel();
        exit
    };
    let stdout = copy(Some(&ends.stdout), Answer::Stdout, answers, &exited);
    let stderr = copy(ends.stderr.as_ref(), Answer::Stderr, answers, &exited);
    let input = obey(exec.get_ref(), ends.stdin, ends.is_terminal, asked);
    tokio::select! {
        (exit, ..) = async { tokio::join!(exit, stdout, stderr) } => exit,
        status = input => Err(status),
    }
}

async fn wait(exec: &AsyncFd<Exec>) -> Result<TaskExit, Status> {
    loop {
        let mut ready = exec.readable().await.map_err(|error| lost(&error))?;
        match exec.get_ref().exit() {
            Ok(Some(exit)) => return Ok(exit),
            Ok(None) => ready.clear_ready(),
            Err(_) => return Err(Status::aborted("the command ended with its container")),
        }
    }
}

/// Copies output to the client; after the command's end only what is there already.
async fn copy(
    from: Option<&Descriptor>,
    wrap: fn(Vec<u8>) -> Answer,
    answers: &Answers,
    exited: &CancellationToken,
) {
    let Some(from) = from else { return };
    let mut n_left = MAX_LEFT_BYTES;
    while n_left > 0 {
        let mut data = vec![0; CHUNK_BYTES];
        let read = match exited.run_until_cancelled(from.read(&mut data)).await {
            Some(read) => read.map(Some),
            None => from.read_now(&mut data),
        };
        let Ok(Some(n_read @ 1..)) = read else { return };
        if exited.is_cancelled() {
            n_left = n_left.saturating_sub(n_read);
        }
        data.truncate(n_read);
        if answers.send(Ok(answer(wrap(data)))).await.is_err() {
            return;
        }
    }
}

/// Does what the client says, until it says something it must not, or is gone. Saying nothing more is fine.
async fn obey(
    exec: &Exec,
    mut stdin: Option<Descriptor>,
    is_terminal: bool,
    mut asked: Streaming<ExecRequest>,
) -> Status {
    loop {
        let what = match asked.message().await {
            Ok(Some(ExecRequest { what })) => what,
            Ok(None) => std::future::pending().await,
            Err(status) => return status,
        };
        let done = match what {
            Some(Asked::Stdin(bytes)) => {
                if let Err(status) = check_input(&bytes) {
                    return status;
                }
                if let Some(to) = &stdin
                    && to.write_all(&bytes).await.is_err()
                {
                    // The command has closed it, and may go on all the same.
                    stdin = None;
                }
                Ok(())
            }
            Some(Asked::StdinEnd(_)) => {
                if !is_terminal {
                    stdin = None;
                }
                Ok(())
            }
            Some(Asked::Resize(size)) => match window_size(size) {
                Ok(size) => exec.resize(size),
                Err(status) => return status,
            },
            Some(Asked::Signal(signal @ 1..=MAX_SIGNAL)) => exec.signal(u8::try_from(signal).unwrap_or(0)),
            Some(Asked::Signal(signal)) => {
                return Status::invalid_argument(format!("{signal} is no signal"));
            }
            Some(Asked::Start(_)) => return Status::invalid_argument("a second `start`"),
            None => return Status::invalid_argument("a message that says nothing"),
        };
        if let Err(error) = done {
            return lost(&error);
        }
    }
}

fn answer(what: Answer) -> ExecResponse {
    ExecResponse { what: Some(what) }
}

fn lost(error: &io::Error) -> Status {
    Status::internal(format!("the command is out of reach: {error}"))
}

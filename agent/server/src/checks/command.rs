//! Whether a command in the container says that all is well.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;

use proffer_linux::exec::{Exec, ExecIo};
use proffer_types::TaskExit;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::unix::pipe::Receiver;

use super::Execute;

/// How much of what it says on stderr is told when it fails.
const MAX_WORDS_BYTES: usize = 256;

/// Succeeds with exit code 0. Dropped before, the command is killed.
pub(super) async fn ask(execute: &Execute, command: &[String]) -> Result<(), String> {
    let mut exec = execute(command.to_vec()).await?;
    let io = exec.take_io();
    let mut words = Vec::new();
    let exit = tokio::select! {
        exit = ended(exec) => exit,
        never = drain(io, &mut words) => match never {},
    };
    let how = match exit {
        Ok(TaskExit::Code(0)) => return Ok(()),
        Ok(TaskExit::Code(code)) => format!("the command exited with code {code}"),
        Ok(TaskExit::Signal(signal)) => format!("the command was ended by signal {signal}"),
        Err(error) => format!("how the command ended is not known: {error}"),
    };
    match String::from_utf8_lossy(&words).trim() {
        "" => Err(how),
        words => Err(format!("{how}: {words}")),
    }
}

async fn ended(exec: Exec) -> io::Result<TaskExit> {
    #[expect(
        deprecated,
        reason = "its successor asks for a promise that only the crates next to the kernel may make; an Exec moved in keeps it"
    )]
    let exec = AsyncFd::with_interest(exec, Interest::READABLE)?;
    loop {
        let mut ready = exec.readable().await?;
        if let Some(exit) = exec.get_ref().exit()? {
            return Ok(exit);
        }
        ready.clear_ready();
    }
}

/// Reads all that the command writes, so that it never waits for a reader, and keeps the first of its complaints.
async fn drain(io: Option<ExecIo>, words: &mut Vec<u8>) -> Infallible {
    if let Some(ExecIo::Pipes { stdout, stderr, .. }) = io {
        let complaints = async {
            let Some(mut stderr) = receiver(stderr) else {
                return;
            };
            // Whatever fails here, the command's end is told by its exit.
            let _ = (&mut stderr)
                .take(MAX_WORDS_BYTES as u64)
                .read_to_end(words)
                .await;
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        };
        let rest = async {
            let Some(mut stdout) = receiver(stdout) else {
                return;
            };
            let _ = tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await;
        };
        futures::future::join(complaints, rest).await;
    }
    std::future::pending().await
}

fn receiver(pipe: OwnedFd) -> Option<Receiver> {
    Receiver::from_owned_fd(pipe).ok()
}

//! `proffer exec`.

use anyhow::{Context as _, Result};
use clap::Args;
use proffer_wire::v1;
use proffer_wire::v1::exec_request::What as Ask;
use proffer_wire::v1::exec_response::What as Answer;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::run::{exit_of, of_signal, variable};
use crate::client::{Cluster, MasterArgs};
use crate::daemon::Signals;
use crate::failure::{output_error, refused};
use crate::terminal::{self, RawMode};

/// The shell's codes for a command that is not there, and for one that is there and cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// What waits to be sent; what is typed waits on this side then.
const MAX_REQUESTS_QUEUED: usize = 4;

/// Execute a command in a running task: in its namespaces and limits; exit with its code
///
/// Signals are passed on. When this program ends first, the command is hung up on and then killed.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Send what is typed, or piped in, to the command
    #[arg(short, long, env = "PROFFER_INTERACTIVE")]
    interactive: bool,
    /// Give the command a terminal, and this one to it
    #[arg(short, long, env = "PROFFER_TTY")]
    tty: bool,
    /// Run as this user, by names or numbers, as the container's own files know them; absent means the task's
    #[arg(short, long, env = "PROFFER_USER", value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Where the command starts, absolute; absent means where the task did
    #[arg(short, long, env = "PROFFER_WORKING_DIRECTORY", value_name = "PATH")]
    working_directory: Option<String>,
    /// An environment variable over those of the task; may be given several times
    #[arg(short, long, env = "PROFFER_ENV", value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    #[command(flatten)]
    master: MasterArgs,
    /// The task's id, as `proffer tasks` shows it
    task: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(super) async fn exec(args: ExecArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let task = cluster.find_task(&args.task).await?;
    anyhow::ensure!(
        !crate::views::is_terminal(task.state) && !task.agent_address.is_empty(),
        "task `{}` is not running",
        args.task
    );
    let (requests, stream) = mpsc::channel(MAX_REQUESTS_QUEUED);
    let start = start(&args, task.framework_id);
    say(&requests, Ask::Start(start)).await;
    let mut signals = Signals::new()?;
    let mut client = cluster.exec(&task.agent_address)?;
    let answers = client.exec(ReceiverStream::new(stream)).await;
    let mut answers = answers.map_err(|status| refused(&status))?.into_inner();
    let _raw = if args.tty && args.interactive {
        Some(RawMode::enter()?)
    } else {
        None
    };
    let input = tokio::spawn(input(requests.clone(), args.interactive, args.tty));
    let code = loop {
        tokio::select! {
            answer = answers.message() => {
                let answer = answer.map_err(|status| refused(&status))?;
                let what = answer.and_then(|answer| answer.what);
                if let Some(code) = take(what.context("the agent ended the command's stream")?).await? {
                    break code;
                }
            }
            signal = signals.next() => {
                if args.tty {
                    break of_signal(signal);
                }
                say(&requests, Ask::Signal(signal.unsigned_abs())).await;
            }
        }
    };
    input.abort();
    Ok(code)
}

fn start(args: &ExecArgs, framework_id: String) -> v1::ExecStart {
    v1::ExecStart {
        framework_id,
        task_id: args.task.clone(),
        argv: args.command.clone(),
        env: environment(args),
        working_directory: args.working_directory.clone().unwrap_or_default(),
        user: args.user.clone().unwrap_or_default(),
        terminal: args.tty.then(terminal::size),
        stdin: args.interactive,
    }
}

/// A terminal's kind is that of this one.
fn environment(args: &ExecArgs) -> std::collections::BTreeMap<String, String> {
    let term = std::env::var("TERM").ok().filter(|_| args.tty);
    let term = term.map(|term| ("TERM".to_owned(), term));
    term.into_iter().chain(args.env.iter().cloned()).collect()
}

/// Passes on what is typed, its end, and changes of the terminal's size.
async fn input(
    requests: mpsc::Sender<v1::ExecRequest>,
    is_interactive: bool,
    has_terminal: bool,
) -> Result<()> {
    let mut resizes = terminal::resizes()?;
    let mut typed = is_interactive.then(terminal::stdin);
    loop {
        tokio::select! {
            chunk = next(&mut typed) => match chunk {
                Some(chunk) => say(&requests, Ask::Stdin(chunk)).await,
                None => {
                    typed = None;
                    say(&requests, Ask::StdinEnd(v1::EndOfInput {})).await;
                }
            },
            _ = resizes.recv(), if has_terminal => say(&requests, Ask::Resize(terminal::size())).await,
        }
    }
}

/// The next of what is typed; never, when nothing more is.
pub(super) async fn next(typed: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match typed {
        Some(typed) => typed.recv().await,
        None => std::future::pending().await,
    }
}

/// A stream that has ended says so by its answers.
async fn say(requests: &mpsc::Sender<v1::ExecRequest>, what: Ask) {
    let _ = requests.send(v1::ExecRequest { what: Some(what) }).await;
}

/// Takes in an answer; the exit code, when it is the last.
async fn take(what: Answer) -> Result<Option<u8>> {
    match what {
        Answer::Stdout(data) => print(&mut tokio::io::stdout(), &data).await?,
        Answer::Stderr(data) => print(&mut tokio::io::stderr(), &data).await?,
        Answer::Exit(exit) => return Ok(Some(exit_of(exit.how))),
        Answer::Failure(failure) => {
            eprintln!("proffer: {}", failure.message);
            let code = if failure.not_found {
                NOT_FOUND
            } else {
                NOT_EXECUTABLE
            };
            return Ok(Some(code));
        }
    }
    Ok(None)
}

async fn print(output: &mut (impl tokio::io::AsyncWrite + Unpin), data: &[u8]) -> Result<()> {
    output.write_all(data).await.map_err(output_error)?;
    output.flush().await.map_err(output_error)
}

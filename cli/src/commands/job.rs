//! `proffer job`.

mod cancel;
mod list;
mod logs;
mod status;
mod submit;

use anyhow::Result;
use clap::Subcommand;

/// Run tasks to their end, in order and in arrays
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    Submit(submit::SubmitArgs),
    List(list::ListArgs),
    Status(status::StatusArgs),
    Cancel(cancel::CancelArgs),
    Logs(logs::JobLogsArgs),
}

pub(super) async fn job(command: JobCommand) -> Result<u8> {
    match command {
        JobCommand::Submit(args) => submit::submit(args).await,
        JobCommand::List(args) => list::list(args).await,
        JobCommand::Status(args) => status::status(args).await,
        JobCommand::Cancel(args) => cancel::cancel(args).await,
        JobCommand::Logs(args) => logs::logs(args).await,
    }
}

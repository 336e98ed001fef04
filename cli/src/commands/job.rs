//! `proffer job`.

mod cancel;
mod hold;
mod list;
mod logs;
mod runs;
mod status;
mod steer;
mod submit;

use anyhow::Result;
use clap::Subcommand;

/// Run tasks to their end, in order and in arrays, once or by a schedule
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    Submit(submit::SubmitArgs),
    List(list::ListArgs),
    Status(status::StatusArgs),
    Runs(runs::RunsArgs),
    Pause(steer::PauseArgs),
    Resume(steer::ResumeArgs),
    Trigger(steer::TriggerArgs),
    Hold(hold::HoldArgs),
    Release(hold::ReleaseArgs),
    Cancel(cancel::CancelArgs),
    Logs(logs::JobLogsArgs),
}

pub(super) async fn job(command: JobCommand) -> Result<u8> {
    match command {
        JobCommand::Submit(args) => submit::submit(args).await,
        JobCommand::List(args) => list::list(args).await,
        JobCommand::Status(args) => status::status(args).await,
        JobCommand::Runs(args) => runs::runs(args).await,
        JobCommand::Pause(args) => steer::pause(args).await,
        JobCommand::Resume(args) => steer::resume(args).await,
        JobCommand::Trigger(args) => steer::trigger(args).await,
        JobCommand::Hold(args) => hold::hold(args).await,
        JobCommand::Release(args) => hold::release(args).await,
        JobCommand::Cancel(args) => cancel::cancel(args).await,
        JobCommand::Logs(args) => logs::logs(args).await,
    }
}

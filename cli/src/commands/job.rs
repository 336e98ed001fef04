//! `proffer job`.

mod cancel;
mod dispatch;
mod dry_run;
mod graph;
mod hold;
mod list;
mod logs;
mod queue;
mod report;
mod requeue;
mod runs;
mod status;
mod steer;
mod submit;
mod user;

use anyhow::Result;
use clap::Subcommand;

pub(super) use self::user::{UserArgs, logged_in};
pub(super) use dry_run::dry_run;

/// Run tasks to their end, in order and in arrays, once or by a schedule
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    Submit(submit::SubmitArgs),
    List(list::ListArgs),
    Status(status::StatusArgs),
    Graph(graph::GraphArgs),
    Runs(runs::RunsArgs),
    Report(report::ReportArgs),
    Pause(steer::PauseArgs),
    Resume(steer::ResumeArgs),
    Trigger(steer::TriggerArgs),
    Dispatch(dispatch::DispatchArgs),
    Hold(hold::HoldArgs),
    Release(hold::ReleaseArgs),
    Requeue(requeue::RequeueArgs),
    Cancel(cancel::CancelArgs),
    Logs(logs::JobLogsArgs),
    #[command(subcommand)]
    Queue(queue::QueueCommand),
}

pub(super) async fn job(command: JobCommand) -> Result<u8> {
    match command {
        JobCommand::Submit(args) => submit::submit(args).await,
        JobCommand::List(args) => list::list(args).await,
        JobCommand::Status(args) => status::status(args).await,
        JobCommand::Graph(args) => graph::graph(args).await,
        JobCommand::Runs(args) => runs::runs(args).await,
        JobCommand::Report(args) => report::report(args).await,
        JobCommand::Pause(args) => steer::pause(args).await,
        JobCommand::Resume(args) => steer::resume(args).await,
        JobCommand::Trigger(args) => steer::trigger(args).await,
        JobCommand::Dispatch(args) => dispatch::dispatch(args).await,
        JobCommand::Hold(args) => hold::hold(args).await,
        JobCommand::Release(args) => hold::release(args).await,
        JobCommand::Requeue(args) => requeue::requeue(args).await,
        JobCommand::Cancel(args) => cancel::cancel(args).await,
        JobCommand::Logs(args) => logs::logs(args).await,
        JobCommand::Queue(command) => queue::queue(command).await,
    }
}

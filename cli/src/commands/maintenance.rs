//! `proffer maintenance`.

mod cancel;
mod list;
mod schedule;
mod status;

use anyhow::Result;
use clap::Subcommand;

/// Announce when agents are worked on: not offered, and without tasks
#[derive(Debug, Subcommand)]
pub(crate) enum MaintenanceCommand {
    Schedule(schedule::ScheduleArgs),
    List(list::ListArgs),
    Status(status::StatusArgs),
    Cancel(cancel::CancelArgs),
}

pub(super) async fn maintenance(command: MaintenanceCommand) -> Result<u8> {
    match command {
        MaintenanceCommand::Schedule(args) => schedule::schedule(args).await,
        MaintenanceCommand::List(args) => list::list(args).await,
        MaintenanceCommand::Status(args) => status::status(args).await,
        MaintenanceCommand::Cancel(args) => cancel::cancel(args).await,
    }
}

//! `proffer service config`.

mod delete;
mod list;
mod set;
mod show;

use anyhow::Result;
use clap::Subcommand;

pub(super) use self::set::apply;

/// Configuration and secrets of services, as files and variables of their tasks
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    Set(set::SetArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Delete(delete::DeleteArgs),
}

pub(super) async fn config(command: ConfigCommand) -> Result<u8> {
    match command {
        ConfigCommand::Set(args) => set::set(args).await,
        ConfigCommand::List(args) => list::list(args).await,
        ConfigCommand::Show(args) => show::show(args).await,
        ConfigCommand::Delete(args) => delete::delete(args).await,
    }
}

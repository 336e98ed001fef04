//! `proffer service`.

mod apply;
mod config;
mod delete;
mod endpoints;
mod files;
mod history;
mod list;
mod plan;
mod policy;
mod rollback;
mod scale;
mod scaling;
mod status;
mod steer;

use anyhow::Result;
use clap::Subcommand;

/// Keep replicas of a task running, and replace them by those of new versions
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    Apply(apply::ApplyArgs),
    Plan(plan::PlanArgs),
    List(list::ListArgs),
    Status(status::StatusArgs),
    Endpoints(endpoints::EndpointsArgs),
    Policy(policy::PolicyArgs),
    History(history::HistoryArgs),
    Scale(scale::ScaleArgs),
    Scaling(scaling::ScalingArgs),
    Rollback(rollback::RollbackArgs),
    Restart(steer::RestartArgs),
    Pause(steer::PauseArgs),
    Resume(steer::ResumeArgs),
    Promote(steer::PromoteArgs),
    Delete(delete::DeleteArgs),
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

pub(super) async fn service(command: ServiceCommand) -> Result<u8> {
    match command {
        ServiceCommand::Apply(args) => apply::apply(args).await,
        ServiceCommand::Plan(args) => plan::plan(args).await,
        ServiceCommand::List(args) => list::list(args).await,
        ServiceCommand::Status(args) => status::status(args).await,
        ServiceCommand::Endpoints(args) => endpoints::endpoints(args).await,
        ServiceCommand::Policy(args) => policy::policy(args).await,
        ServiceCommand::History(args) => history::history(args).await,
        ServiceCommand::Scale(args) => scale::scale(args).await,
        ServiceCommand::Scaling(args) => scaling::scaling(args).await,
        ServiceCommand::Rollback(args) => rollback::rollback(args).await,
        ServiceCommand::Restart(args) => steer::restart(args).await,
        ServiceCommand::Pause(args) => steer::pause(args).await,
        ServiceCommand::Resume(args) => steer::resume(args).await,
        ServiceCommand::Promote(args) => steer::promote(args).await,
        ServiceCommand::Delete(args) => delete::delete(args).await,
        ServiceCommand::Config(command) => config::config(command).await,
    }
}

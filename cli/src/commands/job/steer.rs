//! `proffer job pause`, `resume` and `trigger`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::print;

/// Let the windows of a recurring job pass until it is resumed; its runs go on
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

/// Run the windows of a paused job again; those that passed are not made up for
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

/// Run a recurring job now, beside its windows, and print the name of the run
#[derive(Debug, Args)]
pub(crate) struct TriggerArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn pause(args: PauseArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::PauseJobRequest { name: args.name };
    let paused = cluster.jobs().pause_job(request).await;
    paused.map_err(|status| refused(&status))?;
    Ok(0)
}

pub(super) async fn resume(args: ResumeArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::ResumeJobRequest { name: args.name };
    let resumed = cluster.jobs().resume_job(request).await;
    resumed.map_err(|status| refused(&status))?;
    Ok(0)
}

pub(super) async fn trigger(args: TriggerArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::TriggerJobRequest { name: args.name };
    let triggered = cluster.jobs().trigger_job(request).await;
    let run = triggered.map_err(|status| refused(&status))?.into_inner().run;
    print(&format!("{run}\n"))?;
    Ok(0)
}

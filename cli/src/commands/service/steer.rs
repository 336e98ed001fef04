//! `proffer service restart`, `pause`, `resume` and `promote`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;
use proffer_wire::v1::steer_service_request::{Pause, Promote, Restart, Resume, Steer};

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::print;

/// Replace every replica by one that is started anew, as for a new version
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

/// Let a deployment replace nothing until it is resumed; its deadline waits too
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

/// Let a deployment go on that was paused or has failed; it has its whole deadline again
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

/// Let a deployment replace all replicas: its canaries, or the new half of a blue-green one, are good
#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn restart(args: RestartArgs) -> Result<u8> {
    steer(&args.master, args.name, Steer::Restart(Restart {})).await
}

pub(super) async fn pause(args: PauseArgs) -> Result<u8> {
    steer(&args.master, args.name, Steer::Pause(Pause {})).await
}

pub(super) async fn resume(args: ResumeArgs) -> Result<u8> {
    steer(&args.master, args.name, Steer::Resume(Resume {})).await
}

pub(super) async fn promote(args: PromoteArgs) -> Result<u8> {
    steer(&args.master, args.name, Steer::Promote(Promote {})).await
}

/// Steers the deployment of a service, and prints the version it is at then.
pub(super) async fn steer(master: &MasterArgs, name: String, steer: Steer) -> Result<u8> {
    let cluster = Cluster::connect(master).await?;
    let request = v1::SteerServiceRequest {
        name: name.clone(),
        steer: Some(steer),
    };
    let steered = cluster.services().steer_service(request).await;
    let version = steered.map_err(|status| refused(&status))?.into_inner().version;
    print(&format!("{name}, version {version}\n"))?;
    Ok(0)
}

//! `proffer service rollback`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1::steer_service_request::{Rollback, Steer};

use super::steer::steer;
use crate::client::MasterArgs;

/// Go back to an earlier version of a service
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    name: String,
    /// The version, as `proffer service history` shows it; absent means the last good one that is not the present one
    #[arg(long, env = "PROFFER_TO")]
    to: Option<u64>,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn rollback(args: RollbackArgs) -> Result<u8> {
    let rollback = Rollback { version: args.to };
    steer(&args.master, args.name, Steer::Rollback(rollback)).await
}

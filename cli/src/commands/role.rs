//! `proffer role`.

use anyhow::Result;
use clap::{Args, Subcommand};
use proffer_types::resources::format::parse_millis;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;

/// Change a role
#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    Set(SetArgs),
}

/// Set a role's weight, its share relative to its siblings
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The role, such as `analytics` or `analytics/nightly`
    name: String,
    /// From 0.001 to 1000000, with at most three decimals; every role starts with 1
    #[arg(long, env = "PROFFER_WEIGHT", value_parser = weight, allow_negative_numbers = true)]
    weight: f64,
    #[command(flatten)]
    master: MasterArgs,
}

fn weight(text: &str) -> Result<f64, String> {
    let millis = parse_millis(text).map_err(|error| error.to_string())?;
    if !(1..=1_000_000_000).contains(&millis) {
        return Err("a weight is from 0.001 to 1000000".to_owned());
    }
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

pub(super) async fn role(command: RoleCommand) -> Result<u8> {
    let RoleCommand::Set(args) = command;
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::SetRoleRequest {
        role: args.name,
        weight: args.weight,
    };
    cluster
        .operator()
        .set_role(request)
        .await
        .map_err(|status| refused(&status))?;
    Ok(0)
}

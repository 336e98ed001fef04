//! `proffer role`.

mod quota;

use anyhow::Result;
use clap::{ArgGroup, Args, Subcommand};
use proffer_types::resources::format::parse_millis;
use proffer_wire::v1;

use self::quota::{guarantee, limits, reserved};
use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;

/// Change a role
#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    Set(SetArgs),
    Reserve(ReserveArgs),
    Unreserve(UnreserveArgs),
}

/// Set a role's weight, priority or quota; what is not given stays
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("setting").required(true).multiple(true).args(["weight", "priority", "guarantee", "limit"])))]
pub(crate) struct SetArgs {
    /// The role, such as `analytics` or `analytics/nightly`
    name: String,
    /// Its share relative to its siblings: 0.001 to 1000000, with at most three decimals; every role starts with 1
    #[arg(long, env = "PROFFER_WEIGHT", value_parser = weight, allow_negative_numbers = true)]
    weight: Option<f64>,
    /// Higher goes first, under the `priority` allocator; every role starts with 0
    #[arg(long, env = "PROFFER_PRIORITY", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// What is held free for the role and those below it, such as `cpus:8;mem:16GiB`; `none` guarantees nothing
    #[arg(long, env = "PROFFER_GUARANTEE", value_parser = guarantee, value_name = "RESOURCES")]
    guarantee: Option<v1::Resources>,
    /// The most the role and those below it may have, such as `cpus:16`; replaces the whole limit, `none` limits nothing
    #[arg(long, env = "PROFFER_LIMIT", value_parser = limits, value_name = "RESOURCES")]
    limit: Option<v1::ResourceLimits>,
    /// Set it even where guarantees do not fit the cluster, or a limit is below what is used now
    #[arg(long, env = "PROFFER_FORCE")]
    force: bool,
    #[command(flatten)]
    master: MasterArgs,
}

/// Reserve resources of an agent for a role
#[derive(Debug, Args)]
pub(crate) struct ReserveArgs {
    /// The agent's id, as `proffer agents` shows it
    agent: String,
    /// As they are to be, with the role, such as `cpus(+web):2;mem(+web):4GiB`
    #[arg(value_parser = reserved)]
    resources: v1::Resources,
    #[command(flatten)]
    master: MasterArgs,
}

/// Take a reservation off resources of an agent
#[derive(Debug, Args)]
pub(crate) struct UnreserveArgs {
    /// The agent's id, as `proffer agents` shows it
    agent: String,
    /// As they are, with the role, such as `cpus(+web):2;mem(+web):4GiB`
    #[arg(value_parser = reserved)]
    resources: v1::Resources,
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
    match command {
        RoleCommand::Set(args) => set(args).await,
        RoleCommand::Reserve(args) => reserve(args).await,
        RoleCommand::Unreserve(args) => unreserve(args).await,
    }
}

async fn set(args: SetArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::SetRoleRequest {
        role: args.name,
        weight: args.weight,
        priority: args.priority,
        guarantee: args.guarantee,
        limits: args.limit,
        force: args.force,
    };
    let answer = cluster.operator().set_role(request).await;
    answer.map_err(|status| refused(&status))?;
    Ok(0)
}

async fn reserve(args: ReserveArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::ReserveRequest {
        agent_id: args.agent,
        resources: Some(args.resources),
    };
    let answer = cluster.operator().reserve(request).await;
    answer.map_err(|status| refused(&status))?;
    Ok(0)
}

async fn unreserve(args: UnreserveArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::UnreserveRequest {
        agent_id: args.agent,
        resources: Some(args.resources),
    };
    let answer = cluster.operator().unreserve(request).await;
    answer.map_err(|status| refused(&status))?;
    Ok(0)
}

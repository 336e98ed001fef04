//! `proffer agent drain` and its neighbours: agents out of use, and back.

use anyhow::Result;
use clap::{Args, Subcommand};
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::spec::Span;

/// Take agents out of use, or back.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    Deactivate(DeactivateArgs),
    Reactivate(ReactivateArgs),
    Drain(DrainArgs),
    Undrain(UndrainArgs),
    Gone(GoneArgs),
}

/// Offer an agent to nobody until further notice; its tasks stay
#[derive(Debug, Args)]
pub(crate) struct DeactivateArgs {
    /// The agent's id, as `proffer agents` shows it
    agent: String,
    #[command(flatten)]
    master: MasterArgs,
}

/// Offer an agent again, whatever took it out of use
#[derive(Debug, Args)]
pub(crate) struct ReactivateArgs {
    /// The agent's id, as `proffer agents` shows it
    agent: String,
    #[command(flatten)]
    master: MasterArgs,
}

/// Offer agents to nobody and have their tasks moved; what is left at the deadline is killed. `proffer agents` shows how far
/// it is
///
/// Frameworks are asked to leave: services move their replicas at once, jobs let their tasks run on. An agent is drained as
/// soon as no task is left. Draining an agent again sets another deadline.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// Ids of agents, as `proffer agents` shows them, in the order of their turns
    #[arg(required = true)]
    agents: Vec<String>,
    /// How long tasks have before they are killed, from the agent's turn on; at most 30 days
    #[arg(long, env = "PROFFER_DEADLINE", value_name = "DURATION", default_value = "1h")]
    deadline: Span,
    /// Kill the tasks at once, whatever the deadline
    #[arg(long, env = "PROFFER_NOW")]
    now: bool,
    /// How many of them may be draining or drained at a time: the others wait until one is reactivated or gone; absent
    /// means all
    #[arg(long, env = "PROFFER_AT_ONCE", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    at_once: Option<u32>,
    /// The longest that a task is given to end; absent means what it asks for itself
    #[arg(long, env = "PROFFER_MAX_GRACE", value_name = "DURATION")]
    max_grace: Option<Span>,
    /// Declare each of them gone once it is drained: its id is spent
    #[arg(long, env = "PROFFER_GONE")]
    gone: bool,
    #[command(flatten)]
    master: MasterArgs,
}

/// Call the drain of agents off; what was killed stays killed
#[derive(Debug, Args)]
pub(crate) struct UndrainArgs {
    /// Ids of agents, as `proffer agents` shows them
    #[arg(required = true)]
    agents: Vec<String>,
    #[command(flatten)]
    master: MasterArgs,
}

/// Declare an agent dead: its tasks are over, and its id is spent. Not to be undone
#[derive(Debug, Args)]
pub(crate) struct GoneArgs {
    /// The agent's id, as `proffer agents` shows it
    agent: String,
    #[command(flatten)]
    master: MasterArgs,
}

pub(crate) async fn upkeep(command: AgentCommand) -> Result<u8> {
    match command {
        AgentCommand::Deactivate(args) => deactivate(args).await,
        AgentCommand::Reactivate(args) => reactivate(args).await,
        AgentCommand::Drain(args) => drain(args).await,
        AgentCommand::Undrain(args) => undrain(args).await,
        AgentCommand::Gone(args) => gone(args).await,
    }
}

async fn deactivate(args: DeactivateArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::DeactivateAgentRequest { agent_id: args.agent };
    let answer = cluster.operator().deactivate_agent(request).await;
    answer.map_err(|status| refused(&status))?;
    Ok(0)
}

async fn reactivate(args: ReactivateArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::ReactivateAgentRequest { agent_id: args.agent };
    let answer = cluster.operator().reactivate_agent(request).await;
    answer.map_err(|status| refused(&status))?;
    Ok(0)
}

async fn drain(args: DrainArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let millis = |span: Span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
    let request = v1::DrainAgentsRequest {
        agent_ids: args.agents,
        max_grace_ms: args.max_grace.map(millis),
        deadline_ms: if args.now { 0 } else { millis(args.deadline) },
        mark_gone: args.gone,
        at_once: args.at_once,
    };
    let answer = cluster.operator().drain_agents(request).await;
    answer.map_err(|status| refused(&status))?;
    Ok(0)
}

async fn undrain(args: UndrainArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::UndrainAgentsRequest {
        agent_ids: args.agents,
    };
    let answer = cluster.operator().undrain_agents(request).await;
    answer.map_err(|status| refused(&status))?;
    Ok(0)
}

async fn gone(args: GoneArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::MarkAgentGoneRequest { agent_id: args.agent };
    let answer = cluster.operator().mark_agent_gone(request).await;
    answer.map_err(|status| refused(&status))?;
    Ok(0)
}

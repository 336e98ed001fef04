//! `proffer maintenance schedule`.

use std::str::FromStr;

use anyhow::{Result, bail};
use clap::Args;
use proffer_wire::v1;
use proffer_wire::v1::schedule_maintenance_request::Start;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::spec::{Instant, Span};

/// Announce a window: at its start agents are drained, at its end they are offered again
#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    /// A name for the window
    name: String,
    /// Ids of agents, or names of hosts for all agents on them, as `proffer agents` shows them
    #[arg(required = true)]
    agents: Vec<String>,
    /// When it begins: a moment such as `2026-11-21T23:00:00Z`, or `+2h` for in two hours
    #[arg(long, env = "PROFFER_START", value_name = "TIME")]
    start: Begin,
    /// How long it takes
    #[arg(long, env = "PROFFER_DURATION", value_name = "DURATION")]
    duration: Span,
    /// The longest that a task is given to end at the start; absent means what it asks for itself
    #[arg(long, env = "PROFFER_MAX_GRACE", value_name = "DURATION")]
    max_grace: Option<Span>,
    #[command(flatten)]
    master: MasterArgs,
}

/// When a window begins.
#[derive(Debug, Clone, Copy)]
struct Begin(Start);

impl FromStr for Begin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let start = match text.strip_prefix('+') {
            Some(after) => Start::StartAfterMs(after.parse::<Span>()?.millis()),
            None => Start::StartMs(text.parse::<Instant>()?.0),
        };
        Ok(Self(start))
    }
}

pub(super) async fn schedule(args: ScheduleArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let known = cluster
        .operator()
        .list_agents(v1::ListAgentsRequest::default())
        .await;
    let known = known.map_err(|status| refused(&status))?.into_inner().agents;
    let mut agent_ids = Vec::new();
    for named in &args.agents {
        agent_ids.extend(meant_by(named, &known)?);
    }
    let request = v1::ScheduleMaintenanceRequest {
        name: args.name,
        agent_ids,
        start: Some(args.start.0),
        duration_ms: args.duration.millis(),
        max_grace_ms: args.max_grace.map(Span::millis),
    };
    let answer = cluster.operator().schedule_maintenance(request).await;
    answer.map_err(|status| refused(&status))?;
    Ok(0)
}

/// The agent of an id, or all agents on a host.
fn meant_by(named: &str, known: &[v1::list_agents_response::Agent]) -> Result<Vec<String>> {
    if known.iter().any(|agent| agent.agent_id == named) {
        return Ok(vec![named.to_owned()]);
    }
    let is_there = |agent: &&v1::list_agents_response::Agent| {
        let info = agent.info.as_ref();
        info.is_some_and(|info| info.hostname == named)
    };
    let ids: Vec<_> = known
        .iter()
        .filter(is_there)
        .map(|agent| agent.agent_id.clone())
        .collect();
    if ids.is_empty() {
        bail!("no agent, and no host with one, is called `{named}`");
    }
    Ok(ids)
}

//! The conversation with the master that leads.

use std::time::Duration;

use proffer_autoscaler_core::{Action, AgentSeen, Drain, Ended, Presence, Unmet, View};
use proffer_grpc::leader::{self, Masters};
use proffer_grpc::v1::operator_client::OperatorClient;
use proffer_types::Timestamp;
use proffer_wire::demand::{Budget, demand, placement_rules};
use proffer_wire::{ConvertError, v1};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::error::AutoscalerError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A master that is silent for twice this is given up.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// How long an answer may take: a busy master with many agents needs seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer: tens of thousands of agents.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The masters of a cluster, and the way to the one that led last.
#[derive(Debug)]
pub(crate) struct Master {
    masters: Masters,
    client: Option<OperatorClient<Channel>>,
}

fn endpoint(address: &str) -> Result<Endpoint, AutoscalerError> {
    let refuse = || AutoscalerError::MasterAddress(address.to_owned());
    leader::is_address(address).then_some(()).ok_or_else(refuse)?;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| refuse())?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true))
}

impl Master {
    pub(crate) fn new(addresses: &[String]) -> Result<Self, AutoscalerError> {
        if addresses.is_empty() {
            return Err(AutoscalerError::NoMaster);
        }
        addresses
            .iter()
            .try_for_each(|address| endpoint(address).map(drop))?;
        Ok(Self {
            masters: Masters::new(addresses.to_vec()),
            client: None,
        })
    }

    /// The cluster as it is now. After a failure the next call asks another master.
    pub(crate) async fn view(&mut self, now: Timestamp) -> Result<View, Status> {
        let client = self.client().await?;
        let seen = answer(look(client, now)).await;
        self.heard(seen)
    }

    /// Does what is the master's to do.
    pub(crate) async fn carry_out(&mut self, action: &Action) -> Ended {
        let client = match self.client().await {
            Ok(client) => client,
            Err(status) => return Ended::Unknown(status.message().to_owned()),
        };
        let done = answer(change(client, action)).await;
        match self.heard(done) {
            Ok(()) => Ended::Done,
            Err(status) => {
                let refused = [Code::InvalidArgument, Code::NotFound, Code::FailedPrecondition];
                let message = status.message().to_owned();
                match refused.contains(&status.code()) {
                    true => Ended::Failed(message),
                    false => Ended::Unknown(message),
                }
            }
        }
    }

    async fn client(&mut self) -> Result<OperatorClient<Channel>, Status> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let address = self.masters.dial().unwrap_or_default();
        let endpoint = endpoint(&address).map_err(|error| Status::internal(error.to_string()))?;
        let unreachable = |error: tonic::transport::Error| {
            Status::unavailable(format!("cannot reach a master at {address}: {}", chain(&error)))
        };
        let channel = endpoint.connect().await.map_err(unreachable)?;
        let client = OperatorClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(self.client.insert(client).clone())
    }

    fn heard<T>(&mut self, answer: Result<T, Status>) -> Result<T, Status> {
        if let Err(status) = &answer {
            self.client = None;
            if let Some(leader) = leader::named(status) {
                self.masters.follow(leader);
            }
        }
        answer
    }
}

async fn answer<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let late = |_| Status::deadline_exceeded(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()));
    timeout(ANSWER_TIMEOUT, call).await.map_err(late)?
}

/// Agents are looked at before what waits: one that registers in between is still one that was asked for, and has room.
async fn look(mut client: OperatorClient<Channel>, now: Timestamp) -> Result<View, Status> {
    let agents = client
        .list_agents(v1::ListAgentsRequest::default())
        .await?
        .into_inner()
        .agents;
    let wanted = client
        .list_unmet_demand(v1::ListUnmetDemandRequest {})
        .await?
        .into_inner();
    view(agents, wanted, now).map_err(|error| Status::data_loss(format!("a bad answer: {error}")))
}

async fn change(mut client: OperatorClient<Channel>, action: &Action) -> Result<(), Status> {
    match action {
        Action::Drain { agent } => {
            let request = v1::DrainAgentsRequest {
                agent_ids: vec![agent.to_string()],
                ..Default::default()
            };
            client.drain_agents(request).await.map(drop)
        }
        Action::Undrain { agent } => {
            let agent_ids = vec![agent.to_string()];
            client
                .undrain_agents(v1::UndrainAgentsRequest { agent_ids })
                .await
                .map(drop)
        }
        Action::MarkGone { agent } => {
            let agent_id = agent.clone();
            client
                .mark_agent_gone(v1::MarkAgentGoneRequest { agent_id })
                .await
                .map(drop)
        }
        Action::Add { .. } | Action::Remove { .. } | Action::Nothing => Ok(()),
    }
}

fn view(
    agents: Vec<v1::list_agents_response::Agent>,
    wanted: v1::ListUnmetDemandResponse,
    now: Timestamp,
) -> Result<View, ConvertError> {
    let agents = agents
        .into_iter()
        .filter_map(|message| agent(message, now).transpose());
    let needed = wanted
        .needed_agent_ids
        .iter()
        .map(|id| parse("needed_agent_ids", id));
    Ok(View {
        agents: agents.collect::<Result<_, _>>()?,
        unmet: wanted.unmet.into_iter().map(unmet).collect::<Result<_, _>>()?,
        needed: needed.collect::<Result<_, _>>()?,
        held_for_guarantees: wanted.held_for_guarantees.unwrap_or_default().try_into()?,
        is_cut: wanted.is_cut,
        is_withheld: wanted.is_withheld,
    })
}

/// An agent that is not gone.
fn agent(
    message: v1::list_agents_response::Agent,
    now: Timestamp,
) -> Result<Option<AgentSeen>, ConvertError> {
    let presence = match message.state() {
        v1::AgentState::AgentActive => Presence::Active,
        v1::AgentState::AgentDisconnected | v1::AgentState::AgentRecovered => Presence::Away,
        v1::AgentState::AgentUnreachable => {
            let since = message.since_ms.map_or(now, Timestamp);
            Presence::Unreachable(now.since(since))
        }
        v1::AgentState::Unspecified | v1::AgentState::AgentGone => return Ok(None),
    };
    let drain = message.drain.as_ref().map(|drain| match drain.phase() {
        v1::DrainPhase::DrainDrained => Drain::Drained,
        v1::DrainPhase::DrainDraining | v1::DrainPhase::DrainWaiting | v1::DrainPhase::Unspecified => {
            Drain::Draining
        }
    });
    Ok(Some(AgentSeen {
        id: parse("agent_id", &message.agent_id)?,
        presence,
        drain,
        is_deactivated: message.deactivated_since_ms.is_some(),
        n_tasks: message.n_tasks.saturating_sub(message.n_daemons),
        used: message.used.unwrap_or_default().try_into()?,
        info: message.info.unwrap_or_default().try_into()?,
    }))
}

fn unmet(message: v1::list_unmet_demand_response::Unmet) -> Result<Unmet, ConvertError> {
    let statement = v1::DemandStatement {
        shapes: message.shape.into_iter().collect(),
        ..Default::default()
    };
    let shape = demand(statement)?.shapes.pop();
    let rules = v1::PlacementRules {
        constraints: message.constraints,
        ..Default::default()
    };
    let over_limit = (message.n_over_limit, message.limit_role, message.limit_resource);
    Ok(Unmet {
        framework_id: parse("framework_id", &message.framework_id)?,
        framework: message.framework_name,
        role: parse("role", &message.role)?,
        shape: shape.ok_or_else(|| ConvertError::new("shape", "is missing"))?,
        over_limit: Some(over_limit).filter(|(n, ..)| *n > 0),
        constraints: placement_rules(Some(rules), &mut Budget::default())?.constraints,
        region: Some(message.region).filter(|region| !region.is_empty()),
        waiting: Duration::from_millis(message.waiting_ms),
    })
}

fn parse<T>(field: &str, text: &str) -> Result<T, ConvertError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| ConvertError::new(field, error))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

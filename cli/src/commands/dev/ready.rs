//! Waits until the cluster is of use: the master answers, its agents are registered, both frameworks are connected.

use std::time::Duration;

use proffer_grpc::v1::operator_client::OperatorClient;
use proffer_wire::v1;
use tokio::time::{Instant, sleep};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::plan::Plan;

/// Between two looks; a start takes some hundred milliseconds.
const LOOK: Duration = Duration::from_millis(20);
/// How often is said what is still missing.
const PROGRESS: Duration = Duration::from_secs(5);

/// Returns when everything in the plan is there.
pub(super) async fn ready(plan: &Plan) {
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{}", plan.master)) else {
        return;
    };
    let mut operator = OperatorClient::new(endpoint.connect_lazy());
    let mut said = Instant::now();
    loop {
        let missing = match missing(&mut operator, plan).await {
            Ok(missing) if missing.is_empty() => return,
            Ok(missing) => missing.join(", "),
            Err(_) => "the master".to_owned(),
        };
        if said.elapsed() > PROGRESS {
            eprintln!("proffer dev: waiting for {missing}");
            said = Instant::now();
        }
        sleep(LOOK).await;
    }
}

async fn missing(operator: &mut OperatorClient<Channel>, plan: &Plan) -> Result<Vec<String>, Status> {
    let agents = operator
        .list_agents(v1::ListAgentsRequest::default())
        .await?
        .into_inner()
        .agents;
    let active = agents
        .iter()
        .filter(|agent| agent.state() == v1::AgentState::AgentActive)
        .count();
    let frameworks = operator
        .list_frameworks(v1::ListFrameworksRequest {})
        .await?
        .into_inner()
        .frameworks;
    let connected = |name: &str| {
        frameworks.iter().any(|framework| {
            framework.state() == v1::FrameworkState::FrameworkActive
                && framework.info.as_ref().is_some_and(|info| info.name == name)
        })
    };
    let mut missing = Vec::new();
    if active < plan.n_agents.into() {
        missing.push(format!("agents ({active} of {})", plan.n_agents));
    }
    missing.extend(
        ["batch", "service"]
            .into_iter()
            .filter(|name| !connected(name))
            .map(str::to_owned),
    );
    Ok(missing)
}

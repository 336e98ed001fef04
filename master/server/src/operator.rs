//! The operators' API. Reads come from a snapshot, changes go through the core and are answered once committed.

mod agents;
mod changes;
mod explain;
mod maintenance;
mod rehearse;
mod tasks;
mod unmet;
mod views;

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use proffer_grpc::status;
use proffer_grpc::v1::operator_server::Operator;
use proffer_master_core::{Master, OperatorRequest};
use proffer_store::Store;
use proffer_types::{KillPolicy, Role};
use proffer_wire::{ConvertError, demand, v1};
use tonic::{Request, Response, Status};

pub(crate) use agents::{drain_phase, millis};
pub(crate) use views::role_share;

use crate::Backup;
use crate::clock::Clock;
use crate::inbox::Inbox;

/// The gRPC service.
#[derive(Debug)]
pub(crate) struct OperatorApi {
    pub(crate) inbox: Inbox,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) store_name: String,
    pub(crate) clock: Clock,
}

/// Of one message of a backup; a frame of HTTP/2 times some.
const BACKUP_CHUNK_BYTES: usize = 256 << 10;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Operator for OperatorApi {
    type BackupRegistryStream = BoxStream<'static, Result<v1::BackupRegistryResponse, Status>>;

    async fn backup_registry(
        &self,
        _request: Request<v1::BackupRegistryRequest>,
    ) -> Answer<Self::BackupRegistryStream> {
        // Whoever leads not says who does.
        self.inbox.read(|_| ()).await?;
        let backup = Backup::take(&*self.store, self.clock.now()).await;
        let backup = backup
            .map_err(|error| Status::unavailable(chain(&error)))?
            .to_bytes();
        let chunks: Vec<_> = backup.chunks(BACKUP_CHUNK_BYTES).map(<[u8]>::to_vec).collect();
        let messages = chunks
            .into_iter()
            .map(|data| Ok(v1::BackupRegistryResponse { data }));
        Ok(Response::new(stream::iter(messages).boxed()))
    }

    async fn get_cluster(&self, _request: Request<v1::GetClusterRequest>) -> Answer<v1::Cluster> {
        let names = |master: &Master| (master.id().to_string(), master.allocator_name());
        let (master_id, allocator) = self.inbox.read(names).await?;
        Ok(Response::new(v1::Cluster {
            master_id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            allocator: allocator.to_owned(),
            store: self.store_name.clone(),
            started_ms: self.clock.started().0,
        }))
    }

    async fn list_agents(&self, request: Request<v1::ListAgentsRequest>) -> Answer<v1::ListAgentsResponse> {
        let snapshot = self.inbox.snapshot().await?;
        let agents = agents::list(&snapshot, request.into_inner().include_gone);
        Ok(Response::new(v1::ListAgentsResponse { agents }))
    }

    async fn deactivate_agent(
        &self,
        request: Request<v1::DeactivateAgentRequest>,
    ) -> Answer<v1::DeactivateAgentResponse> {
        let agent_id = parse("agent_id", &request.into_inner().agent_id).map_err(status)?;
        let operation = OperatorRequest::DeactivateAgent { agent_id };
        self.inbox.operator(operation).await?;
        Ok(Response::new(v1::DeactivateAgentResponse {}))
    }

    async fn reactivate_agent(
        &self,
        request: Request<v1::ReactivateAgentRequest>,
    ) -> Answer<v1::ReactivateAgentResponse> {
        let agent_id = parse("agent_id", &request.into_inner().agent_id).map_err(status)?;
        let operation = OperatorRequest::ReactivateAgent { agent_id };
        self.inbox.operator(operation).await?;
        Ok(Response::new(v1::ReactivateAgentResponse {}))
    }

    async fn drain_agents(
        &self,
        request: Request<v1::DrainAgentsRequest>,
    ) -> Answer<v1::DrainAgentsResponse> {
        self.inbox
            .operator(agents::drain(request.into_inner()).map_err(status)?)
            .await?;
        Ok(Response::new(v1::DrainAgentsResponse {}))
    }

    async fn undrain_agents(
        &self,
        request: Request<v1::UndrainAgentsRequest>,
    ) -> Answer<v1::UndrainAgentsResponse> {
        let agent_ids = agents::ids(&request.into_inner().agent_ids).map_err(status)?;
        let operation = OperatorRequest::UndrainAgents { agent_ids };
        self.inbox.operator(operation).await?;
        Ok(Response::new(v1::UndrainAgentsResponse {}))
    }

    async fn mark_agent_gone(
        &self,
        request: Request<v1::MarkAgentGoneRequest>,
    ) -> Answer<v1::MarkAgentGoneResponse> {
        let agent_id = parse("agent_id", &request.into_inner().agent_id).map_err(status)?;
        let operation = OperatorRequest::MarkAgentGone { agent_id };
        self.inbox.operator(operation).await?;
        Ok(Response::new(v1::MarkAgentGoneResponse {}))
    }

    async fn schedule_maintenance(
        &self,
        request: Request<v1::ScheduleMaintenanceRequest>,
    ) -> Answer<v1::ScheduleMaintenanceResponse> {
        self.inbox
            .operator(maintenance::schedule(request.into_inner()).map_err(status)?)
            .await?;
        Ok(Response::new(v1::ScheduleMaintenanceResponse {}))
    }

    async fn cancel_maintenance(
        &self,
        request: Request<v1::CancelMaintenanceRequest>,
    ) -> Answer<v1::CancelMaintenanceResponse> {
        let name = request.into_inner().name;
        let operation = OperatorRequest::CancelMaintenance { name };
        self.inbox.operator(operation).await?;
        Ok(Response::new(v1::CancelMaintenanceResponse {}))
    }

    async fn list_maintenance(
        &self,
        _request: Request<v1::ListMaintenanceRequest>,
    ) -> Answer<v1::ListMaintenanceResponse> {
        let snapshot = self.inbox.snapshot().await?;
        let windows = maintenance::list(&snapshot);
        Ok(Response::new(v1::ListMaintenanceResponse { windows }))
    }

    async fn list_frameworks(
        &self,
        _request: Request<v1::ListFrameworksRequest>,
    ) -> Answer<v1::ListFrameworksResponse> {
        let snapshot = self.inbox.snapshot().await?;
        let frameworks = snapshot.frameworks.iter().map(views::framework).collect();
        Ok(Response::new(v1::ListFrameworksResponse { frameworks }))
    }

    async fn list_tasks(&self, request: Request<v1::ListTasksRequest>) -> Answer<v1::ListTasksResponse> {
        let answer = tasks::list(&self.inbox, request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn list_offers(&self, _request: Request<v1::ListOffersRequest>) -> Answer<v1::ListOffersResponse> {
        let snapshot = self.inbox.snapshot().await?;
        let offers = snapshot.offers.iter().map(Into::into).collect();
        Ok(Response::new(v1::ListOffersResponse { offers }))
    }

    async fn list_roles(&self, _request: Request<v1::ListRolesRequest>) -> Answer<v1::ListRolesResponse> {
        let snapshot = self.inbox.snapshot().await?;
        let role = |role| views::role(role, &snapshot.ledger);
        let roles = snapshot.roles.iter().map(role).collect();
        Ok(Response::new(v1::ListRolesResponse { roles }))
    }

    async fn set_role(&self, request: Request<v1::SetRoleRequest>) -> Answer<v1::SetRoleResponse> {
        self.inbox
            .operator(changes::set_role(request.into_inner()).map_err(status)?)
            .await?;
        Ok(Response::new(v1::SetRoleResponse {}))
    }

    async fn reserve(&self, request: Request<v1::ReserveRequest>) -> Answer<v1::ReserveResponse> {
        self.inbox
            .operator(changes::reserve(request.into_inner()).map_err(status)?)
            .await?;
        Ok(Response::new(v1::ReserveResponse {}))
    }

    async fn unreserve(&self, request: Request<v1::UnreserveRequest>) -> Answer<v1::UnreserveResponse> {
        self.inbox
            .operator(changes::unreserve(request.into_inner()).map_err(status)?)
            .await?;
        Ok(Response::new(v1::UnreserveResponse {}))
    }

    async fn kill_task(&self, request: Request<v1::KillTaskRequest>) -> Answer<v1::KillTaskResponse> {
        let request = request.into_inner();
        let operation = OperatorRequest::KillTask {
            framework_id: parse("framework_id", &request.framework_id).map_err(status)?,
            task_id: parse("task_id", &request.task_id).map_err(status)?,
            kill_policy: request.kill_policy.map(KillPolicy::from).unwrap_or_default(),
        };
        self.inbox.operator(operation).await?;
        Ok(Response::new(v1::KillTaskResponse {}))
    }

    async fn teardown_framework(
        &self,
        request: Request<v1::TeardownFrameworkRequest>,
    ) -> Answer<v1::TeardownFrameworkResponse> {
        let framework_id = parse("framework_id", &request.into_inner().framework_id).map_err(status)?;
        let operation = OperatorRequest::TeardownFramework { framework_id };
        self.inbox.operator(operation).await?;
        Ok(Response::new(v1::TeardownFrameworkResponse {}))
    }

    async fn explain_framework(
        &self,
        request: Request<v1::ExplainFrameworkRequest>,
    ) -> Answer<v1::ExplainFrameworkResponse> {
        let framework_id = parse("framework_id", &request.into_inner().framework_id).map_err(status)?;
        let snapshot = self.inbox.snapshot().await?;
        let answer = explain::answer(&snapshot, &framework_id, self.clock.now());
        answer
            .map(Response::new)
            .ok_or_else(|| Status::not_found(format!("no framework `{framework_id}`")))
    }

    async fn rehearse_demand(
        &self,
        request: Request<v1::RehearseDemandRequest>,
    ) -> Answer<v1::RehearseDemandResponse> {
        let request = request.into_inner();
        let framework_id = parse("framework_id", &request.framework_id).map_err(status)?;
        let role = match request.role.as_str() {
            "" => Role::default(),
            role => parse("role", role).map_err(status)?,
        };
        let demand = demand::demand(request.demand.unwrap_or_default()).map_err(status)?;
        let snapshot = self.inbox.snapshot().await?;
        let answer = rehearse::answer(&snapshot, &framework_id, &role, &demand.shapes, self.clock.now());
        answer
            .map(Response::new)
            .ok_or_else(|| Status::not_found(format!("no framework `{framework_id}`")))
    }

    async fn list_unmet_demand(
        &self,
        _request: Request<v1::ListUnmetDemandRequest>,
    ) -> Answer<v1::ListUnmetDemandResponse> {
        let snapshot = self.inbox.snapshot().await?;
        Ok(Response::new(unmet::answer(&snapshot, self.clock.now())))
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn parse<T>(field: &str, text: &str) -> Result<T, ConvertError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| ConvertError::new(field, error))
}

//! The gRPC service `proffer.v1.Services`: each call is one closure on the scheduler.

use proffer_grpc::v1::services_server;
use proffer_sdk::Handle;
use proffer_service_core::{
    ApplyError, ApplyPolicyError, ApplyVirtualError, NoSuchPolicyError, NoSuchServiceError,
    NoSuchVirtualError, ScaleError, Services, SteerError,
};
use proffer_wire::v1;
use tonic::{Request, Response, Status};

use crate::convert;

pub(crate) struct Api {
    handle: Handle<Services>,
}

impl Api {
    pub(crate) fn new(handle: Handle<Services>) -> Self {
        Self { handle }
    }

    fn framework_id(&self) -> String {
        self.handle
            .framework_id()
            .map(|id| id.to_string())
            .unwrap_or_default()
    }
}

#[tonic::async_trait]
impl services_server::Services for Api {
    async fn apply_service(
        &self,
        request: Request<v1::ApplyServiceRequest>,
    ) -> Result<Response<v1::ApplyServiceResponse>, Status> {
        let spec = convert::spec(request.into_inner().spec).map_err(proffer_grpc::status)?;
        let applied = self.handle.call(|services, cx| services.apply(spec, cx)).await?;
        let applied = applied.map_err(|error| refuse_apply(&error))?;
        Ok(Response::new(v1::ApplyServiceResponse {
            created: applied.created,
            version: applied.version,
        }))
    }

    async fn plan_service(
        &self,
        request: Request<v1::ApplyServiceRequest>,
    ) -> Result<Response<v1::PlanServiceResponse>, Status> {
        let v1::ApplyServiceRequest { spec, with_configs } = request.into_inner();
        let spec = convert::spec(spec).map_err(proffer_grpc::status)?;
        let assumed = with_configs.into_iter().collect();
        let plan = self
            .handle
            .call(move |services, _| services.plan(&spec, &assumed))
            .await?;
        let plan = plan.map_err(|error| refuse_apply(&error))?;
        Ok(Response::new(convert::plan(&plan)))
    }

    async fn steer_service(
        &self,
        request: Request<v1::SteerServiceRequest>,
    ) -> Result<Response<v1::SteerServiceResponse>, Status> {
        let v1::SteerServiceRequest { name, steer } = request.into_inner();
        let steer = convert::steer(steer).map_err(proffer_grpc::status)?;
        let steered = self
            .handle
            .call(move |services, cx| services.steer(&name, steer, cx))
            .await?;
        let version = steered.map_err(|error| refuse_steer(&error))?;
        Ok(Response::new(v1::SteerServiceResponse { version }))
    }

    async fn list_services(
        &self,
        _request: Request<v1::ListServicesRequest>,
    ) -> Result<Response<v1::ListServicesResponse>, Status> {
        let views = self.handle.call(|services, _| services.list()).await?;
        let id = self.framework_id();
        let services = views.into_iter().map(|view| convert::listed(view, &id)).collect();
        Ok(Response::new(v1::ListServicesResponse {
            services: convert::fit(services),
        }))
    }

    async fn get_service(
        &self,
        request: Request<v1::GetServiceRequest>,
    ) -> Result<Response<v1::ServiceView>, Status> {
        let name = request.into_inner().name;
        let view = self.handle.call(move |services, _| services.get(&name)).await?;
        let view = view.map_err(|error| not_found(&error))?;
        let view = convert::view(view, &self.framework_id());
        let fitting = convert::fit(vec![view]).pop();
        Ok(Response::new(fitting.unwrap_or_default()))
    }

    async fn scale_service(
        &self,
        request: Request<v1::ScaleServiceRequest>,
    ) -> Result<Response<v1::ScaleServiceResponse>, Status> {
        let v1::ScaleServiceRequest { name, replicas } = request.into_inner();
        let scaled = self
            .handle
            .call(move |services, cx| services.scale(&name, replicas, cx))
            .await?;
        scaled.map_err(|error| refuse_scale(&error))?;
        Ok(Response::new(v1::ScaleServiceResponse {}))
    }

    async fn delete_service(
        &self,
        request: Request<v1::DeleteServiceRequest>,
    ) -> Result<Response<v1::DeleteServiceResponse>, Status> {
        let name = request.into_inner().name;
        let deleted = self
            .handle
            .call(move |services, cx| services.delete(&name, cx))
            .await?;
        deleted.map_err(|error| not_found(&error))?;
        Ok(Response::new(v1::DeleteServiceResponse {}))
    }

    async fn explain_service(
        &self,
        request: Request<v1::ExplainServiceRequest>,
    ) -> Result<Response<v1::ExplainServiceResponse>, Status> {
        let name = request.into_inner().name;
        let reasons = self
            .handle
            .call(move |services, cx| services.explain(&name, cx.now()))
            .await?;
        let reasons = reasons.map_err(|error| not_found(&error))?;
        Ok(Response::new(v1::ExplainServiceResponse { reasons }))
    }

    async fn apply_virtual_service(
        &self,
        request: Request<v1::ApplyVirtualServiceRequest>,
    ) -> Result<Response<v1::ApplyVirtualServiceResponse>, Status> {
        let spec = convert::virtual_spec(request.into_inner().virtual_service);
        let spec = spec.map_err(proffer_grpc::status)?;
        let applied = self.handle.call(move |services, cx| {
            let name = spec.name.clone();
            let created = services.apply_virtual(spec, cx)?;
            let view = services.get_virtual(&name, cx.now());
            Ok((created, view.ok().and_then(|view| view.address)))
        });
        let (created, address) = applied.await?.map_err(|error| refuse_virtual(&error))?;
        Ok(Response::new(v1::ApplyVirtualServiceResponse {
            created,
            address: address.map(|address| address.to_string()).unwrap_or_default(),
        }))
    }

    async fn delete_virtual_service(
        &self,
        request: Request<v1::DeleteVirtualServiceRequest>,
    ) -> Result<Response<v1::DeleteVirtualServiceResponse>, Status> {
        let name = request.into_inner().name;
        let deleted = self
            .handle
            .call(move |services, cx| services.delete_virtual(&name, cx));
        deleted.await?.map_err(|error| no_such_virtual(&error))?;
        Ok(Response::new(v1::DeleteVirtualServiceResponse {}))
    }

    async fn list_virtual_services(
        &self,
        _request: Request<v1::ListVirtualServicesRequest>,
    ) -> Result<Response<v1::ListVirtualServicesResponse>, Status> {
        let views = self
            .handle
            .call(|services, cx| services.list_virtual(cx.now()))
            .await?;
        let views = views.iter().map(convert::virtual_view).collect();
        Ok(Response::new(v1::ListVirtualServicesResponse {
            virtual_services: convert::fit_virtual(views),
        }))
    }

    async fn get_virtual_service(
        &self,
        request: Request<v1::GetVirtualServiceRequest>,
    ) -> Result<Response<v1::VirtualServiceView>, Status> {
        let name = request.into_inner().name;
        let view = self
            .handle
            .call(move |services, cx| services.get_virtual(&name, cx.now()))
            .await?;
        let view = view.map_err(|error| no_such_virtual(&error))?;
        let fitting = convert::fit_virtual(vec![convert::virtual_view(&view)]).pop();
        Ok(Response::new(fitting.unwrap_or_default()))
    }

    async fn apply_network_policy(
        &self,
        request: Request<v1::ApplyNetworkPolicyRequest>,
    ) -> Result<Response<v1::ApplyNetworkPolicyResponse>, Status> {
        let policy = convert::policy(request.into_inner().policy).map_err(proffer_grpc::status)?;
        let applied = self.handle.call(move |services, cx| {
            let name = policy.name.full();
            let created = services.apply_policy(policy, cx)?;
            let services = services.get_policy(&name).map(|view| view.services);
            Ok((created, services.unwrap_or_default()))
        });
        let (created, services) = applied.await?.map_err(|error| refuse_policy(&error))?;
        Ok(Response::new(v1::ApplyNetworkPolicyResponse {
            created,
            services,
        }))
    }

    async fn delete_network_policy(
        &self,
        request: Request<v1::DeleteNetworkPolicyRequest>,
    ) -> Result<Response<v1::DeleteNetworkPolicyResponse>, Status> {
        let name = request.into_inner().name;
        let deleted = self
            .handle
            .call(move |services, cx| services.delete_policy(&name, cx));
        deleted.await?.map_err(|error| no_such_policy(&error))?;
        Ok(Response::new(v1::DeleteNetworkPolicyResponse {}))
    }

    async fn list_network_policies(
        &self,
        _request: Request<v1::ListNetworkPoliciesRequest>,
    ) -> Result<Response<v1::ListNetworkPoliciesResponse>, Status> {
        let listed = self
            .handle
            .call(|services, cx| (services.list_policies(), services.policy_problems(cx.now())));
        let (policies, problems) = listed.await?;
        let policies = policies.iter().map(convert::policy_view).collect();
        Ok(Response::new(v1::ListNetworkPoliciesResponse {
            policies: convert::fit_policies(policies),
            problems,
        }))
    }
}

fn no_such_policy(error: &NoSuchPolicyError) -> Status {
    Status::not_found(error.to_string())
}

fn refuse_policy(error: &ApplyPolicyError) -> Status {
    match error {
        ApplyPolicyError::Full | ApplyPolicyError::Bytes(_) => Status::resource_exhausted(error.to_string()),
    }
}

fn no_such_virtual(error: &NoSuchVirtualError) -> Status {
    Status::not_found(error.to_string())
}

fn refuse_virtual(error: &ApplyVirtualError) -> Status {
    match error {
        ApplyVirtualError::Spec(_) => Status::invalid_argument(error.to_string()),
        ApplyVirtualError::Exposed(_) => Status::failed_precondition(error.to_string()),
        ApplyVirtualError::Full | ApplyVirtualError::Endpoints(_) | ApplyVirtualError::NoAddress(_) => {
            Status::resource_exhausted(error.to_string())
        }
    }
}

fn not_found(error: &NoSuchServiceError) -> Status {
    Status::not_found(error.to_string())
}

fn refuse_apply(error: &ApplyError) -> Status {
    match error {
        ApplyError::Spec(_) => Status::invalid_argument(error.to_string()),
        ApplyError::Deleting(_) | ApplyError::Config { .. } => Status::failed_precondition(error.to_string()),
        ApplyError::Virtual(error) => refuse_virtual(error),
        ApplyError::Full(_) | ApplyError::Roles(_) => Status::resource_exhausted(error.to_string()),
    }
}

fn refuse_scale(error: &ScaleError) -> Status {
    match error {
        ScaleError::NoSuchService(error) => not_found(error),
        ScaleError::Replicas(_) => Status::invalid_argument(error.to_string()),
        ScaleError::Deleting(_) | ScaleError::ByItself { .. } => {
            Status::failed_precondition(error.to_string())
        }
        ScaleError::Full(_) => Status::resource_exhausted(error.to_string()),
    }
}

fn refuse_steer(error: &SteerError) -> Status {
    match error {
        SteerError::NoSuchService(error) => not_found(error),
        SteerError::NoSuchVersion { .. } => Status::not_found(error.to_string()),
        SteerError::Deleting(_)
        | SteerError::NoDeployment(_)
        | SteerError::Promoted(_)
        | SteerError::NotAvailable { .. }
        | SteerError::NoGood(_)
        | SteerError::Config { .. }
        | SteerError::Same { .. } => Status::failed_precondition(error.to_string()),
    }
}

//! The gRPC service `proffer.v1.Jobs`: each call is one closure on the scheduler.

#[cfg(test)]
mod tests;
mod watch;

use proffer_batch_core::{Batch, NoSuchJob, SubmitError};
use proffer_grpc::v1::jobs_server;
use proffer_sdk::Handle;
use proffer_wire::v1;
use tonic::{Request, Response, Status};

use crate::convert;

pub(crate) struct Api {
    handle: Handle<Batch>,
}

impl Api {
    pub(crate) fn new(handle: Handle<Batch>) -> Self {
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
impl jobs_server::Jobs for Api {
    type WatchJobStream = watch::JobStream;

    async fn submit_job(
        &self,
        request: Request<v1::SubmitJobRequest>,
    ) -> Result<Response<v1::SubmitJobResponse>, Status> {
        let spec = convert::spec(request.into_inner().spec).map_err(proffer_grpc::status)?;
        let name = spec.name.clone();
        let submitted = self.handle.call(|batch, cx| batch.submit(spec, cx)).await?;
        let n_tasks = submitted.map_err(|error| refuse(&error))?;
        Ok(Response::new(v1::SubmitJobResponse {
            name,
            n_tasks: convert::count(n_tasks),
        }))
    }

    async fn list_jobs(
        &self,
        _request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        let jobs = self.handle.call(|batch, _| batch.list()).await?;
        Ok(Response::new(v1::ListJobsResponse {
            jobs: jobs.into_iter().map(convert::summary).collect(),
        }))
    }

    async fn get_job(&self, request: Request<v1::GetJobRequest>) -> Result<Response<v1::Job>, Status> {
        let name = request.into_inner().name;
        let job = self.handle.call(move |batch, _| batch.get(&name)).await?;
        let job = job.map_err(|error| not_found(&error))?;
        Ok(Response::new(convert::job(&job, &self.framework_id())))
    }

    async fn watch_job(
        &self,
        request: Request<v1::GetJobRequest>,
    ) -> Result<Response<Self::WatchJobStream>, Status> {
        let name = request.into_inner().name;
        watch::watch(self.handle.clone(), name).await.map(Response::new)
    }

    async fn cancel_job(
        &self,
        request: Request<v1::CancelJobRequest>,
    ) -> Result<Response<v1::CancelJobResponse>, Status> {
        let name = request.into_inner().name;
        let cancelled = self.handle.call(move |batch, cx| batch.cancel(&name, cx)).await?;
        cancelled.map_err(|error| not_found(&error))?;
        Ok(Response::new(v1::CancelJobResponse {}))
    }

    async fn explain_job(
        &self,
        request: Request<v1::ExplainJobRequest>,
    ) -> Result<Response<v1::ExplainJobResponse>, Status> {
        let name = request.into_inner().name;
        let reasons = self
            .handle
            .call(move |batch, cx| batch.explain(&name, cx.now()))
            .await?;
        let reasons = reasons.map_err(|error| not_found(&error))?;
        Ok(Response::new(v1::ExplainJobResponse { reasons }))
    }
}

fn not_found(error: &NoSuchJob) -> Status {
    Status::not_found(error.to_string())
}

fn refuse(error: &SubmitError) -> Status {
    let message = error.to_string();
    match error {
        SubmitError::NameInUse(_) => Status::already_exists(message),
        SubmitError::Full | SubmitError::Roles(_) => Status::resource_exhausted(message),
        SubmitError::JobName(_)
        | SubmitError::TaskName(_)
        | SubmitError::NoTasks(_)
        | SubmitError::TooManyTasks(_)
        | SubmitError::TaskTwice(_)
        | SubmitError::NoInstance(_)
        | SubmitError::TooManyInstances(_)
        | SubmitError::UnknownAfter { .. }
        | SubmitError::Cycle(_)
        | SubmitError::AsksForNone { .. }
        | SubmitError::NotAmounts(_)
        | SubmitError::LowLimit { .. }
        | SubmitError::Constraints { .. }
        | SubmitError::NoneOnAgent(_)
        | SubmitError::GangAfter(_)
        | SubmitError::GangInstances { .. }
        | SubmitError::LargeGang { .. }
        | SubmitError::LargeStatement(_)
        | SubmitError::FitsNowhere { .. }
        | SubmitError::NoCommand(_)
        | SubmitError::LargeContainer { .. }
        | SubmitError::Retries { .. }
        | SubmitError::Priority(_) => Status::invalid_argument(message),
    }
}

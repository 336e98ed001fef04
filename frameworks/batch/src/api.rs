//! The gRPC service `proffer.v1.Jobs`: each call is one closure on the scheduler.

#[cfg(test)]
mod tests;
mod watch;

use proffer_batch_core::{Batch, NoSuchJob, SteerError, SubmitError};
use proffer_grpc::v1::jobs_server;
use proffer_sdk::{Context, Handle};
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
        let lists = |batch: &mut Batch, _: &mut Context<'_>| (batch.list_recurring(), batch.list());
        let (recurring, jobs) = self.handle.call(lists).await?;
        let recurring = recurring.iter().map(convert::recurring_summary);
        Ok(Response::new(v1::ListJobsResponse {
            jobs: recurring.chain(jobs.into_iter().map(convert::summary)).collect(),
        }))
    }

    async fn get_job(&self, request: Request<v1::GetJobRequest>) -> Result<Response<v1::Job>, Status> {
        let (name, pick) = convert::pick(request.into_inner());
        let job = self
            .handle
            .call(move |batch, _| watch::look(batch, &name, &pick))
            .await?;
        let job = job.map_err(|error| not_found(&error))?;
        Ok(Response::new(job.message(&self.framework_id())))
    }

    async fn watch_job(
        &self,
        request: Request<v1::GetJobRequest>,
    ) -> Result<Response<Self::WatchJobStream>, Status> {
        let (name, pick) = convert::pick(request.into_inner());
        let stream = watch::watch(self.handle.clone(), name, pick).await;
        stream.map(Response::new)
    }

    async fn cancel_job(
        &self,
        request: Request<v1::CancelJobRequest>,
    ) -> Result<Response<v1::CancelJobResponse>, Status> {
        let v1::CancelJobRequest { name, keep_runs } = request.into_inner();
        let cancel = move |batch: &mut Batch, cx: &mut Context<'_>| match keep_runs {
            true => batch.cancel_schedule(&name, cx),
            false => batch.cancel(&name, cx),
        };
        let cancelled = self.handle.call(cancel).await?;
        cancelled.map_err(|error| not_found(&error))?;
        Ok(Response::new(v1::CancelJobResponse {}))
    }

    async fn pause_job(
        &self,
        request: Request<v1::PauseJobRequest>,
    ) -> Result<Response<v1::PauseJobResponse>, Status> {
        let name = request.into_inner().name;
        let paused = self.handle.call(move |batch, cx| batch.pause(&name, cx)).await?;
        paused.map_err(|error| not_steered(&error))?;
        Ok(Response::new(v1::PauseJobResponse {}))
    }

    async fn resume_job(
        &self,
        request: Request<v1::ResumeJobRequest>,
    ) -> Result<Response<v1::ResumeJobResponse>, Status> {
        let name = request.into_inner().name;
        let resumed = self.handle.call(move |batch, cx| batch.resume(&name, cx)).await?;
        resumed.map_err(|error| not_steered(&error))?;
        Ok(Response::new(v1::ResumeJobResponse {}))
    }

    async fn hold_job(
        &self,
        request: Request<v1::HoldJobRequest>,
    ) -> Result<Response<v1::HoldJobResponse>, Status> {
        let name = request.into_inner().name;
        let held = self.handle.call(move |batch, cx| batch.hold(&name, cx)).await?;
        held.map_err(|error| not_steered(&error))?;
        Ok(Response::new(v1::HoldJobResponse {}))
    }

    async fn release_job(
        &self,
        request: Request<v1::ReleaseJobRequest>,
    ) -> Result<Response<v1::ReleaseJobResponse>, Status> {
        let name = request.into_inner().name;
        let released = self
            .handle
            .call(move |batch, cx| batch.release(&name, cx))
            .await?;
        released.map_err(|error| not_steered(&error))?;
        Ok(Response::new(v1::ReleaseJobResponse {}))
    }

    async fn trigger_job(
        &self,
        request: Request<v1::TriggerJobRequest>,
    ) -> Result<Response<v1::TriggerJobResponse>, Status> {
        let name = request.into_inner().name;
        let run = self
            .handle
            .call(move |batch, cx| batch.trigger(&name, cx))
            .await?;
        let run = run.map_err(|error| not_steered(&error))?;
        Ok(Response::new(v1::TriggerJobResponse { run }))
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

fn not_steered(error: &SteerError) -> Status {
    let message = error.to_string();
    match error {
        SteerError::NotRecurring(_) | SteerError::NoSuchJob(_) => Status::not_found(message),
        SteerError::Cancelled(_)
        | SteerError::StillRunning(_)
        | SteerError::Recurring(_)
        | SteerError::Ended(_) => Status::failed_precondition(message),
        SteerError::Twice(_) => Status::already_exists(message),
        SteerError::TooManyRuns(_) | SteerError::NoRoom(_) => Status::resource_exhausted(message),
    }
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
        | SubmitError::UnevenAfter { .. }
        | SubmitError::TooManyEdges(_)
        | SubmitError::GangEach(_)
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
        | SubmitError::NoneRunning(_)
        | SubmitError::GangRunning(_)
        | SubmitError::Backoff { .. }
        | SubmitError::NoExitCodes(_)
        | SubmitError::Schedule(_)
        | SubmitError::Priority(_) => Status::invalid_argument(message),
    }
}

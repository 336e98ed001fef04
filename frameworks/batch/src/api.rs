//! The gRPC service `proffer.v1.Jobs`: each call is one closure on the scheduler.

mod dispatch;
mod requeue;
#[cfg(test)]
mod tests;
mod watch;

use proffer_batch_core::{Batch, NoSuchJob, SettingsError, SteerError, SubmitError};
use proffer_grpc::v1::jobs_server;
use proffer_sdk::{Context, Handle};
use proffer_wire::{text, v1};
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

    async fn check_job(
        &self,
        request: Request<v1::SubmitJobRequest>,
    ) -> Result<Response<v1::CheckJobResponse>, Status> {
        let spec = convert::spec(request.into_inner().spec).map_err(proffer_grpc::status)?;
        let checked = self
            .handle
            .call(move |batch, cx| batch.check(spec, cx.now()))
            .await?;
        let checked = checked.map_err(|error| refuse(&error))?;
        Ok(Response::new(v1::CheckJobResponse {
            n_tasks: convert::count(checked.n_instances),
            framework_id: self.framework_id(),
            demand: Some(v1::DemandStatement {
                shapes: checked.demand.iter().map(Into::into).collect(),
                ..Default::default()
            }),
        }))
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        let labels = convert::labels(request.into_inner().labels).map_err(proffer_grpc::status)?;
        let lists = |batch: &mut Batch, _: &mut Context<'_>| {
            (batch.list_recurring(), batch.list_templates(), batch.list())
        };
        let (mut recurring, mut templates, mut jobs) = self.handle.call(lists).await?;
        recurring.retain(|job| job.spec.has_labels(&labels));
        templates.retain(|job| job.spec.has_labels(&labels));
        jobs.retain(|job| job.spec.has_labels(&labels));
        let recurring = recurring.iter().map(convert::recurring_summary);
        let templates = templates.iter().map(convert::template_summary);
        let jobs = jobs.into_iter().map(convert::summary);
        Ok(Response::new(v1::ListJobsResponse {
            jobs: recurring.chain(templates).chain(jobs).collect(),
        }))
    }

    async fn get_job(&self, request: Request<v1::GetJobRequest>) -> Result<Response<v1::Job>, Status> {
        let request = request.into_inner();
        let is_brief = request.brief;
        let (name, pick) = convert::pick(request);
        let job = self
            .handle
            .call(move |batch, _| watch::look(batch, &name, &pick))
            .await?;
        let job = job.map_err(|error| not_found(&error))?;
        Ok(Response::new(job.message(&self.framework_id(), is_brief)))
    }

    async fn watch_job(
        &self,
        request: Request<v1::GetJobRequest>,
    ) -> Result<Response<Self::WatchJobStream>, Status> {
        let request = request.into_inner();
        let is_brief = request.brief;
        let (name, pick) = convert::pick(request);
        let stream = watch::watch(self.handle.clone(), name, pick, is_brief).await;
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

    async fn requeue_job(
        &self,
        request: Request<v1::RequeueJobRequest>,
    ) -> Result<Response<v1::RequeueJobResponse>, Status> {
        requeue::requeue(&self.handle, request.into_inner()).await
    }

    async fn dispatch_job(
        &self,
        request: Request<v1::DispatchJobRequest>,
    ) -> Result<Response<v1::DispatchJobResponse>, Status> {
        dispatch::dispatch(&self.handle, request.into_inner()).await
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

    async fn report_jobs(
        &self,
        request: Request<v1::ReportJobsRequest>,
    ) -> Result<Response<v1::ReportJobsResponse>, Status> {
        let request = request.into_inner();
        let query = convert::query(&request).map_err(proffer_grpc::status)?;
        let report = move |batch: &mut Batch, _: &mut Context<'_>| match request.name.is_empty() {
            true => Ok(batch.report(&query)),
            false => batch.report_job(&request.name),
        };
        let rows = self.handle.call(report).await?;
        let rows = rows.map_err(|error| not_found(&error))?;
        Ok(Response::new(convert::report(rows)))
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

    async fn set_queue(
        &self,
        request: Request<v1::SetQueueRequest>,
    ) -> Result<Response<v1::SetQueueResponse>, Status> {
        let v1::SetQueueRequest { role, settings } = request.into_inner();
        let role = text::role(&role).map_err(proffer_grpc::status)?;
        let settings = convert::queue::settings(settings).map_err(proffer_grpc::status)?;
        let set = self
            .handle
            .call(move |batch, cx| batch.set_queue(&role, settings, cx))
            .await?;
        set.map_err(|error| not_set(&error))?;
        Ok(Response::new(v1::SetQueueResponse {}))
    }

    async fn list_queues(
        &self,
        _request: Request<v1::ListQueuesRequest>,
    ) -> Result<Response<v1::ListQueuesResponse>, Status> {
        let queues = self.handle.call(|batch, cx| batch.list_queues(cx.now())).await?;
        Ok(Response::new(v1::ListQueuesResponse {
            queues: queues.into_iter().map(convert::queue::queue).collect(),
        }))
    }

    async fn get_queue(
        &self,
        request: Request<v1::GetQueueRequest>,
    ) -> Result<Response<v1::JobQueue>, Status> {
        let v1::GetQueueRequest { role, limit } = request.into_inner();
        let role = text::role(&role).map_err(proffer_grpc::status)?;
        let limit = convert::queue::limit(limit);
        let queue = self
            .handle
            .call(move |batch, cx| batch.get_queue(&role, limit, cx.now()))
            .await?;
        Ok(Response::new(convert::queue::queue(queue)))
    }
}

fn not_set(error: &SettingsError) -> Status {
    match error {
        SettingsError::TooManyQueues(_) => Status::resource_exhausted(error.to_string()),
        SettingsError::HalfLife(_)
        | SettingsError::Slice(_)
        | SettingsError::TooManyShares(_)
        | SettingsError::User(_)
        | SettingsError::Share(..) => Status::invalid_argument(error.to_string()),
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
        | SteerError::Template(_)
        | SteerError::Ended(_) => Status::failed_precondition(message),
        SteerError::Twice(_) => Status::already_exists(message),
        SteerError::TooManyRuns(_) | SteerError::NoRoom(_) => Status::resource_exhausted(message),
    }
}

fn refuse(error: &SubmitError) -> Status {
    let message = error.to_string();
    match error {
        SubmitError::NameInUse(_) => Status::already_exists(message),
        SubmitError::NoSuchAfter(_) => Status::failed_precondition(message),
        SubmitError::Full | SubmitError::Roles(_) => Status::resource_exhausted(message),
        SubmitError::JobName(_)
        | SubmitError::TaskName(_)
        | SubmitError::User(_)
        | SubmitError::NoTasks(_)
        | SubmitError::TooManyTasks(_)
        | SubmitError::TaskTwice(_)
        | SubmitError::NoInstance(_)
        | SubmitError::TooManyInstances(_)
        | SubmitError::UnknownAfter { .. }
        | SubmitError::AfterRecurring(_)
        | SubmitError::AfterTemplate(_)
        | SubmitError::RecurringAfter(_)
        | SubmitError::TooManyAfterJobs(_)
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
        | SubmitError::Configs(_)
        | SubmitError::LargeContainer { .. }
        | SubmitError::Retries { .. }
        | SubmitError::NoneRunning(_)
        | SubmitError::GangRunning(_)
        | SubmitError::Backoff { .. }
        | SubmitError::NoExitCodes(_)
        | SubmitError::Schedule(_)
        | SubmitError::Template(_)
        | SubmitError::Priority(_) => Status::invalid_argument(message),
    }
}

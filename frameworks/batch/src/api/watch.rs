//! Watching a job: its view now and after each change, until it has ended.
//!
//! Changes that come while a view is on its way are told as one. A large job is told less often than a small one, so
//! that watching costs a bounded share of the time.

use std::time::Duration;

use proffer_batch_core::{Batch, JobView, NoSuchJob, Pick, RecurringView, TemplateView};
use proffer_sdk::Handle;
use proffer_wire::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::not_found;
use crate::convert;

pub(crate) type JobStream = ReceiverStream<Result<v1::Job, Status>>;

/// The pause after a view, for each instance and task in it. A view costs some 2 us an instance to make and send.
const PAUSE_PER_ITEM: Duration = Duration::from_micros(50);
/// Jobs up to this size are told of every change at once: someone waits for each.
const SMALL_JOB: usize = 16;

/// What goes by one name: a job, a recurring one, or a template.
#[derive(Debug, PartialEq)]
pub(crate) enum Shown {
    Job(JobView),
    Recurring(RecurringView),
    Template(TemplateView),
}

/// Finds what goes by a name.
pub(crate) fn look(batch: &Batch, name: &str, pick: &Pick) -> Result<Shown, NoSuchJob> {
    let recurring = batch.get_recurring(name).map(Shown::Recurring);
    let other = recurring.or_else(|| batch.get_template(name).map(Shown::Template));
    other.map_or_else(|| batch.get(name, pick).map(Shown::Job), Ok)
}

impl Shown {
    pub(crate) fn message(&self, framework_id: &str, is_brief: bool) -> v1::Job {
        match self {
            Self::Job(job) => convert::job(job, framework_id, is_brief),
            Self::Recurring(job) => convert::recurring(job, framework_id),
            Self::Template(job) => convert::template(job, framework_id),
        }
    }

    fn has_ended(&self) -> bool {
        match self {
            Self::Job(job) => job.ended.is_some(),
            Self::Recurring(job) => job.ended.is_some(),
            Self::Template(job) => job.ended.is_some(),
        }
    }

    fn size(&self) -> usize {
        match self {
            // Counts are there for each task, and mostly its spec.
            Self::Job(job) => job.instances.len() + job.counts.len(),
            Self::Recurring(job) => job.windows.len(),
            Self::Template(job) => job.runs.len(),
        }
    }
}

/// Starts the stream. Fails when there is no such job.
pub(crate) async fn watch(
    handle: Handle<Batch>,
    name: String,
    pick: Pick,
    is_brief: bool,
) -> Result<JobStream, Status> {
    let first = view(&handle, &name, &pick).await?;
    // One view waits for the client at most; further changes are told together.
    let (views, stream) = mpsc::channel(1);
    tokio::spawn(async move {
        let closed = views.clone();
        let told = tell(&handle, (&name, &pick, is_brief), first, &views);
        let failed = tokio::select! {
            () = closed.closed() => return,
            told = told => told.err(),
        };
        if let Some(status) = failed {
            // A client that went away does not want to know.
            let _ = views.send(Err(status)).await;
        }
    });
    Ok(ReceiverStream::new(stream))
}

async fn tell(
    handle: &Handle<Batch>,
    (name, pick, is_brief): (&str, &Pick, bool),
    first: Shown,
    views: &mpsc::Sender<Result<v1::Job, Status>>,
) -> Result<(), Status> {
    let mut changes = handle.watch();
    let mut job = first;
    loop {
        let id = changes.borrow().framework_id.clone();
        let message = job.message(&id.map(|id| id.to_string()).unwrap_or_default(), is_brief);
        if views.send(Ok(message)).await.is_err() || job.has_ended() {
            return Ok(());
        }
        let size = job.size();
        if size > SMALL_JOB {
            tokio::time::sleep(PAUSE_PER_ITEM.saturating_mul(u32::try_from(size).unwrap_or(u32::MAX))).await;
        }
        job = loop {
            let later = view(handle, name, pick).await?;
            if later != job {
                break later;
            }
            let stopped = |_| Status::unavailable("the batch framework has stopped");
            changes.changed().await.map_err(stopped)?;
        };
    }
}

async fn view(handle: &Handle<Batch>, name: &str, pick: &Pick) -> Result<Shown, Status> {
    let (name, pick) = (name.to_owned(), pick.clone());
    let view = handle.call(move |batch, _| look(batch, &name, &pick)).await;
    view?.map_err(|error| not_found(&error))
}

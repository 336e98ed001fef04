//! A job watched to its end, across restarts of the master and of the batch framework.

use anyhow::Result;
use proffer_wire::v1;
use tonic::{Status, Streaming};

use super::{Cluster, Contact};

/// Yields the job now and after each change.
#[derive(Debug)]
pub(crate) struct JobWatcher {
    cluster: Cluster,
    request: v1::GetJobRequest,
    stream: Option<Streaming<v1::Job>>,
    contact: Contact,
}

/// Whether a job is over.
pub(crate) fn has_ended(job: &v1::Job) -> bool {
    match job.state() {
        v1::JobState::JobFinished | v1::JobState::JobFailed | v1::JobState::JobCancelled => true,
        v1::JobState::Unspecified | v1::JobState::JobPending | v1::JobState::JobRunning => false,
        v1::JobState::JobScheduled | v1::JobState::JobPaused | v1::JobState::JobParameterised => false,
    }
}

impl JobWatcher {
    /// Watches a job, and those of its indexes that are asked for; nothing is sent before the first
    /// [`JobWatcher::next`].
    pub(crate) fn new(cluster: &Cluster, request: v1::GetJobRequest) -> Self {
        Self {
            cluster: cluster.clone(),
            request,
            stream: None,
            contact: Contact::with("the batch framework"),
        }
    }

    /// The next state of the job. Safe to drop and call again.
    ///
    /// Errors when the job is unknown, or there was no contact for longer than one waits.
    pub(crate) async fn next(&mut self) -> Result<v1::Job> {
        loop {
            let Some(stream) = &mut self.stream else {
                match self.cluster.jobs().watch_job(self.request.clone()).await {
                    Ok(answer) => self.stream = Some(answer.into_inner()),
                    Err(status) => self.lost(&status).await?,
                }
                continue;
            };
            let message = stream.message().await;
            match message {
                Ok(Some(job)) => {
                    self.contact.good();
                    return Ok(job);
                }
                Ok(None) => {
                    self.stream = None;
                    self.contact.pause("the stream ended").await?;
                }
                Err(status) => {
                    self.stream = None;
                    self.lost(&status).await?;
                }
            }
        }
    }

    async fn lost(&mut self, status: &Status) -> Result<()> {
        self.contact.lost(status).await?;
        self.cluster.seek_leader().await;
        Ok(())
    }
}

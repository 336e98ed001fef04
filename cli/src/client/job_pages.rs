//! The instances of a job, however many, a page at a time.

use anyhow::Result;
use proffer_wire::v1;

use super::Cluster;
use crate::failure::refused;

/// Instances asked for at a time: with their statuses some hundreds of KiB.
const PAGE: u32 = 2_000;

/// Yields a job over and over, each time with its next instances.
#[derive(Debug)]
pub(crate) struct JobPages {
    cluster: Cluster,
    request: v1::GetJobRequest,
    is_first: bool,
    has_ended: bool,
}

impl JobPages {
    /// Of a job, those instances that are in one of the states, or in any where none is given.
    pub(crate) fn new(cluster: &Cluster, name: &str, states: &[v1::JobTaskState]) -> Self {
        Self {
            cluster: cluster.clone(),
            request: v1::GetJobRequest {
                name: name.to_owned(),
                limit: PAGE,
                states: states.iter().copied().map(i32::from).collect(),
                after: None,
                brief: false,
            },
            is_first: true,
            has_ended: false,
        }
    }

    /// Only those behind a place.
    pub(crate) fn behind(mut self, place: Option<v1::JobTaskPlace>) -> Self {
        self.request.after = place;
        self
    }

    /// The job with its next instances; without any the first time, where it has none. None when all were yielded.
    pub(crate) async fn next(&mut self) -> Result<Option<v1::Job>> {
        if self.has_ended {
            return Ok(None);
        }
        let is_first = std::mem::take(&mut self.is_first);
        // The spec is that of the first page.
        self.request.brief = !is_first;
        let answer = self.cluster.jobs().get_job(self.request.clone()).await;
        let job = answer.map_err(|status| refused(&status))?.into_inner();
        match job.tasks.last() {
            Some(last) => {
                self.request.after = Some(v1::JobTaskPlace {
                    task: last.name.clone(),
                    index: last.index,
                });
            }
            None => self.has_ended = true,
        }
        Ok((is_first || !self.has_ended).then_some(job))
    }

    /// The job with all of them.
    pub(crate) async fn all(mut self) -> Result<v1::Job> {
        let mut job = self.next().await?.unwrap_or_default();
        while let Some(page) = self.next().await? {
            job.tasks.extend(page.tasks);
        }
        Ok(job)
    }
}

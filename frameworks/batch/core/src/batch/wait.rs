//! Jobs that wait for the end of others, as by `sbatch --dependency`.
//!
//! A name means the submission that has it when the waiting job is submitted, so there are no cycles, and a later job of that
//! name is not waited for. A wait that is over is recorded together with the end that it waited for: afterwards the other
//! job may be forgotten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proffer_session::Context;

use super::{Batch, put};
use crate::job::{Job, Wait};
use crate::validate::quoted;
use crate::{AfterJob, JobSpec, JobState, On, SubmitError, records};

/// Who waits for whom, and whom of those that have ended nobody was told yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Waits {
    /// The open jobs that wait for an open one, by that.
    later: BTreeMap<u64, BTreeSet<u64>>,
    /// An end that cancels another job ends that too: they are told one after the other, however long the chain is.
    ends: VecDeque<End>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    number: u64,
    name: String,
    state: JobState,
    later: BTreeSet<u64>,
}

/// Whether a job that ended like this lets one start that waits for it; otherwise it never will.
fn is_met(on: On, state: JobState) -> bool {
    match on {
        On::Success => state == JobState::Finished,
        On::Failure => state == JobState::Failed,
        On::Any => true,
    }
}

fn never(name: &str, on: On, state: JobState) -> String {
    let became = match state {
        JobState::Failed => "has failed",
        JobState::Cancelled => "was cancelled",
        JobState::Finished | JobState::Pending | JobState::Running => "has finished",
    };
    format!(
        "`{name}` {became}, and the job was to run after its {}",
        end_word(on)
    )
}

fn end_word(on: On) -> &'static str {
    match on {
        On::Success => "success",
        On::Failure => "failure",
        On::Any => "end",
    }
}

impl Batch {
    /// What a job has to wait for, and why that will never be.
    ///
    /// # Errors
    ///
    /// A name that no job has, or that of a recurring one or a template.
    pub(super) fn waits(&self, spec: &JobSpec) -> Result<(BTreeSet<Wait>, Option<String>), SubmitError> {
        let mut waits = BTreeSet::new();
        let mut reason = None;
        for AfterJob { job: name, on } in &spec.after_jobs {
            if self.recurrings.names.contains_key(name) {
                return Err(SubmitError::AfterRecurring(name.clone()));
            }
            if self.templates.number(name).is_some() {
                return Err(SubmitError::AfterTemplate(name.clone()));
            }
            let number = self.names.get(name);
            let other = number.and_then(|number| self.jobs.get(number));
            let other = other.ok_or_else(|| SubmitError::NoSuchAfter(quoted(name)))?;
            if other.ended.is_none() {
                waits.insert(Wait {
                    job: other.number,
                    on: *on,
                });
            } else if !is_met(*on, other.state()) {
                reason.get_or_insert_with(|| never(name, *on, other.state()));
            }
        }
        Ok((waits, reason))
    }

    /// Sees to it that a job is told of the ends it waits for.
    pub(super) fn watch_ends(&mut self, number: u64) {
        let Some(job) = self.jobs.get(&number).filter(|job| job.ended.is_none()) else {
            return;
        };
        for wait in &job.waits {
            self.waits.later.entry(wait.job).or_default().insert(number);
        }
    }

    /// A job has ended, or is gone without an end: whoever waits for it is told.
    pub(super) fn tell_later(&mut self, job: u64, cx: &mut Context<'_>) {
        let Some(ended) = self.jobs.get(&job) else {
            return;
        };
        for wait in &ended.waits {
            if let Some(later) = self.waits.later.get_mut(&wait.job) {
                later.remove(&job);
                if later.is_empty() {
                    self.waits.later.remove(&wait.job);
                }
            }
        }
        let end = End {
            number: job,
            name: ended.name.clone(),
            state: match ended.ended {
                Some(_) => ended.state(),
                None => JobState::Cancelled,
            },
            later: self.waits.later.remove(&job).unwrap_or_default(),
        };
        if end.later.is_empty() {
            return;
        }
        let is_telling = !self.waits.ends.is_empty();
        self.waits.ends.push_back(end);
        while !is_telling && let Some(end) = self.waits.ends.front().cloned() {
            for later in &end.later {
                self.tell_one(*later, &end, cx);
            }
            self.waits.ends.pop_front();
        }
    }

    fn tell_one(&mut self, later: u64, end: &End, cx: &mut Context<'_>) {
        let Some(job) = self.jobs.get_mut(&later).filter(|job| job.ended.is_none()) else {
            return;
        };
        let of_it = |wait: &&Wait| wait.job == end.number;
        let unmet = job
            .waits
            .iter()
            .filter(of_it)
            .find(|wait| !is_met(wait.on, end.state));
        if let Some(wait) = unmet {
            job.reason = Some(never(&end.name, wait.on, end.state));
            return self.cancel_and_settle(later, cx);
        }
        job.waits.retain(|wait| wait.job != end.number);
        put(cx, records::end(job));
        self.queue_again(later);
    }

    /// The same for a person: `build` (its success), `test` (its end)
    pub(super) fn waited_for(&self, job: &Job) -> String {
        let waits = self.waits_of(job).into_iter();
        let waits = waits.map(|after| format!("`{}` (its {})", after.job, end_word(after.on)));
        waits.collect::<Vec<_>>().join(", ")
    }

    /// What a job still waits for, by name.
    pub(super) fn waits_of(&self, job: &Job) -> Vec<AfterJob> {
        let open = job.waits.iter().filter_map(|wait| {
            let other = self.jobs.get(&wait.job)?;
            let job = other.name.clone();
            Some(AfterJob { job, on: wait.on })
        });
        open.collect()
    }
}

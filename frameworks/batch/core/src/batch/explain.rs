//! Why a job is not running, in sentences, the most important first.

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_types::Timestamp;

use super::{Batch, NoSuchJob};
use crate::JobState;
use crate::job::{Job, Phase};
use crate::validate::{asked, check_fit};

impl Batch {
    /// Says what each task of a job waits for. Takes the name of a job or the id of one of its tasks.
    pub fn explain(&self, name: &str, now: Timestamp) -> Result<Vec<String>, NoSuchJob> {
        let job = self.named(name).or_else(|error| self.owner(name).ok_or(error))?;
        let title = format!("job `{}`", job.spec.name);
        let mut reasons = match job.state() {
            JobState::Finished => return Ok(vec![format!("{title} has finished.")]),
            JobState::Failed => vec![format!("{title} has failed.")],
            JobState::Cancelled => return Ok(vec![format!("{title} was cancelled.")]),
            JobState::Pending | JobState::Running if job.cancelled => {
                let n = job.count(Phase::Running);
                vec![format!(
                    "{title} was cancelled; the kill of {} is on its way.",
                    instances(n)
                )]
            }
            JobState::Pending | JobState::Running if !self.connected => {
                vec!["the batch framework is not connected to a master.".to_owned()]
            }
            JobState::Pending | JobState::Running => Vec::new(),
        };
        for task in 0..job.tasks.len() {
            self.explain_task(job, task, now, &mut reasons);
        }
        Ok(reasons)
    }

    /// The job of a task id, which is `<job>-<number>.<task>.<index>`.
    fn owner(&self, task_id: &str) -> Option<&Job> {
        let (rest, _) = task_id.rsplit_once('.')?;
        let (job, _) = rest.rsplit_once('.')?;
        let (name, number) = job.rsplit_once('-')?;
        let found = self.jobs.get(&number.parse().ok()?)?;
        (found.spec.name == name).then_some(found)
    }

    fn explain_task(&self, job: &Job, task: usize, now: Timestamp, reasons: &mut Vec<String>) {
        let state = &job.tasks[task];
        let spec = job.task_spec(task);
        let of = |n: usize| format!("{} of `{}`", instances(n), spec.name);
        let mut say = |n: usize, sentence: &dyn Fn() -> String| {
            if n > 0 {
                reasons.push(format!("{} {}", of(n), sentence()));
            }
        };
        say(state.count(Phase::Failed), &|| {
            format!("ended as {}.", last_words(job, task))
        });
        say(state.count(Phase::Waiting), &|| {
            let why = match check_fit(spec, &self.largest) {
                Ok(()) => self.explain_waiting(job, task),
                Err(error) => format!("{error}."),
            };
            format!("must wait for an offer with {}: {why}", spec.resources)
        });
        say(state.count(Phase::Blocked), &|| {
            format!("must come after {}.", before(job, task))
        });
        let cut_off = self.cut_off.of_task(job.number, task);
        let (n_cut_off, given_up_at) = cut_off.unwrap_or((0, now));
        say(n_cut_off, &|| {
            let subject = if n_cut_off == 1 { "it is" } else { "the first is" };
            let what = if job.cancelled {
                "given up"
            } else {
                "started again"
            };
            let left = minutes(given_up_at.since(now));
            format!(
                "cannot be reached, its agent is unreachable; {subject} {what} in {left}, unless the agent is back before."
            )
        });
        say(state.count(Phase::Running) - n_cut_off, &|| {
            "started and did not end yet.".to_owned()
        });
    }

    fn explain_waiting(&self, job: &Job, task: usize) -> String {
        let Some(misses) = self.misses.get(&(job.number, task)) else {
            return match self.largest.is_empty() {
                true => "there is no agent.".to_owned(),
                false => "none was made yet that was not used up by what goes before.".to_owned(),
            };
        };
        let n = match misses.n_offers {
            1 => "1 offer was".to_owned(),
            n => format!("{n} offers were"),
        };
        match &misses.latest {
            Some((lacking, had)) => format!(
                "{n} too small; the latest had {}, and {} is needed.",
                asked(had, lacking),
                asked(&job.task_spec(task).resources, lacking)
            ),
            None => format!("{n} too small."),
        }
    }
}

fn instances(n: usize) -> String {
    format!("{n} {}", if n == 1 { "instance" } else { "instances" })
}

/// A wait in whole minutes, rounded up.
fn minutes(wait: Duration) -> String {
    format!("{} min", wait.as_millis().div_ceil(60_000).max(1))
}

/// The tasks that a task comes after, and how far they are.
fn before(job: &Job, task: usize) -> String {
    let after = job.tasks[task].after.iter().map(|index| {
        let (earlier, name) = (&job.tasks[*index], &job.task_spec(*index).name);
        let (n, all) = (earlier.count(Phase::Finished), earlier.instances.len());
        format!("`{name}` ({n} of {all} finished)")
    });
    after.collect::<Vec<_>>().join(", ")
}

/// How the failed instances of a task ended, each way once.
fn last_words(job: &Job, task: usize) -> String {
    let failed = job.tasks[task].instances.iter();
    let failed = failed.filter(|instance| instance.phase == Phase::Failed);
    let words: BTreeSet<_> = failed
        .filter_map(|instance| instance.status.as_deref())
        .map(|status| match status.reason {
            Some(reason) => format!("{} {}", status.state.as_str(), reason.as_str()),
            None => status.state.as_str().to_owned(),
        })
        .collect();
    let words: Vec<_> = words.into_iter().collect();
    words.join(", ")
}

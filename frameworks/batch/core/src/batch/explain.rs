//! Why a job is not running, in sentences, the most important first.

use std::collections::BTreeSet;

use super::{Batch, NoSuchJob};
use crate::JobState;
use crate::job::{Job, Phase};
use crate::validate::{asked, check_fit};

impl Batch {
    /// Says what each task of a job waits for. Takes the name of a job or the id of one of its tasks.
    pub fn explain(&self, name: &str) -> Result<Vec<String>, NoSuchJob> {
        let job = self.named(name).or_else(|error| self.owner(name).ok_or(error))?;
        let title = format!("job `{}`", job.spec.name);
        let mut reasons = match job.state() {
            JobState::Finished => return Ok(vec![format!("{title} has finished.")]),
            JobState::Failed => vec![format!("{title} has failed.")],
            JobState::Cancelled => return Ok(vec![format!("{title} was cancelled.")]),
            JobState::Pending | JobState::Running if job.cancelled => {
                let n = job.count(Phase::Running);
                vec![format!("{title} was cancelled; {n} instances are being killed.")]
            }
            JobState::Pending | JobState::Running if !self.connected => {
                vec!["the batch framework is not connected to a master.".to_owned()]
            }
            JobState::Pending | JobState::Running => Vec::new(),
        };
        for task in 0..job.tasks.len() {
            self.explain_task(job, task, &mut reasons);
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

    fn explain_task(&self, job: &Job, task: usize, reasons: &mut Vec<String>) {
        let state = &job.tasks[task];
        let spec = job.task_spec(task);
        let name = &spec.name;
        match state.count(Phase::Failed) {
            0 => {}
            n => reasons.push(format!(
                "{n} instances of `{name}` failed; {}",
                last_words(job, task)
            )),
        }
        match state.count(Phase::Waiting) {
            0 => {}
            n => {
                let unplaceable = check_fit(spec, &self.largest).err();
                let why =
                    unplaceable.map_or_else(|| self.explain_waiting(job, task), |error| format!("{error}."));
                let needs = &spec.resources;
                reasons.push(format!(
                    "{n} instances of `{name}` wait for an offer with {needs}: {why}"
                ));
            }
        }
        match state.count(Phase::Blocked) {
            0 => {}
            n => {
                let before = state.after.iter().map(|index| {
                    let (earlier, of) = (&job.tasks[*index], &job.task_spec(*index).name);
                    let (n, all) = (earlier.count(Phase::Finished), earlier.instances.len());
                    format!("`{of}` ({n} of {all} finished)")
                });
                let before: Vec<_> = before.collect();
                reasons.push(format!(
                    "{n} instances of `{name}` come after {}.",
                    before.join(", ")
                ));
            }
        }
        match state.count(Phase::Running) {
            0 => {}
            n => reasons.push(format!("{n} instances of `{name}` are running.")),
        }
    }

    fn explain_waiting(&self, job: &Job, task: usize) -> String {
        let Some(misses) = self.misses.get(&(job.number, task)) else {
            return match self.largest.is_empty() {
                true => "there is no agent.".to_owned(),
                false => "none was made yet that was not used up by what goes before.".to_owned(),
            };
        };
        let n = misses.n_offers;
        match &misses.latest {
            Some((lacking, had)) => format!(
                "{n} offers were too small; the latest had {}, and {} is needed.",
                asked(had, lacking),
                asked(&job.task_spec(task).resources, lacking)
            ),
            None => format!("{n} offers were too small."),
        }
    }
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
    format!("they ended as {}.", words.join(", "))
}

//! Building the jobs again from their records.

use std::collections::BTreeMap;
use std::sync::Arc;

use proffer_session::RecoverError;
use proffer_types::Timestamp;

use super::Batch;
use crate::JobSpec;
use crate::graph::order;
use crate::job::{Job, Phase, Place};
use crate::records::{Record, read};
use crate::recurring::Recurring;
use crate::task::Instance;

pub(super) fn recover(records: &[(String, Vec<u8>)]) -> Result<Batch, RecoverError> {
    let mut batch = Batch::new();
    let mut at = BTreeMap::<String, usize>::new();
    for (key, value) in records {
        let orphan = |number: u64| RecoverError::new(key, format!("there is no job {number}"));
        match read(key, value, &mut batch.agents)? {
            Record::Submissions(n) => batch.submissions = n,
            Record::Queue { role, settings } => batch.queue.restore_settings(role, settings),
            Record::Used { role, user, sum, at } => batch.queue.restore_used(role, user, sum, at),
            Record::Forgotten(number) => batch.forgotten.restore(number),
            Record::Instance { number, .. } | Record::Sums { number, .. }
                if batch.forgotten.restore_key(number, key) => {}
            Record::Account(account, sums) => batch.accounts.restore(account, sums),
            Record::Sums { number, task, sums } => {
                let job = batch.jobs.get_mut(&number).ok_or_else(|| orphan(number))?;
                let place = *at.get(&task).ok_or_else(|| orphan(number))?;
                let task = job.tasks.get_mut(place).ok_or_else(|| orphan(number))?;
                task.sums = Some(Box::new(sums));
            }
            Record::Recurring {
                number,
                spec,
                submitted,
            } => batch.restore_recurring(key, number, spec, submitted)?,
            Record::Ledger { number, ledger } => {
                let job = batch.recurrings.jobs.get_mut(&number);
                job.ok_or_else(|| orphan(number))?.ledger = ledger;
            }
            Record::Template {
                number,
                spec,
                submitted,
                cancelled,
            } => batch.restore_template(number, spec, submitted, cancelled),
            Record::Run {
                number,
                run,
                submitted,
            } => {
                let of = batch.recurrings.jobs.get(&run.recurring);
                let of = of.ok_or_else(|| orphan(run.recurring))?;
                let job = Job::new(number, of.spec.clone(), of.order.clone(), submitted).into_run(run);
                at = names(&job.spec);
                batch.names.insert(job.name.clone(), number);
                batch.jobs.insert(number, job);
            }
            Record::Job {
                number,
                spec,
                submitted,
                template,
            } => {
                let order = order(&spec).map_err(|error| RecoverError::new(key, error))?;
                at = names(&spec);
                batch.roles.insert(spec.role.clone());
                let mut job = Job::new(number, Arc::new(spec), order, submitted);
                job.template = template;
                batch.names.insert(job.name.clone(), number);
                batch.jobs.insert(number, job);
            }
            Record::End {
                number,
                cancelled,
                ended,
                held,
                expired,
                released,
                reason,
                waits,
            } => {
                let job = batch.jobs.get_mut(&number).ok_or_else(|| orphan(number))?;
                job.cancelled = cancelled;
                job.ended = ended;
                job.expired = expired;
                job.released = released;
                job.reason = reason;
                job.waits = waits;
                job.held = held.unwrap_or(job.spec.hold);
            }
            Record::Instance {
                number,
                task,
                index,
                phase,
                instance,
            } => {
                let task = at.get(&task).copied();
                let task = task.ok_or_else(|| orphan(number))?;
                let place = Place {
                    job: number,
                    task,
                    index,
                };
                batch
                    .restore(place, phase, instance)
                    .ok_or_else(|| orphan(number))?;
            }
        }
    }
    for number in batch.jobs.keys().copied().collect::<Vec<_>>() {
        batch.settle(number, Job::settle, Timestamp::default());
        if let Some(job) = batch.jobs.get_mut(&number) {
            job.recover_opened();
        }
        batch.watch_deadline(number);
        batch.watch_ends(number);
        batch.queue_again(number);
    }
    batch.queue.recovered();
    batch.recover_windows();
    batch.recover_dispatched();
    // Nothing was stated yet.
    batch.changed.clone_from(&batch.roles);
    Ok(batch)
}

/// As [`JobSpec::places`], for as long as the records of one job last.
fn names(spec: &JobSpec) -> BTreeMap<String, usize> {
    let places = spec.places().into_iter();
    places.map(|(name, place)| (name.to_owned(), place)).collect()
}

impl Batch {
    fn restore_recurring(
        &mut self,
        key: &str,
        number: u64,
        spec: JobSpec,
        submitted: Timestamp,
    ) -> Result<(), RecoverError> {
        let order = order(&spec).map_err(|error| RecoverError::new(key, error))?;
        let schedule = spec.schedule.clone();
        let schedule = schedule.ok_or_else(|| RecoverError::new(key, "it has no schedule"))?;
        let job = Recurring::new(number, Arc::new(spec), schedule, order, submitted);
        let job = job.map_err(|error| RecoverError::new(key, error))?;
        self.roles.insert(job.spec.role.clone());
        self.recurrings.names.insert(job.spec.name.clone(), number);
        self.recurrings.jobs.insert(number, job);
        Ok(())
    }

    fn restore(&mut self, place: Place, phase: Phase, instance: Instance) -> Option<()> {
        self.jobs.get_mut(&place.job)?.restore(place, instance)?;
        self.move_to(place, phase);
        Some(())
    }
}

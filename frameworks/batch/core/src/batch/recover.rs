//! Building the jobs again from their records.

use std::collections::BTreeMap;
use std::sync::Arc;

use proffer_session::RecoverError;
use proffer_types::Timestamp;

use super::Batch;
use crate::job::{Instance, Job, Phase, Place};
use crate::records::{Record, read};
use crate::validate::order;

pub(super) fn recover(records: &[(String, Vec<u8>)]) -> Result<Batch, RecoverError> {
    let mut batch = Batch::new();
    let mut at = BTreeMap::new();
    for (key, value) in records {
        let orphan = |number: u64| RecoverError::new(key, format!("there is no job {number}"));
        match read(key, value)? {
            Record::Submissions(n) => batch.submissions = n,
            Record::Job {
                number,
                spec,
                submitted,
            } => {
                let order = order(&spec.tasks).map_err(|error| RecoverError::new(key, error))?;
                let places = spec.tasks.iter().enumerate();
                at = places.map(|(index, task)| (task.name.clone(), index)).collect();
                batch.roles.insert(spec.role.clone());
                batch.names.insert(spec.name.clone(), number);
                batch
                    .jobs
                    .insert(number, Job::new(number, Arc::new(spec), order, submitted));
            }
            Record::End {
                number,
                cancelled,
                ended,
            } => {
                let job = batch.jobs.get_mut(&number).ok_or_else(|| orphan(number))?;
                job.cancelled = cancelled;
                job.ended = ended;
            }
            Record::Instance {
                number,
                task,
                index,
                instance,
            } => {
                let task = at.get(&task).copied();
                let task = task.ok_or_else(|| orphan(number))?;
                let place = Place {
                    job: number,
                    task,
                    index,
                };
                batch.restore(place, instance).ok_or_else(|| orphan(number))?;
            }
        }
    }
    for number in batch.jobs.keys().copied().collect::<Vec<_>>() {
        batch.settle(number, Timestamp::default());
    }
    // Nothing was stated yet.
    batch.changed.clone_from(&batch.roles);
    Ok(batch)
}

impl Batch {
    fn restore(&mut self, place: Place, instance: Instance) -> Option<()> {
        let job = self.jobs.get_mut(&place.job)?;
        let blank = job.tasks.get_mut(place.task)?.instances.get_mut(place.index)?;
        let phase = instance.phase;
        *blank = Instance {
            phase: Phase::Blocked,
            ..instance
        };
        self.move_to(place, phase);
        Some(())
    }
}

//! The offers of a gang are made together, end together in the same way, and all tasks launched on them start, or none.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_core::{Event, OfferEnd};
use proffer_types::scheduler_link::Call;
use proffer_types::{FrameworkId, OfferId, Operation, TaskId, Timestamp};

use super::Invariant;
use crate::facts::Fact;

#[derive(Debug, Default)]
pub(crate) struct GangsWhole {
    /// The bundle of each offer that is outstanding, by its first.
    outstanding: BTreeMap<OfferId, OfferId>,
    /// Whose, of every bundle ever.
    owners: BTreeMap<OfferId, FrameworkId>,
    bundle_of: BTreeMap<OfferId, OfferId>,
    /// How the offers of each bundle that ended in this batch did.
    ends: BTreeMap<OfferId, BTreeSet<&'static str>>,
    /// The tasks that were asked to start together.
    asked: Vec<(FrameworkId, BTreeSet<TaskId>)>,
    launched: BTreeSet<(FrameworkId, TaskId)>,
}

impl Invariant for GangsWhole {
    fn name(&self) -> &'static str {
        "gangs are whole"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::MasterStarted(_) => self.outstanding.clear(),
            Fact::MasterEvent(event) => self.event(event),
            Fact::Called {
                call: Call::Accept {
                    offers, operations, ..
                },
                ..
            } => self.accept(offers, operations),
            Fact::MasterState { .. } => return self.batch_over(),
            _ => {}
        }
        Ok(())
    }
}

impl GangsWhole {
    fn event(&mut self, event: &Event) {
        match event {
            Event::OfferMade {
                offer_id,
                framework_id,
                gang: Some(bundle),
                ..
            } => {
                let first = bundle.first.clone();
                self.owners.insert(first.clone(), framework_id.clone());
                self.bundle_of.insert(offer_id.clone(), first.clone());
                self.outstanding.insert(offer_id.clone(), first);
            }
            Event::OfferEnded { offer_id, end, .. } => {
                if let Some(first) = self.outstanding.remove(offer_id) {
                    self.ends.entry(first).or_default().insert(match end {
                        OfferEnd::Accepted => "accepted",
                        OfferEnd::Declined => "declined",
                        OfferEnd::Rescinded => "rescinded",
                    });
                }
            }
            Event::TaskLaunched {
                framework_id, info, ..
            } => {
                self.launched.insert((framework_id.clone(), info.id.clone()));
            }
            _ => {}
        }
    }

    fn accept(&mut self, offers: &[OfferId], operations: &[Operation]) {
        let first = offers.first().and_then(|offer| self.bundle_of.get(offer));
        let Some(owner) = first.and_then(|first| self.owners.get(first)) else {
            return;
        };
        let tasks = operations.iter().flat_map(|operation| match operation {
            Operation::Launch(tasks) => tasks.as_slice(),
            Operation::LaunchGroup(_) | Operation::Resume(_) | Operation::Change { .. } => &[],
        });
        let tasks: BTreeSet<_> = tasks.map(|task| task.id.clone()).collect();
        self.asked.push((owner.clone(), tasks));
    }

    fn batch_over(&mut self) -> Result<(), String> {
        let launched = std::mem::take(&mut self.launched);
        for (first, ends) in std::mem::take(&mut self.ends) {
            if ends.len() > 1 || self.outstanding.values().any(|other| *other == first) {
                return Err(format!(
                    "the offers of bundle {first} did not end together: {ends:?}"
                ));
            }
        }
        for (framework, tasks) in &self.asked {
            let started = |task: &&TaskId| launched.contains(&(framework.clone(), (*task).clone()));
            let n_started = tasks.iter().filter(started).count();
            if n_started > 0 && n_started < tasks.len() {
                return Err(format!("{n_started} of {tasks:?} of {framework} started"));
            }
        }
        Ok(())
    }
}

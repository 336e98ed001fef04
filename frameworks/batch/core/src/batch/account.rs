//! Charging what an attempt used to its task, and to its user and role.
//!
//! Invariant: an attempt is charged when its instance leaves `Running`, which is recorded in the same commit; so once,
//! however often its end is told.

use std::time::Duration;

use proffer_session::Context;
use proffer_types::Timestamp;

use super::update::Outcome;
use super::{Batch, put};
use crate::accounts::{Key, day_of};
use crate::job::{Job, Phase, Place};
use crate::usage::Attempt;
use crate::{JobSpec, records};

/// Who a job is of.
pub(super) fn user_of(spec: &JobSpec) -> String {
    spec.user.clone()
}

impl Job {
    /// Since when an instance could be started.
    pub(crate) fn could_start(&self, place: Place) -> Timestamp {
        let task = &self.tasks[place.task];
        let entered = match task.launched(place.index) {
            Some(instance) => instance.since,
            None => {
                let before = task.after.iter().filter(|edge| edge.each);
                let before = before.filter_map(|edge| self.tasks[edge.task].launched(place.index));
                let ends = before.map(|instance| instance.since);
                ends.chain(task.opened).max().unwrap_or(self.submitted)
            }
        };
        entered.max(self.released.unwrap_or_default())
    }

    /// An instance that was launched before waits for an offer.
    pub(crate) fn waits_since(&mut self, place: Place, now: Timestamp) {
        if let Some(instance) = self.tasks[place.task].launched_mut(place.index) {
            instance.since = now;
        }
    }

    /// Finds since when what was never launched could start: since what it comes after has ended.
    pub(super) fn recover_opened(&mut self) {
        let mut ends = vec![self.submitted; self.tasks.len()];
        for task in self.order.clone().iter().copied() {
            let state = &mut self.tasks[task];
            let before = state.after.iter().filter(|edge| !edge.each);
            let before = before.map(|edge| ends[edge.task]);
            let opened = before.max().unwrap_or(self.submitted);
            let launched = state.all_launched().map(|(_, instance)| instance.since);
            ends[task] = launched.chain([opened]).max().unwrap_or(opened);
            let has_opened = state.count(Phase::Blocked) < state.len();
            state.opened = has_opened.then_some(opened);
        }
    }
}

impl Batch {
    /// An attempt has ended, and its instance is about to move on.
    pub(super) fn charge(&mut self, place: Place, phase: Phase, outcome: Outcome, cx: &mut Context<'_>) {
        let (now, today) = (cx.now(), day_of(self.wall(cx)));
        let Some(job) = self.jobs.get_mut(&place.job) else {
            return;
        };
        let spec = job.spec.clone();
        let task = &mut job.tasks[place.task];
        let Some(instance) = task.launched_mut(place.index) else {
            return;
        };
        let launched = std::mem::replace(&mut instance.since, now);
        let waited_ms = instance.waited_ms;
        if outcome == Outcome::NeverLaunched {
            // It goes on waiting.
            if phase == Phase::Waiting {
                instance.since = Timestamp(launched.0.saturating_sub(waited_ms));
            }
            return;
        }
        let attempt = Attempt {
            finished: outcome == Outcome::Finished,
            waited: Duration::from_millis(waited_ms),
            since_launch: now.since(launched),
            usage: instance.status.as_ref().and_then(|report| report.usage),
            resources: &spec.tasks[place.task].resources,
        };
        task.sums.get_or_insert_default().add(&attempt);
        records::sums(job, place.task)
            .into_iter()
            .for_each(|record| put(cx, record));
        let account = Key {
            day: today,
            role: spec.role.clone(),
            user: user_of(&spec),
        };
        let (account, sums) = self.accounts.add(account, &attempt);
        put(cx, records::account(&account, sums));
        for old in self.accounts.drop_old(today) {
            cx.delete(records::account_key(&old));
        }
    }
}

//! Giving up attempts that were unreachable for too long: they count as lost, and are started again.
//!
//! An attempt that is given up may still be running, unseen, on the far side of a partition: at most one attempt of an
//! instance is known to run, but two may. So the wait is long, and counts only while the master keeps an attempt
//! unreachable before our eyes: a new link, and a start from the records, begin it anew, since what was missed meanwhile
//! is told again.

use std::time::Duration;

use proffer_session::Context;

use super::Batch;
use super::update::{Outcome, phase_after};
use crate::job::Place;

/// How long an unreachable attempt is waited for, beyond the time the master gave its agent: a restarted host and a
/// mended network are back by then, and doing all of the work again costs more than five minutes.
pub(super) const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Attempts given up in one step: with the records of their kills each takes a few hundred bytes of a commit, which
/// holds 16 MiB. The rest is given up in the next step, which comes at once.
const MAX_GIVEN_UP_PER_STEP: usize = 10_000;

impl Batch {
    pub(super) fn give_up_overdue(&mut self, cx: &mut Context<'_>) {
        let due = self.cut_off.due(cx.now()).take(MAX_GIVEN_UP_PER_STEP);
        let due: Vec<_> = due.collect();
        for place in &due {
            self.give_up(*place, cx);
        }
        for place in due {
            self.conclude_after(place, cx);
        }
    }

    fn give_up(&mut self, place: Place, cx: &mut Context<'_>) {
        self.cut_off.remove(place);
        let Some(job) = self.jobs.get(&place.job) else {
            return;
        };
        // The master kills it as soon as its agent is back.
        if let Some(id) = job.task_id(place.task, place.index) {
            cx.kill(&id, job.task_spec(place.task).kill_policy);
        }
        let phase = phase_after(job, place, Outcome::Lost);
        self.end_attempt(place, phase, Outcome::Lost, cx);
    }
}

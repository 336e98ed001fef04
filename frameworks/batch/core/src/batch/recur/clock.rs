//! What time it is for recurring jobs, and for how long nobody looked.
//!
//! The session's clock is steady: it does not follow when the host's clock is set. Windows are times of the host's clock,
//! so its distance to the session's is kept here, and told anew when it changes.

use std::time::Duration;

use proffer_types::Timestamp;

use crate::job::Run;
use crate::recurring::{MissedCause, Reason};
use crate::schedule::rfc3339;

/// A scheduler that looks at a deadline so late did not get to run: an idle one is milliseconds late, a busy one some
/// hundred.
const LATE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Clock {
    /// By how many milliseconds the host's clock is ahead of the session's.
    ahead: i64,
    /// When windows were last looked at; never since the start.
    seen: Option<Timestamp>,
    /// When they were looked at before that: what followed from it is written.
    seen_before: Option<Timestamp>,
    /// Of all ledgers, when one was last written before the start.
    pub(super) recorded: Timestamp,
    /// Since when no master is connected.
    pub(super) cut_off: Option<Timestamp>,
    /// The last time that no master was connected.
    was_cut_off: Option<(Timestamp, Timestamp)>,
}

impl Clock {
    /// A time of the session's clock by that of the host.
    pub(super) fn wall(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_add_signed(self.ahead))
    }

    /// A time of the host's clock by that of the session.
    pub(super) fn session_time(&self, wall: Timestamp) -> Timestamp {
        Timestamp(wall.0.saturating_add_signed(self.ahead.saturating_neg()))
    }

    /// The host's clock shows `wall` now.
    pub(super) fn set(&mut self, now: Timestamp, wall: Timestamp) {
        let ahead = i128::from(wall.0) - i128::from(now.0);
        self.ahead = i64::try_from(ahead).unwrap_or(0);
    }

    /// Windows up to now are decided about.
    pub(super) fn looked(&mut self, wall: Timestamp) {
        self.seen_before = self.seen.replace(wall);
    }

    /// What stays of this clock when the scheduler begins anew, in the same process, with what `recovered` knows.
    pub(in super::super) fn after_a_start(&self, recovered: Self) -> Self {
        Self {
            ahead: self.ahead,
            seen: self.seen_before,
            seen_before: self.seen_before,
            cut_off: self.cut_off,
            was_cut_off: self.was_cut_off,
            ..recovered
        }
    }

    pub(in super::super) fn connected(&mut self, wall: Timestamp) {
        if let Some(since) = self.cut_off.take() {
            self.was_cut_off = Some((since, wall));
        }
    }

    pub(in super::super) fn disconnected(&mut self, wall: Timestamp) {
        self.cut_off.get_or_insert(wall);
    }

    /// Why nobody looked at windows from `first` on, that are over.
    pub(super) fn absence(
        &self,
        first: Timestamp,
        wall: Timestamp,
        jump: Option<(Timestamp, Timestamp)>,
    ) -> Reason {
        let reason = |cause, from, to, what: &str| Reason {
            cause,
            from,
            to,
            why: format!("from {} to {} {what}.", rfc3339(from), rfc3339(to)),
        };
        match (jump, self.seen) {
            (Some((from, to)), _) => reason(MissedCause::ClockJumped, from, to, "the clock was set forward"),
            (None, None) => {
                let what = "the scheduler was down, or could not write";
                reason(MissedCause::SchedulerAway, self.recorded, wall, what)
            }
            (None, Some(seen)) => {
                let what = "the scheduler did not get to run, or could not write";
                reason(MissedCause::SchedulerStalled, seen.max(first), wall, what)
            }
        }
    }

    /// Why a run could not start up to its deadline, if it is not for want of room.
    pub(super) fn absence_of(
        &self,
        run: &Run,
        deadline: Timestamp,
        wall: Timestamp,
        jump: Option<(Timestamp, Timestamp)>,
    ) -> Option<Reason> {
        let at = run.at;
        // What is offered within half of the time shows whether there is room; and who is up looks at the deadline.
        let half = deadline.since(at) / 2;
        let cut_off = self.cut_off.map(|since| (since, wall)).or(self.was_cut_off);
        let cut_off = cut_off.filter(|(from, to)| deadline.min(*to).since(at.max(*from)) >= half);
        if let Some((from, to)) = cut_off.filter(|_| jump.is_none()) {
            let (since, until) = (rfc3339(from), rfc3339(to));
            return Some(Reason {
                cause: MissedCause::CutOff,
                from,
                to,
                why: format!("no master was connected from {since} to {until}."),
            });
        }
        let is_late = wall.since(deadline) >= LATE;
        let stalled = match self.seen {
            Some(seen) => is_late && deadline.since(seen.max(at)) >= half,
            // Who started again since was not away for it if a launch was under way until it was too late.
            None => run.dropped.is_none_or(|dropped| dropped <= deadline),
        };
        (jump.is_some() || stalled).then(|| self.absence(at, wall, jump))
    }
}

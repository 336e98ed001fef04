//! One recurring job: its ledger of windows.
//!
//! Invariant: every window before `next` is accounted for exactly once: its run is one of `runs` or was counted in
//! `counts.ran`, or it is counted in `counts.missed`. What changes here is recorded in the same step as the run itself,
//! so after a crash a window has a run and is behind `next`, or neither.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use proffer_types::Timestamp;

use crate::schedule::{MissedPolicy, Plan, Schedule};
use crate::{JobSpec, ScheduleError};

/// Why the windows of a span were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MissedCause {
    /// The scheduler was down.
    SchedulerAway,
    /// The scheduler was up, but did not get to run.
    SchedulerStalled,
    /// The clock went forward over them.
    ClockJumped,
    /// No master was connected.
    CutOff,
    /// Nothing was offered that it fits in, or what was launched was dropped.
    NoRoom,
    /// An earlier run went on, and the schedule skips overlaps.
    StillRunning,
    /// Too many runs had not ended.
    TooManyRuns,
    Paused,
    /// A later window took its place before it started.
    Replaced,
    /// It was cancelled before it started.
    Cancelled,
}

impl MissedCause {
    /// Every cause, in the order of the records' numbers.
    pub const ALL: [Self; 10] = [
        Self::SchedulerAway,
        Self::SchedulerStalled,
        Self::ClockJumped,
        Self::CutOff,
        Self::NoRoom,
        Self::StillRunning,
        Self::TooManyRuns,
        Self::Paused,
        Self::Replaced,
        Self::Cancelled,
    ];
}

/// What kept windows from running, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub cause: MissedCause,
    /// Since when and until when it held; the same where it is a moment.
    pub from: Timestamp,
    pub to: Timestamp,
    /// A sentence for a person.
    pub why: String,
}

/// A span of windows that did not run, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    pub first: Timestamp,
    pub last: Timestamp,
    /// How many windows it is; of one absence of a cron schedule at most a thousand are counted.
    pub n: u64,
    pub reason: Reason,
}

/// What became of the windows so far, those that are forgotten included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Their run started, and has ended.
    pub ran: u64,
    pub missed: u64,
    /// They started when their epsilon was over (at least once).
    pub late: u64,
    /// Launches of a task that may have run in the same window already (at least once).
    pub extra: u64,
}

/// What is recorded beside the spec whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ledger {
    /// The first window that nothing was decided about; none when there is none any more.
    pub(crate) next: Option<Timestamp>,
    pub(crate) paused: Option<Timestamp>,
    pub(crate) cancelled: Option<Timestamp>,
    pub(crate) counts: Counts,
    /// The earliest first, as many as the history holds.
    pub(crate) missed: VecDeque<Missed>,
    /// When it was recorded.
    pub(crate) recorded: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recurring {
    /// Counts submissions, as that of a job does.
    pub(crate) number: u64,
    pub(crate) spec: Arc<JobSpec>,
    pub(crate) schedule: Schedule,
    /// What the validation of the spec returned.
    pub(crate) order: Arc<[usize]>,
    pub(crate) plan: Plan,
    pub(crate) submitted: Timestamp,
    pub(crate) ledger: Ledger,
    /// The jobs that are runs of it, ended ones included.
    pub(crate) runs: BTreeSet<u64>,
    /// Those of them that have not ended.
    pub(crate) open: BTreeSet<u64>,
}

impl Recurring {
    /// A recurring job before its first window. `order` is what the validation of its spec returned.
    pub(crate) fn new(
        number: u64,
        spec: Arc<JobSpec>,
        schedule: Schedule,
        order: Arc<[usize]>,
        submitted: Timestamp,
    ) -> Result<Self, ScheduleError> {
        let plan = Plan::new(&schedule.when, submitted)?;
        let ledger = Ledger {
            next: plan.at_or_after(submitted),
            ..Ledger::default()
        };
        Ok(Self {
            number,
            spec,
            schedule,
            order,
            plan,
            submitted,
            ledger,
            runs: BTreeSet::new(),
            open: BTreeSet::new(),
        })
    }

    pub(crate) fn at_most_once(&self) -> bool {
        self.schedule.missed == MissedPolicy::AtMostOnce
    }

    /// Whether it will never run again and nothing of it runs.
    pub(crate) fn has_ended(&self) -> bool {
        self.ledger.cancelled.is_some() && self.open.is_empty()
    }

    /// The next window that is to be acted upon; none while it is paused.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let is_still = self.ledger.paused.is_some() || self.ledger.cancelled.is_some();
        self.ledger.next.filter(|_| !is_still)
    }

    /// Counts the windows from `next` up to, but without, a later time as missed.
    pub(crate) fn miss_until(&mut self, until: Timestamp, reason: Reason) {
        let Some(first) = self.ledger.next.filter(|next| *next < until) else {
            return;
        };
        let missed = Missed {
            first,
            last: self.plan.last_before(first, until),
            n: self.plan.count(first, until),
            reason,
        };
        self.ledger.next = self.plan.at_or_after(until);
        self.miss(missed);
    }

    /// Counts windows behind `next` as missed. One after the other for the same cause are told as one span.
    pub(crate) fn miss(&mut self, missed: Missed) {
        self.ledger.counts.missed = self.ledger.counts.missed.saturating_add(missed.n);
        if let Some(last) = self.ledger.missed.back_mut()
            && last.reason.cause == missed.reason.cause
            && self.plan.after(last.last) == Some(missed.first)
        {
            last.last = missed.last;
            last.n = last.n.saturating_add(missed.n);
            let from = last.reason.from;
            last.reason = Reason {
                from,
                ..missed.reason
            };
            return;
        }
        self.ledger.missed.push_back(missed);
        if self.ledger.missed.len() > self.schedule.history() {
            self.ledger.missed.pop_front();
        }
    }
}

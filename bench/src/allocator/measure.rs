//! Milliseconds, bytes and offers of one step, and the row they become.
//!
//! Milliseconds are the processor's, spent on this thread: what others do on a shared machine does not count. On a
//! quiet one they are those of the clock on the wall.

use std::alloc::System;

use anyhow::Result;
use cap::Cap;
use rustix::time::{ClockId, clock_gettime};

use super::subject::{Offered, Subject};
use crate::report::{Report, Row, median};

/// Counts what is allocated and not freed; limits nothing.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Bytes of the heap in use.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn heap_bytes() -> f64 {
    HEAP.allocated() as f64
}

/// Runs something and says how many milliseconds it took.
pub(super) fn timed<T>(run: impl FnOnce() -> T) -> (f64, T) {
    let start = cpu_ms();
    let answer = run();
    (cpu_ms() - start, answer)
}

/// What this thread has cost so far.
#[expect(clippy::cast_precision_loss, reason = "a thread runs for days, not for years")]
fn cpu_ms() -> f64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec as f64 * 1e3 + spent.tv_nsec as f64 / 1e6
}

/// One cycle: how long it took and what it offered.
pub(super) fn cycle(subject: &mut dyn Subject) -> (f64, Vec<Offered>) {
    let (ms, ()) = timed(|| subject.cycle());
    (ms, subject.take_offers())
}

/// The value below which `percent` of the values are; NaN of nothing.
pub(super) fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() * percent).div_ceil(100).max(1) - 1;
    values.get(at).copied().unwrap_or(f64::NAN)
}

/// What the reference took and what Mesos itself did, in milliseconds: a slower reference is none.
pub(super) type Slow = Option<(f64, f64)>;

/// The reference, if it took longer than Mesos.
pub(super) fn slower(runs: &[f64], mesos_ms: f64) -> Slow {
    Some((median(runs.to_vec()), mesos_ms)).filter(|(ms, mesos_ms)| ms > mesos_ms)
}

/// One figure of ours, in milliseconds, on its way to the report.
#[derive(Debug)]
pub(super) struct Figure {
    case: String,
    ms: f64,
    offers: usize,
    bytes: Option<f64>,
    /// Milliseconds of each run of the reference; empty when there was none.
    textbook: Vec<f64>,
    slow: Slow,
    aim_ms: Option<f64>,
}

impl Figure {
    pub(super) fn new(case: impl Into<String>, runs: Vec<f64>, offers: usize) -> Self {
        Self {
            case: case.into(),
            ms: median(runs),
            offers,
            bytes: None,
            textbook: Vec::new(),
            slow: None,
            aim_ms: None,
        }
    }

    /// Of the ledger and the allocator, when they were measured.
    pub(super) fn bytes(mut self, bytes: f64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    pub(super) fn beside(mut self, textbook: Vec<f64>, slow: Slow) -> Self {
        (self.textbook, self.slow) = (textbook, slow);
        self
    }

    pub(super) fn aim(mut self, aim_ms: f64) -> Self {
        self.aim_ms = Some(aim_ms);
        self
    }

    #[expect(clippy::cast_precision_loss, reason = "offers are few")]
    pub(super) fn add_to(self, report: &mut Report) -> Result<()> {
        let mut row = Row::new("allocator", self.case, self.ms, "ms");
        let runs = self.textbook;
        let name = match runs.len() {
            1 => "textbook, 1 run".to_owned(),
            n => format!("textbook, median of {n}"),
        };
        row = match self.slow {
            Some((ms, mesos_ms)) => row.invalid(&format!(
                "the textbook took {ms:.0} ms, Mesos itself {mesos_ms:.0}"
            )),
            None if runs.is_empty() => row,
            None => row.beside(&name, Ok(median(runs))),
        };
        if self.offers > 0 {
            row.decisions_per_s = Some(self.offers as f64 / self.ms * 1000.0);
        }
        row.bytes = self.bytes;
        if let Some(aim) = self.aim_ms {
            row = row.aim(aim);
        }
        report.add(row)
    }
}

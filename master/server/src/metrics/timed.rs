//! An allocator with a stopwatch around it.

use std::time::Instant;

use proffer_allocator::{Allocator, Change, Ledger, Outcome, Round};

use crate::metrics::Metrics;

/// Does what the allocator inside does, and measures it.
#[derive(Debug)]
pub(crate) struct Timed {
    inner: Box<dyn Allocator>,
    metrics: Metrics,
}

impl Timed {
    pub(crate) fn new(inner: Box<dyn Allocator>, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }
}

impl Allocator for Timed {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn observe(&mut self, ledger: &Ledger, change: &Change) {
        self.inner.observe(ledger, change);
    }

    fn allocate(&mut self, round: &mut Round<'_>) -> Outcome {
        let (started, budget) = (Instant::now(), round.budget());
        let outcome = self.inner.allocate(round);
        let n_pairs = budget - round.budget();
        self.metrics.allocation(started.elapsed(), n_pairs, outcome.more);
        outcome
    }

    fn check(&self, ledger: &Ledger) {
        self.inner.check(ledger);
    }
}

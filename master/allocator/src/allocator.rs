//! What an allocator is.

use std::fmt;

use proffer_types::Timestamp;

use crate::{Change, Ledger, Round};

/// Decides which framework is offered what.
pub trait Allocator: fmt::Debug + Send {
    /// The name it is chosen by.
    fn name(&self) -> &'static str;

    /// Hears of a change. A hint; may be ignored. Claims the allocator makes itself are not told.
    fn observe(&mut self, ledger: &Ledger, change: &Change);

    /// Makes what offers can be made now, or as many as the budget allows.
    fn allocate(&mut self, round: &mut Round<'_>) -> Outcome;

    /// Compares what it keeps with what it would derive from the ledger alone. Panics with what differs; for tests
    /// and the simulator, right after a round.
    fn check(&self, _ledger: &Ledger) {}
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The budget ran out: there is more to examine at once.
    pub more: bool,
    /// When to run again though nothing changes.
    pub next: Option<Timestamp>,
}

//! A sabotaged master's allocator: what it holds for somebody it holds for ever.

use proffer_allocator::{Allocator, Change, Hold, Ledger, Outcome, Round};
use proffer_types::Timestamp;

#[derive(Debug)]
pub(crate) struct EndlessHolds(pub(crate) Box<dyn Allocator>);

impl Allocator for EndlessHolds {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn observe(&mut self, ledger: &Ledger, change: &Change) {
        self.0.observe(ledger, change);
    }

    fn allocate(&mut self, round: &mut Round<'_>) -> Outcome {
        let outcome = self.0.allocate(round);
        let until = Timestamp(u64::MAX);
        let holds: Vec<_> = round
            .ledger()
            .holds()
            .filter(|(_, hold)| hold.until < until)
            .map(|(leaf, hold)| (leaf, hold.clone()))
            .collect();
        for (leaf, hold) in holds {
            round.hold(leaf, Some(Hold { until, ..hold }));
        }
        outcome
    }

    fn check(&self, ledger: &Ledger) {
        self.0.check(ledger);
    }
}

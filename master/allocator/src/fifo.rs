//! First come, first served: every agent goes to the framework that registered first and does not refuse it.
//! Starves everybody else; it is here to show how little an allocator needs.

use proffer_types::{FrameworkId, Role};

use crate::allocator::{Pending, standing_reason};
use crate::{Allocator, Change, Counted, Ledger, Outcome, Reason, Round};

#[derive(Debug, Default)]
pub(crate) struct Fifo {
    pending: Pending,
}

fn ranking(ledger: &Ledger) -> Vec<(FrameworkId, Role)> {
    let mut frameworks: Vec<_> = ledger.frameworks().collect();
    frameworks.sort_by_key(|(_, entry)| entry.order);
    frameworks
        .into_iter()
        .flat_map(|(id, entry)| entry.wanting().map(|role| (id.clone(), role.clone())))
        .collect()
}

impl Allocator for Fifo {
    fn name(&self) -> &'static str {
        "fifo"
    }

    fn observe(&mut self, _ledger: &Ledger, change: &Change) {
        self.pending.observe(change);
    }

    fn allocate(&mut self, round: &mut Round<'_>) -> Outcome {
        let ranking = ranking(round.ledger());
        for agent in self.pending.agents(round.ledger()) {
            if round.is_spent() {
                return Outcome {
                    more: true,
                    next: None,
                };
            }
            self.pending.done(&agent);
            let Some(free) = round.ledger().agent(&agent).map(|entry| entry.free.clone()) else {
                continue;
            };
            let mut takers = ranking.iter();
            takers.any(|(framework, role)| round.offer(framework, role, &agent, &free).is_ok());
        }
        let next = round.ledger().next_filter_expiry();
        Outcome { more: false, next }
    }

    fn explain(&self, ledger: &Ledger, framework: &FrameworkId) -> Vec<Counted<Reason>> {
        let reason = standing_reason(ledger, framework);
        reason
            .map(|what| Counted { what, count: 1 })
            .into_iter()
            .collect()
    }
}

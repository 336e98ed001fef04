//! What may be tried again on another endpoint, and how often.

use proffer_types::Timestamp;

/// A retry costs so much of the budget, in thousandths; a request earns a fifth of one.
const COST: u64 = 1000;
const EARNED: u64 = COST / 5;
/// So much is earned a second without a request, so that a service that is seldom used has retries too.
const EARNED_A_SECOND: u64 = 10 * COST;
/// No more is saved up: what one outage may cost at most.
const MOST: u64 = 100 * COST;

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// There was no connection, so nothing was sent.
    Connect,
    /// The connection ended before an answer came.
    Broken,
    /// An answer in time did not come. Who is slow is not asked twice.
    TimedOut,
    /// This answer came.
    Status(u16),
}

/// Whether the request can be sent once more without harm: it never went out, or it asks for the same thing however often it
/// is sent, and whole. `has_sent_body`: some of its body has been read to be sent.
#[must_use]
pub fn may_retry(failure: Failure, is_idempotent: bool, has_sent_body: bool) -> bool {
    match failure {
        Failure::Connect => !has_sent_body,
        Failure::Broken | Failure::Status(502..=504) => is_idempotent && !has_sent_body,
        Failure::TimedOut | Failure::Status(_) => false,
    }
}

/// Keeps retries from becoming most of the load when everything fails: a fifth of the requests, 10 a second, and 100 at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    saved: u64,
    at: Timestamp,
}

impl Budget {
    /// A full one.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { saved: MOST, at: now }
    }

    /// A request came.
    pub fn earn(&mut self) {
        self.saved = (self.saved + EARNED).min(MOST);
    }

    /// Takes one retry, if there is one left.
    pub fn spend(&mut self, now: Timestamp) -> bool {
        let millis = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let earned = millis.saturating_mul(EARNED_A_SECOND) / 1000;
        self.saved = self.saved.saturating_add(earned).min(MOST);
        self.at = self.at.max(now);
        let left = self.saved.checked_sub(COST);
        self.saved = left.unwrap_or(self.saved);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_does_no_harm_twice_is_tried_again() {
        let table = |failure| {
            [(true, false), (true, true), (false, false), (false, true)]
                .map(|(is_idempotent, has_sent_body)| may_retry(failure, is_idempotent, has_sent_body))
        };
        assert_eq!(table(Failure::Connect), [true, false, true, false]);
        for again in [Failure::Broken, Failure::Status(502), Failure::Status(504)] {
            assert_eq!(table(again), [true, false, false, false], "{again:?}");
        }
        for never in [Failure::TimedOut, Failure::Status(500), Failure::Status(200)] {
            assert_eq!(table(never), [false; 4], "{never:?}");
        }
    }

    #[test]
    fn an_outage_costs_a_bounded_number_of_retries_and_time_earns_more() {
        let mut budget = Budget::new(Timestamp(0));
        let spend = |budget: &mut Budget, now, n: usize| (0..n).filter(|_| budget.spend(now)).count();
        assert_eq!(spend(&mut budget, Timestamp(0), 500), 100);
        (0..50).for_each(|_| budget.earn());
        assert_eq!(spend(&mut budget, Timestamp(0), 500), 10);
        assert_eq!(spend(&mut budget, Timestamp(2000), 500), 20);
        assert_eq!(spend(&mut budget, Timestamp(1), 500), 0);
    }
}

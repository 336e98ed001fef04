//! Pauses between attempts: doubling, with jitter, so that frameworks do not come back in step.

use std::time::Duration;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// The shortest pause: long enough not to spin, too short to be noticed.
const MIN: Duration = Duration::from_millis(50);
/// The longest pause: a master that comes back is found within this.
const MAX: Duration = Duration::from_secs(5);

/// The longest pause after a leader was named.
const MAX_NAMED: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Backoff {
    rng: ChaCha8Rng,
    /// The longest the next pause may be.
    bound: Duration,
}

impl Backoff {
    pub(crate) fn new(rng: ChaCha8Rng) -> Self {
        Self { rng, bound: MIN }
    }

    /// The next pause: between 50 ms and a bound that doubles up to 5 s.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.rng.random_range(MIN..=self.bound);
        self.bound = self.bound.saturating_mul(2).min(MAX);
        pause
    }

    /// A master that stands by named the leader: one of the two is about to know better.
    pub(crate) fn shorten(&mut self) {
        self.bound = self.bound.min(MAX_NAMED);
    }

    /// An attempt succeeded.
    pub(crate) fn reset(&mut self) {
        self.bound = MIN;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn pauses_stay_between_50_ms_and_5_s_and_start_small_after_a_success() {
        let mut backoff = Backoff::new(ChaCha8Rng::seed_from_u64(7));
        assert_eq!(backoff.next(), MIN);
        for _ in 0..50 {
            assert!((MIN..=MAX).contains(&backoff.next()));
        }
        backoff.reset();
        assert_eq!(backoff.next(), MIN);
    }
}

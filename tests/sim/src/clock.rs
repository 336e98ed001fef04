//! Clocks that are wrong, within bounds.
//!
//! The queue has the only true time; no core ever sees it. Each process has a clock that is ahead of it by some
//! seconds and runs too fast or too slow.

use std::time::Duration;

use proffer_types::Timestamp;

use crate::dice::Dice;

/// By how much a clock's rate is off at most, in millionths. Two clocks may so run apart by 105 to 95, and a lease bears
/// 10 to 9 (`store_api::lease`): that is the bound under which no two masters lead at once.
pub(crate) const MAX_DRIFT_PPM: u64 = 50_000;
/// By how much clocks disagree on what time it is, besides.
pub(crate) const MAX_AHEAD: Duration = Duration::from_secs(MAX_AHEAD_S);
const MAX_AHEAD_S: u64 = 10;
/// The rate of a correct clock.
const MILLION: i128 = 1_000_000;

/// A clock that is right at first is `Clock::default()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Clock {
    pub(crate) ahead_ms: u64,
    /// How many millionths too fast.
    pub(crate) drift_ppm: i64,
}

impl Clock {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let drift = dice.number(0..2 * MAX_DRIFT_PPM + 1);
        Self {
            ahead_ms: dice.number(0..MAX_AHEAD_S * 1_000),
            drift_ppm: drift.cast_signed() - MAX_DRIFT_PPM.cast_signed(),
        }
    }

    fn rate(self) -> i128 {
        MILLION + i128::from(self.drift_ppm)
    }

    /// What it shows at a moment.
    pub(crate) fn shows(self, at: Timestamp) -> Timestamp {
        let shown = i128::from(at.0) * self.rate() / MILLION + i128::from(self.ahead_ms);
        Timestamp(u64::try_from(shown).unwrap_or(u64::MAX))
    }

    /// The first moment at which it shows this, or more.
    pub(crate) fn when(self, shown: Timestamp) -> Timestamp {
        let elapsed = i128::from(shown.0.saturating_sub(self.ahead_ms));
        let at = (elapsed * MILLION + self.rate() - 1) / self.rate();
        Timestamp(u64::try_from(at).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_has_come_when_its_timer_fires_and_not_a_millisecond_before() {
        for drift_ppm in [-50_000, -1, 0, 1, 50_000] {
            let clock = Clock {
                ahead_ms: 1_234,
                drift_ppm,
            };
            for shown in (2_000..900_000).step_by(777).map(Timestamp) {
                let at = clock.when(shown);
                assert!(clock.shows(at) >= shown, "{clock:?} {shown:?}");
                assert!(clock.shows(Timestamp(at.0 - 1)) < shown, "{clock:?} {shown:?}");
            }
        }
    }
}

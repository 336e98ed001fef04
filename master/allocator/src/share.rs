//! Exact shares. No floats: equal is equal.

use std::cmp::Ordering;

use crate::Quantities;

/// An exact fraction, compared by value.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    pub(crate) numerator: u128,
    /// Never zero.
    pub(crate) denominator: u128,
}

impl Share {
    /// Nothing of anything.
    pub const ZERO: Self = Self {
        numerator: 0,
        denominator: 1,
    };

    /// The part of one resource, over a weight in thousandths. A resource the cluster has nothing of does not count.
    #[must_use]
    pub fn of(claimed: u128, total: u128, weight_millis: u64) -> Self {
        if claimed == 0 || total == 0 {
            return Self::ZERO;
        }
        Self {
            numerator: claimed * 1000,
            denominator: total * u128::from(weight_millis.max(1)),
        }
    }

    /// The dominant share: the largest part of any one resource, over a weight in thousandths.
    #[must_use]
    pub fn dominant(claimed: &Quantities, total: &Quantities, weight_millis: u64) -> Self {
        let parts = claimed.iter();
        parts
            .map(|(name, units)| Self::of(units, total.get(name), weight_millis))
            .max()
            .unwrap_or(Self::ZERO)
    }

    /// Numerator and denominator, where products of such cannot overflow.
    fn halves(self) -> Option<(u64, u64)> {
        let halves = (u64::try_from(self.numerator), u64::try_from(self.denominator));
        halves.0.ok().zip(halves.1.ok())
    }

    /// The fraction in thousandths, rounded down; for people.
    #[must_use]
    pub fn permille(self) -> u32 {
        let permille = self.numerator.saturating_mul(1000) / self.denominator;
        u32::try_from(permille).unwrap_or(u32::MAX)
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Share {}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Share {
    /// Cross-multiplies; where that would not fit, compares digit by digit of the continued fractions.
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Some(a), Some(b)) = (self.halves(), other.halves()) {
            return (u128::from(a.0) * u128::from(b.1)).cmp(&(u128::from(b.0) * u128::from(a.1)));
        }
        let (mut a, mut b, mut flip) = (*self, *other, false);
        loop {
            let order = match (
                a.numerator.checked_mul(b.denominator),
                b.numerator.checked_mul(a.denominator),
            ) {
                (Some(left), Some(right)) => left.cmp(&right),
                _ => {
                    let whole = (a.numerator / a.denominator).cmp(&(b.numerator / b.denominator));
                    let rests = (a.numerator % a.denominator, b.numerator % b.denominator);
                    match (whole, rests) {
                        (Ordering::Equal, (0, right)) => 0.cmp(&right),
                        (Ordering::Equal, (left, 0)) => left.cmp(&0),
                        (Ordering::Equal, (left, right)) => {
                            (a.numerator, b.numerator) = (a.denominator, b.denominator);
                            (a.denominator, b.denominator) = (left, right);
                            flip = !flip;
                            continue;
                        }
                        (unequal, _) => unequal,
                    }
                }
            };
            return if flip { order.reverse() } else { order };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_too_large_to_multiply_are_still_compared_exactly() {
        let share = |numerator, denominator| Share {
            numerator,
            denominator,
        };
        let huge = 1 << 120;
        assert!(share(huge, huge + 1) < share(huge + 1, huge + 2));
        assert!(share(huge - 1, huge) < share(huge, huge));
        assert_eq!(share(huge * 2, huge * 4), share(1, 2));
        assert!(share(2 * huge + 1, huge) > share(2 * huge + 2, huge + 1));
    }
}

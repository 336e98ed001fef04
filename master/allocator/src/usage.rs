//! Sums of claims, and exact shares of them. No floats: equal is equal.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use proffer_types::{ResourceName, Resources};

/// Scalars summed over any number of bundles, in the units of each name; never saturates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quantities(BTreeMap<ResourceName, u128>);

impl Quantities {
    /// The sum of that name; 0 when absent.
    #[must_use]
    pub fn get(&self, name: &ResourceName) -> u128 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// All sums that are not zero, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ResourceName, u128)> {
        self.0.iter().map(|(name, sum)| (name, *sum))
    }

    /// Whether every sum is zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sums as a bundle; a scalar stops at its maximum, ranges are not there.
    #[must_use]
    pub fn to_resources(&self) -> Resources {
        self.iter().fold(Resources::new(), |sum, (name, units)| {
            sum.with(name.clone(), u64::try_from(units).unwrap_or(u64::MAX))
        })
    }

    pub(crate) fn add(&mut self, resources: &Resources) {
        for (name, units) in resources.scalars() {
            *self.0.entry(name.clone()).or_default() += u128::from(units);
        }
    }

    /// Takes out what was added before.
    pub(crate) fn subtract(&mut self, resources: &Resources) {
        for (name, units) in resources.scalars() {
            let left = self.get(name).checked_sub(u128::from(units));
            match left.expect("what is taken out was added before") {
                0 => drop(self.0.remove(name)),
                left => drop(self.0.insert(name.clone(), left)),
            }
        }
    }
}

/// What a role, a subtree of roles or a framework within a role has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// Offered or allocated.
    pub claimed: Quantities,
    /// How many claims make up `claimed`.
    pub n_claims: u64,
    /// Offers ever made: of two equal shares, the one with fewer comes first.
    pub n_offers: u64,
    /// Frameworks subscribed there.
    pub n_frameworks: u64,
}

impl Usage {
    /// The dominant share: the largest part of any one resource, over a weight in thousandths.
    #[must_use]
    pub fn share(&self, total: &Quantities, weight_millis: u64) -> Share {
        let of = |(name, claimed): (&ResourceName, u128)| match total.get(name) {
            0 => Share::ZERO,
            all => Share {
                numerator: claimed * 1000,
                denominator: all * u128::from(weight_millis.max(1)),
            },
        };
        self.claimed.iter().map(of).max().unwrap_or(Share::ZERO)
    }
}

/// An exact fraction, compared by value.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    numerator: u128,
    /// Never zero.
    denominator: u128,
}

impl Share {
    /// Nothing of anything.
    pub const ZERO: Self = Self {
        numerator: 0,
        denominator: 1,
    };

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

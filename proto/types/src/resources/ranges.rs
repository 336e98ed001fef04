//! Sets of integers as sorted, disjoint, non-touching inclusive ranges.

use std::fmt;
use std::sync::Arc;

/// A set of integers. Always coalesced: equal sets are equal values. A clone shares the memory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ranges(Arc<[(u64, u64)]>);

impl Ranges {
    /// Collects inclusive `(begin, end)` pairs; those with `begin > end` are empty.
    pub fn new(pairs: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().filter(|(begin, end)| begin <= end).collect();
        pairs.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(pairs.len());
        for (begin, end) in pairs {
            match merged.last_mut() {
                Some(last) if begin <= last.1.saturating_add(1) => last.1 = last.1.max(end),
                _ => merged.push((begin, end)),
            }
        }
        Self(merged.into())
    }

    /// The inclusive `(begin, end)` pairs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many integers the set holds; stops at `u64::MAX`.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, (begin, end)| {
            sum.saturating_add(end - begin).saturating_add(1)
        })
    }

    /// The lowest `n` integers of the set, if it holds as many.
    #[must_use]
    pub fn lowest(&self, n: u64) -> Option<Self> {
        let mut left = n;
        let mut lowest = Vec::new();
        for (begin, end) in self.iter() {
            if left == 0 {
                break;
            }
            let last = end.min(begin.saturating_add(left - 1));
            left -= last - begin + 1;
            lowest.push((begin, last));
        }
        (left == 0).then(|| Self::new(lowest))
    }

    /// Whether every integer of `other` is in the set.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.0.iter().all(|(begin, end)| {
            let after = self.0.partition_point(|own| own.0 <= *begin);
            after > 0 && self.0[after - 1].1 >= *end
        })
    }

    /// Unites with `other`.
    pub fn add(&mut self, other: &Self) {
        if !self.contains(other) {
            *self = Self::new(self.iter().chain(other.iter()));
        }
    }

    /// Takes every integer of `other` out.
    pub fn subtract(&mut self, other: &Self) {
        let mut left: Vec<(u64, u64)> = Vec::with_capacity(self.0.len() + other.0.len());
        for (mut from, to) in self.iter() {
            let first = other.0.partition_point(|taken| taken.1 < from);
            let mut whole = true;
            for (begin, end) in other.0[first..].iter().take_while(|taken| taken.0 <= to) {
                if from < *begin {
                    left.push((from, begin - 1));
                }
                whole = *end < to;
                if !whole {
                    break;
                }
                from = end + 1;
            }
            if whole {
                left.push((from, to));
            }
        }
        self.0 = left.into();
    }

    /// The integers that are in both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let mut only_here = self.clone();
        only_here.subtract(other);
        let mut both = self.clone();
        both.subtract(&only_here);
        both
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (nth, (begin, end)) in self.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            write!(f, "{comma}{begin}-{end}")?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    fn members() -> impl Strategy<Value = BTreeSet<u64>> {
        proptest::collection::btree_set(0..40_u64, 0..30)
    }

    fn ranges(members: &BTreeSet<u64>) -> Ranges {
        Ranges::new(members.iter().map(|member| (*member, *member)))
    }

    proptest! {
        #[test]
        fn ranges_behave_as_the_sets_they_stand_for(a in members(), b in members()) {
            let (mut sum, mut rest) = (ranges(&a), ranges(&a));
            sum.add(&ranges(&b));
            rest.subtract(&ranges(&b));
            prop_assert_eq!(sum, ranges(&(&a | &b)));
            prop_assert_eq!(rest, ranges(&(&a - &b)));
            prop_assert_eq!(ranges(&a).common(&ranges(&b)), ranges(&(&a & &b)));
            prop_assert_eq!(ranges(&a).contains(&ranges(&b)), a.is_superset(&b));
        }
    }

    #[test]
    fn the_lowest_of_a_set_are_taken_over_its_gaps_or_not_at_all() {
        let ranges = Ranges::new([(5, 6), (9, 20)]);
        assert_eq!(ranges.lowest(4), Some(Ranges::new([(5, 6), (9, 10)])));
        assert_eq!(ranges.lowest(0), Some(Ranges::default()));
        assert_eq!(ranges.lowest(15), None);
    }

    #[test]
    fn touching_ranges_are_one() {
        assert_eq!(Ranges::new([(5, 9), (1, 4), (20, 10)]), Ranges::new([(1, 9)]));
    }

    #[test]
    fn taking_out_the_middle_leaves_both_ends() {
        let mut ranges = Ranges::new([(1, 10)]);
        ranges.subtract(&Ranges::new([(4, 6)]));
        assert_eq!(ranges.to_string(), "[1-3,7-10]");
        assert_eq!(ranges.count(), 7);
        assert!(!ranges.contains(&Ranges::new([(3, 7)])));
    }

    #[test]
    fn the_largest_integer_is_an_ordinary_member() {
        let mut ranges = Ranges::new([(0, u64::MAX)]);
        ranges.subtract(&Ranges::new([(u64::MAX, u64::MAX)]));
        assert_eq!(ranges, Ranges::new([(0, u64::MAX - 1)]));
    }
}

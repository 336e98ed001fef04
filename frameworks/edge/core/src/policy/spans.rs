//! Sets of IPv4 addresses.

use std::fmt;
use std::net::Ipv4Addr;

/// Addresses from one to another, as numbers; sorted, and with others between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Spans(Vec<(u32, u32)>);

impl Spans {
    /// All addresses.
    pub(super) fn all() -> Self {
        Self(vec![(0, u32::MAX)])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_all(&self) -> bool {
        self.0 == [(0, u32::MAX)]
    }

    /// What is in either.
    pub(super) fn or(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// What is in both.
    pub(super) fn and(&self, other: &Self) -> Self {
        self.without(&other.inverse())
    }

    /// What is in it and not in the other.
    pub(super) fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        let mut others = other.0.iter().peekable();
        for (first, last) in &self.0 {
            let mut from = Some(*first);
            while let Some((start, end)) = others.peek().copied().copied() {
                let Some(at) = from.filter(|_| start <= *last) else {
                    break;
                };
                if start > at {
                    left.push((at, start - 1));
                }
                from = end
                    .checked_add(1)
                    .map(|next| next.max(at))
                    .filter(|next| next <= last);
                if end > *last {
                    break;
                }
                others.next();
            }
            left.extend(from.map(|from| (from, *last)));
        }
        Self(left)
    }

    fn inverse(&self) -> Self {
        Self::all().without(self)
    }

    #[cfg(test)]
    pub(super) fn holds(&self, address: u32) -> bool {
        self.0
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&address))
    }
}

impl FromIterator<(u32, u32)> for Spans {
    fn from_iter<I: IntoIterator<Item = (u32, u32)>>(spans: I) -> Self {
        let mut spans: Vec<_> = spans.into_iter().collect();
        spans.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::new();
        for (first, last) in spans {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                Some(_) | None => merged.push((first, last)),
            }
        }
        Self(merged)
    }
}

/// As elements of a set of `nft`.
impl fmt::Display for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (first, last)) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            let (from, to) = (Ipv4Addr::from_bits(*first), Ipv4Addr::from_bits(*last));
            match first == last {
                true => write!(f, "{comma}{from}")?,
                false => write!(f, "{comma}{from}-{to}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans() -> impl Strategy<Value = Spans> {
        let edge = || prop_oneof![0_u32..20, (u32::MAX - 20)..=u32::MAX];
        let span = (edge(), edge()).prop_map(|(a, b)| (a.min(b), a.max(b)));
        proptest::collection::vec(span, 0..5).prop_map(|spans| spans.into_iter().collect())
    }

    proptest! {
        #[test]
        fn spans_are_sets(a in spans(), b in spans()) {
            for address in (0..25).chain(u32::MAX - 25..=u32::MAX).chain([1 << 31]) {
                let (in_a, in_b) = (a.holds(address), b.holds(address));
                prop_assert_eq!(a.or(&b).holds(address), in_a || in_b, "{} or {}: {}", a, b, address);
                prop_assert_eq!(a.and(&b).holds(address), in_a && in_b, "{} and {}: {}", a, b, address);
                prop_assert_eq!(a.without(&b).holds(address), in_a && !in_b, "{} without {}: {}", a, b, address);
            }
            let again: Spans = a.and(&b).0.iter().copied().collect();
            prop_assert_eq!(again, a.and(&b));
        }
    }
}

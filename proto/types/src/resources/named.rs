//! What a bundle holds by name besides the known scalars: custom scalars, ranges and sets. No entry is
//! empty, so equality is by meaning.

use std::collections::BTreeMap;

use super::{MAX_SCALAR, Ranges, ResourceName, Set};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Named {
    pub(super) scalars: BTreeMap<ResourceName, u64>,
    pub(super) ranges: BTreeMap<ResourceName, Ranges>,
    pub(super) sets: BTreeMap<ResourceName, Set>,
}

impl Named {
    pub(super) fn is_empty(&self) -> bool {
        self.scalars.is_empty() && self.ranges.is_empty() && self.sets.is_empty()
    }

    pub(super) fn scalar(&self, name: &ResourceName) -> u64 {
        self.scalars.get(name).copied().unwrap_or(0)
    }

    pub(super) fn set_scalar(&mut self, name: ResourceName, units: u64) {
        match units {
            0 => self.scalars.remove(&name),
            units => self.scalars.insert(name, units.min(MAX_SCALAR)),
        };
    }

    pub(super) fn set_ranges(&mut self, name: ResourceName, ranges: Ranges) {
        match ranges.is_empty() {
            true => self.ranges.remove(&name),
            false => self.ranges.insert(name, ranges),
        };
    }

    pub(super) fn set_set(&mut self, name: ResourceName, set: Set) {
        match set.is_empty() {
            true => self.sets.remove(&name),
            false => self.sets.insert(name, set),
        };
    }

    /// The first name of which `other` needs more than is here.
    pub(super) fn first_lacking<'a>(&self, other: &'a Self) -> Option<&'a ResourceName> {
        let scalar = |(name, units): &(&ResourceName, &u64)| self.scalar(name) < **units;
        let ranges = |(name, ranges): &(&ResourceName, &Ranges)| {
            !self.ranges.get(*name).is_some_and(|own| own.contains(ranges))
        };
        let set =
            |(name, set): &(&ResourceName, &Set)| !self.sets.get(*name).is_some_and(|own| own.contains(set));
        let scalars = other.scalars.iter().find(scalar).map(|(name, _)| name);
        scalars
            .or_else(|| other.ranges.iter().find(ranges).map(|(name, _)| name))
            .or_else(|| other.sets.iter().find(set).map(|(name, _)| name))
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (name, units) in &other.scalars {
            let own = self.scalars.entry(name.clone()).or_default();
            *own = (*own + units).min(MAX_SCALAR);
        }
        for (name, ranges) in &other.ranges {
            self.ranges.entry(name.clone()).or_default().add(ranges);
        }
        for (name, set) in &other.sets {
            self.sets.entry(name.clone()).or_default().add(set);
        }
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        for (name, units) in &other.scalars {
            if let Some(own) = self.scalars.get_mut(name) {
                *own = own.saturating_sub(*units);
            }
        }
        for (name, ranges) in &other.ranges {
            if let Some(own) = self.ranges.get_mut(name) {
                own.subtract(ranges);
            }
        }
        for (name, set) in &other.sets {
            if let Some(own) = self.sets.get_mut(name) {
                own.subtract(set);
            }
        }
        self.scalars.retain(|_, units| *units > 0);
        self.ranges.retain(|_, ranges| !ranges.is_empty());
        self.sets.retain(|_, set| !set.is_empty());
    }

    pub(super) fn each_scalar(&mut self, change: impl Fn(u64) -> u64) {
        self.scalars
            .values_mut()
            .for_each(|units| *units = change(*units));
        self.scalars.retain(|_, units| *units > 0);
    }

    /// The largest that is in both.
    pub(super) fn common(&self, other: &Self) -> Self {
        let mut both = Self::default();
        for (name, units) in &self.scalars {
            both.set_scalar(name.clone(), (*units).min(other.scalar(name)));
        }
        for (name, ranges) in &self.ranges {
            if let Some(theirs) = other.ranges.get(name) {
                both.set_ranges(name.clone(), ranges.common(theirs));
            }
        }
        for (name, set) in &self.sets {
            if let Some(theirs) = other.sets.get(name) {
                both.set_set(name.clone(), set.common(theirs));
            }
        }
        both
    }
}

//! Resource arithmetic: exact, never negative.
//!
//! Scalars are integers in the name's own unit: thousandths of a core for `cpus`, bytes for `mem` and
//! `disk`, thousandths for custom names. There are no floats here; the wire rounds once, on receipt.
//! A zero scalar and an empty range set are the same as an absent one, so equality is by meaning.

pub mod change;
pub mod format;
pub mod kind;
mod ranges;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

pub use ranges::Ranges;

/// The largest scalar: 2^53, so that every value survives the wire's double exactly. 8 PiB in bytes.
pub const MAX_SCALAR: u64 = 1 << 53;

/// The name of a resource, which fixes its unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceName {
    /// Thousandths of a core.
    Cpus,
    /// Bytes.
    Mem,
    /// Bytes.
    Disk,
    /// Network ports, as ranges.
    Ports,
    /// Thousandths of whatever the operator means by it.
    Custom(Arc<str>),
}

/// A text that cannot name a resource.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("resource name `{0}` must be 1 to 63 letters, digits, `_`, `-` or `.`")]
pub struct ParseResourceNameError(String);

impl ResourceName {
    /// Checks and wraps a name.
    pub fn new(name: &str) -> Result<Self, ParseResourceNameError> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        match name {
            "cpus" => Ok(Self::Cpus),
            "mem" => Ok(Self::Mem),
            "disk" => Ok(Self::Disk),
            "ports" => Ok(Self::Ports),
            custom if (1..=63).contains(&custom.len()) && custom.chars().all(good) => {
                Ok(Self::Custom(custom.into()))
            }
            bad => Err(ParseResourceNameError(bad.escape_debug().to_string())),
        }
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Cpus => "cpus",
            Self::Mem => "mem",
            Self::Disk => "disk",
            Self::Ports => "ports",
            Self::Custom(name) => name,
        }
    }

    /// How many of the integer's units make one of the unit a person writes: 1000 for cores and custom
    /// scalars, 1 for bytes.
    #[must_use]
    pub fn units(&self) -> u64 {
        match self {
            Self::Mem | Self::Disk => 1,
            Self::Cpus | Self::Ports | Self::Custom(_) => 1000,
        }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A bundle of resources: scalars and ranges by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Resources {
    scalars: BTreeMap<ResourceName, u64>,
    ranges: BTreeMap<ResourceName, Ranges>,
}

impl Resources {
    /// Nothing at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The three every agent has: thousandths of a core, bytes of memory, bytes of disk.
    #[must_use]
    pub fn of(cpu_millis: u64, mem_bytes: u64, disk_bytes: u64) -> Self {
        Self::new()
            .with(ResourceName::Cpus, cpu_millis)
            .with(ResourceName::Mem, mem_bytes)
            .with(ResourceName::Disk, disk_bytes)
    }

    /// Sets one scalar, in the name's unit; values above [`MAX_SCALAR`] are cut to it.
    #[must_use]
    pub fn with(mut self, name: ResourceName, units: u64) -> Self {
        self.set(name, units);
        self
    }

    /// Sets one set of ranges.
    #[must_use]
    pub fn with_ranges(mut self, name: ResourceName, ranges: Ranges) -> Self {
        if ranges.is_empty() {
            self.ranges.remove(&name);
        } else {
            self.ranges.insert(name, ranges);
        }
        self
    }

    fn set(&mut self, name: ResourceName, units: u64) {
        if units == 0 {
            self.scalars.remove(&name);
        } else {
            self.scalars.insert(name, units.min(MAX_SCALAR));
        }
    }

    /// The scalar of that name, in the name's unit; 0 when absent.
    #[must_use]
    pub fn scalar(&self, name: &ResourceName) -> u64 {
        self.scalars.get(name).copied().unwrap_or(0)
    }

    /// The ranges of that name, if any.
    #[must_use]
    pub fn ranges(&self, name: &ResourceName) -> Option<&Ranges> {
        self.ranges.get(name)
    }

    /// Thousandths of a core.
    #[must_use]
    pub fn cpu_millis(&self) -> u64 {
        self.scalar(&ResourceName::Cpus)
    }

    /// Bytes of memory.
    #[must_use]
    pub fn mem_bytes(&self) -> u64 {
        self.scalar(&ResourceName::Mem)
    }

    /// Bytes of disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.scalar(&ResourceName::Disk)
    }

    /// All scalars that are not zero, by name.
    pub fn scalars(&self) -> impl Iterator<Item = (&ResourceName, u64)> {
        self.scalars.iter().map(|(name, units)| (name, *units))
    }

    /// All ranges that are not empty, by name.
    pub fn all_ranges(&self) -> impl Iterator<Item = (&ResourceName, &Ranges)> {
        self.ranges.iter()
    }

    /// Whether there is nothing in the bundle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scalars.is_empty() && self.ranges.is_empty()
    }

    /// Whether `other` could be taken out of this bundle.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.scalars().all(|(name, units)| self.scalar(name) >= units)
            && other
                .ranges
                .iter()
                .all(|(name, ranges)| self.ranges.get(name).is_some_and(|own| own.contains(ranges)))
    }

    /// The first name of which `other` needs more than is here.
    #[must_use]
    pub fn first_lacking<'a>(&self, other: &'a Self) -> Option<&'a ResourceName> {
        other
            .scalars()
            .find(|(name, units)| self.scalar(name) < *units)
            .map(|(name, _)| name)
            .or_else(|| {
                other
                    .ranges
                    .iter()
                    .find(|(name, ranges)| !self.ranges.get(*name).is_some_and(|own| own.contains(ranges)))
                    .map(|(name, _)| name)
            })
    }

    /// Adds a bundle; scalars stop at [`MAX_SCALAR`], ranges unite.
    pub fn add(&mut self, other: &Self) {
        for (name, units) in other.scalars() {
            let sum = self.scalar(name).saturating_add(units);
            self.set(name.clone(), sum);
        }
        for (name, ranges) in &other.ranges {
            self.ranges.entry(name.clone()).or_default().add(ranges);
        }
    }

    /// Takes a bundle out; what is not there is not taken (scalars stop at zero).
    pub fn subtract(&mut self, other: &Self) {
        for (name, units) in other.scalars() {
            let rest = self.scalar(name).saturating_sub(units);
            self.set(name.clone(), rest);
        }
        for (name, ranges) in &other.ranges {
            if let Some(own) = self.ranges.get_mut(name) {
                own.subtract(ranges);
                if own.is_empty() {
                    self.ranges.remove(name);
                }
            }
        }
    }

    /// This bundle with another added.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        sum.add(other);
        sum
    }

    /// This bundle with another taken out (see [`Resources::subtract`]).
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        rest.subtract(other);
        rest
    }
}

impl<'a> std::iter::Sum<&'a Resources> for Resources {
    fn sum<I: Iterator<Item = &'a Resources>>(items: I) -> Self {
        items.fold(Self::new(), |mut sum, item| {
            sum.add(item);
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bundle() -> impl Strategy<Value = Resources> {
        (
            0..5000_u64,
            0..5000_u64,
            0..5000_u64,
            proptest::collection::vec((0..100_u64, 0..10_u64), 0..4),
        )
            .prop_map(|(cpus, mem, custom, ports)| {
                let ranges = Ranges::new(ports.into_iter().map(|(begin, len)| (begin, begin + len)));
                Resources::of(cpus, mem, 0)
                    .with(ResourceName::new("gpus").unwrap(), custom)
                    .with_ranges(ResourceName::Ports, ranges)
            })
    }

    proptest! {
        #[test]
        fn a_sum_contains_both_and_gives_scalars_back(a in bundle(), b in bundle()) {
            let sum = a.plus(&b);
            prop_assert!(sum.contains(&a) && sum.contains(&b));
            let rest = sum.minus(&b);
            for (name, units) in a.scalars() {
                prop_assert_eq!(rest.scalar(name), units);
            }
        }

        #[test]
        fn containment_is_exactly_lacking_nothing(a in bundle(), b in bundle()) {
            prop_assert_eq!(a.contains(&b), a.first_lacking(&b).is_none());
        }

        #[test]
        fn taking_out_what_is_contained_and_putting_it_back_changes_nothing(a in bundle(), b in bundle()) {
            if a.contains(&b) {
                prop_assert_eq!(a.minus(&b).plus(&b), a);
            }
        }
    }

    #[test]
    fn a_zero_is_the_same_as_nothing() {
        assert_eq!(Resources::of(0, 0, 0), Resources::new());
        assert!(Resources::of(1, 0, 0).minus(&Resources::of(2, 0, 0)).is_empty());
    }
}

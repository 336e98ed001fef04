//! Sums of scalars over any number of bundles.

use std::collections::BTreeMap;

use proffer_types::resources::{KNOWN_SCALARS, N_KNOWN};
use proffer_types::{ResourceName, Resources};

fn known(name: &ResourceName) -> Option<usize> {
    match name {
        ResourceName::Cpus => Some(0),
        ResourceName::Mem => Some(1),
        ResourceName::Disk => Some(2),
        ResourceName::NetMbps => Some(3),
        ResourceName::Ports | ResourceName::Custom(_) => None,
    }
}

/// Scalars summed over any number of bundles, in the units of each name; never saturates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quantities {
    /// In the order of [`KNOWN_SCALARS`].
    known: [u128; N_KNOWN],
    custom: BTreeMap<ResourceName, u128>,
}

impl Quantities {
    /// The sum of that name; 0 when absent.
    #[must_use]
    pub fn get(&self, name: &ResourceName) -> u128 {
        match known(name) {
            Some(at) => self.known[at],
            None => self.custom.get(name).copied().unwrap_or(0),
        }
    }

    pub(crate) fn set(&mut self, name: &ResourceName, sum: u128) {
        match known(name) {
            Some(at) => self.known[at] = sum,
            None if sum == 0 => drop(self.custom.remove(name)),
            None => drop(self.custom.insert(name.clone(), sum)),
        }
    }

    /// All sums that are not zero, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ResourceName, u128)> {
        let known = KNOWN_SCALARS.iter().zip(self.known);
        let custom = self.custom.iter().map(|(name, sum)| (name, *sum));
        known.chain(custom).filter(|(_, sum)| *sum > 0)
    }

    /// Whether every sum is zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known == [0; N_KNOWN] && self.custom.is_empty()
    }

    /// The sums as a bundle; a scalar stops at its maximum, ranges and sets are not there.
    #[must_use]
    pub fn to_resources(&self) -> Resources {
        self.iter().fold(Resources::new(), |sum, (name, units)| {
            sum.with(name.clone(), u64::try_from(units).unwrap_or(u64::MAX))
        })
    }

    pub(crate) fn add(&mut self, resources: &Resources) {
        for (sum, units) in self.known.iter_mut().zip(resources.known_scalars()) {
            *sum += u128::from(units);
        }
        for (name, units) in resources.custom_scalars() {
            let sum = self.get(name) + u128::from(units);
            self.set(name, sum);
        }
    }

    /// Takes out what was added before.
    pub(crate) fn subtract(&mut self, resources: &Resources) {
        for (sum, units) in self.known.iter_mut().zip(resources.known_scalars()) {
            let left = sum.checked_sub(u128::from(units));
            *sum = left.expect("what is taken out was added before");
        }
        for (name, units) in resources.custom_scalars() {
            let left = self.get(name).checked_sub(u128::from(units));
            self.set(name, left.expect("what is taken out was added before"));
        }
    }
}

impl Quantities {
    pub(crate) fn put_in(&mut self, part: &Self) {
        for (name, units) in part.iter() {
            self.set(name, self.get(name) + units);
        }
    }

    /// Takes a part of the sum out; what is not there is not taken.
    pub(crate) fn take_out(&mut self, part: &Self) {
        for (name, units) in part.iter() {
            self.set(name, self.get(name).saturating_sub(units));
        }
    }
}

impl From<&Resources> for Quantities {
    fn from(resources: &Resources) -> Self {
        let mut sum = Self::default();
        sum.add(resources);
        sum
    }
}

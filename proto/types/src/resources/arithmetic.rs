//! Containment, addition and subtraction, kind by kind. Bundles of plain known scalars go the short way.

use std::sync::Arc;

use super::more::{More, add_known};
use super::{KNOWN_SCALARS, MAX_SCALAR, ResourceName, Resources};

impl Resources {
    /// Whether `other` could be taken out of this bundle.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let enough = self
            .known
            .iter()
            .zip(&other.known)
            .all(|(own, wanted)| own >= wanted);
        enough && self.first_lacking_more(other).is_none()
    }

    /// The first name of which `other` needs more than is here.
    #[must_use]
    pub fn first_lacking<'a>(&self, other: &'a Self) -> Option<&'a ResourceName> {
        let mut known = self.known.iter().zip(&other.known);
        known
            .position(|(own, wanted)| own < wanted)
            .map(|index| &KNOWN_SCALARS[index])
            .or_else(|| self.first_lacking_more(other))
    }

    fn first_lacking_more<'a>(&self, other: &'a Self) -> Option<&'a ResourceName> {
        match (&self.more, &other.more) {
            (_, None) => None,
            (Some(own), Some(wanted)) if Arc::ptr_eq(own, wanted) => None,
            (Some(own), Some(wanted)) => own.first_lacking(wanted),
            (None, Some(wanted)) => More::default().first_lacking(wanted),
        }
    }

    /// Adds a bundle; scalars stop at [`MAX_SCALAR`], ranges and sets unite, a volume
    /// that is there already stays.
    pub fn add(&mut self, other: &Self) {
        add_known(&mut self.known, &other.known);
        match (&self.more, &other.more) {
            (_, None) => {}
            (None, Some(theirs)) => self.more = Some(Arc::clone(theirs)),
            (Some(_), Some(theirs)) => self.edit(|own| own.add(theirs)),
        }
    }

    /// Takes a bundle out; what is not there is not taken (scalars stop at zero). A volume goes whole or
    /// not at all, a shared one never (see [`Resources::remove_volume`]).
    pub fn subtract(&mut self, other: &Self) {
        for (own, taken) in self.known.iter_mut().zip(&other.known) {
            *own = own.saturating_sub(*taken);
        }
        let (Some(own), Some(theirs)) = (&self.more, &other.more) else {
            return;
        };
        match Arc::ptr_eq(own, theirs) && !own.has_shared() {
            true => self.more = None,
            false => self.edit(|own| own.subtract(theirs)),
        }
    }

    /// The largest bundle that is in the plain parts of both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let mut both = Self::new();
        for (index, own) in self.known.iter().enumerate() {
            both.known[index] = *own.min(&other.known[index]);
        }
        if let (Some(own), Some(theirs)) = (&self.more, &other.more) {
            both.edit(|both| both.plain = own.plain.common(&theirs.plain));
        }
        both
    }

    /// So many times the scalars, of every kind; ranges, sets and volumes are not multiplied. Scalars stop at
    /// [`MAX_SCALAR`].
    #[must_use]
    pub fn times(&self, n: u32) -> Self {
        let mut product = self.clone();
        let units = |units: u64| units.saturating_mul(u64::from(n)).min(MAX_SCALAR);
        product.known = product.known.map(units);
        if product.more.is_some() {
            product.edit(|more| {
                more.plain.each_scalar(units);
                for (kind, bundle) in more.bundles_mut() {
                    if kind.volume.is_none() {
                        *bundle = bundle.times(n);
                    }
                }
            });
        }
        product
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

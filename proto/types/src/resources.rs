//! Resource arithmetic: exact, never negative.
//!
//! Scalars are integers in the name's own unit: thousandths of a core for `cpus`, bytes for `mem` and
//! `disk`, thousandths for the others. There are no floats here; the wire rounds once, on receipt.
//! A zero scalar and an empty range set are the same as an absent one, so equality is by meaning.
//!
//! Besides its plain part a bundle may hold resources of other [`Kind`]s: reserved ones, volumes, revocable
//! ones. Whoever asks for a scalar, a range or a set by name gets the total over the plain part and all
//! kinds; containment, addition and subtraction go kind by kind. A volume is one indivisible item: it is
//! contained when it is there in its whole size, and adding it twice adds it once. A shared volume is a
//! presence, not an amount: subtraction leaves it, so that the rest of an agent keeps offering it.
//!
//! A bundle of plain known scalars is five words without memory of its own.

mod arithmetic;
pub mod change;
pub mod format;
pub mod kind;
mod kinds;
mod more;
mod name;
mod named;
mod ranges;
mod set;
mod text;

use std::sync::Arc;

pub use kind::{Kind, KindError, Reservation, Volume};
pub use name::{ParseResourceNameError, ResourceName};
pub use ranges::Ranges;
pub use set::Set;

use more::More;

/// The largest scalar: 2^53, so that every value survives the wire's double exactly. 8 PiB in bytes.
pub const MAX_SCALAR: u64 = 1 << 53;

/// The scalars every agent may have, in the order of [`KNOWN_SCALARS`].
type Known = [u64; N_KNOWN];
/// How many they are.
pub const N_KNOWN: usize = 4;

/// The names of the scalars almost every bundle is made of.
pub static KNOWN_SCALARS: [ResourceName; N_KNOWN] = [
    ResourceName::Cpus,
    ResourceName::Mem,
    ResourceName::Disk,
    ResourceName::NetMbps,
];
const CPUS: usize = 0;
const MEM: usize = 1;
const DISK: usize = 2;
const NET_MBPS: usize = 3;

fn known_index(name: &ResourceName) -> Option<usize> {
    match name {
        ResourceName::Cpus => Some(CPUS),
        ResourceName::Mem => Some(MEM),
        ResourceName::Disk => Some(DISK),
        ResourceName::NetMbps => Some(NET_MBPS),
        ResourceName::Ports | ResourceName::Custom(_) => None,
    }
}

/// A bundle of resources: scalars, ranges and sets by name, plain and of other kinds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Resources {
    /// The plain part of the known scalars.
    known: Known,
    /// Absent when empty.
    more: Option<Arc<More>>,
}

impl Resources {
    /// Nothing at all.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            known: [0; N_KNOWN],
            more: None,
        }
    }

    /// The three every agent has: thousandths of a core, bytes of memory, bytes of disk. Values above
    /// [`MAX_SCALAR`] are cut to it.
    #[must_use]
    pub fn of(cpu_millis: u64, mem_bytes: u64, disk_bytes: u64) -> Self {
        let mut bundle = Self::new();
        bundle.known[CPUS] = cpu_millis.min(MAX_SCALAR);
        bundle.known[MEM] = mem_bytes.min(MAX_SCALAR);
        bundle.known[DISK] = disk_bytes.min(MAX_SCALAR);
        bundle
    }

    /// Sets one plain scalar, in the name's unit; values above [`MAX_SCALAR`] are cut to it.
    #[must_use]
    pub fn with(mut self, name: ResourceName, units: u64) -> Self {
        match known_index(&name) {
            Some(index) => self.known[index] = units.min(MAX_SCALAR),
            None => self.edit(|more| more.plain.set_scalar(name, units)),
        }
        self
    }

    /// Sets the plain ranges of one name.
    #[must_use]
    pub fn with_ranges(mut self, name: ResourceName, ranges: Ranges) -> Self {
        self.edit(|more| more.plain.set_ranges(name, ranges));
        self
    }

    /// Sets the plain set of one name.
    #[must_use]
    pub fn with_set(mut self, name: ResourceName, set: Set) -> Self {
        self.edit(|more| more.plain.set_set(name, set));
        self
    }

    /// Changes what is beyond the plain known scalars, and keeps it normal.
    fn edit(&mut self, change: impl FnOnce(&mut More)) {
        let more = Arc::make_mut(self.more.get_or_insert_default());
        change(more);
        more.settle();
        if more.is_empty() {
            self.more = None;
        }
    }

    /// The scalar of that name over all kinds, in the name's unit; 0 when absent.
    #[must_use]
    pub fn scalar(&self, name: &ResourceName) -> u64 {
        match known_index(name) {
            Some(index) => self.known_total(index),
            None => self.more.as_ref().map_or(0, |more| more.total().scalar(name)),
        }
    }

    fn known_total(&self, index: usize) -> u64 {
        let kinds = self.more.as_ref().and_then(|more| more.kinds.as_ref());
        let held = kinds.map_or(0, |kinds| kinds.known[index]);
        (self.known[index] + held).min(MAX_SCALAR)
    }

    /// The ranges of that name over all kinds, if any.
    #[must_use]
    pub fn ranges(&self, name: &ResourceName) -> Option<&Ranges> {
        self.more.as_ref()?.total().ranges.get(name)
    }

    /// The set of that name over all kinds, if any.
    #[must_use]
    pub fn set(&self, name: &ResourceName) -> Option<&Set> {
        self.more.as_ref()?.total().sets.get(name)
    }

    /// Thousandths of a core, over all kinds.
    #[must_use]
    pub fn cpu_millis(&self) -> u64 {
        self.known_total(CPUS)
    }

    /// Bytes of memory, over all kinds.
    #[must_use]
    pub fn mem_bytes(&self) -> u64 {
        self.known_total(MEM)
    }

    /// Bytes of disk, over all kinds.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.known_total(DISK)
    }

    /// Thousandths of a megabit per second, over all kinds.
    #[must_use]
    pub fn net_mbps_millis(&self) -> u64 {
        self.known_total(NET_MBPS)
    }

    /// All scalars that are not zero, by name, over all kinds; known names first.
    pub fn scalars(&self) -> impl Iterator<Item = (&ResourceName, u64)> {
        let known = KNOWN_SCALARS.iter().enumerate();
        let known = known.map(|(index, name)| (name, self.known_total(index)));
        let custom = self.more.iter().flat_map(|more| &more.total().scalars);
        known
            .filter(|(_, units)| *units > 0)
            .chain(custom.map(|(name, units)| (name, *units)))
    }

    /// The scalars of [`KNOWN_SCALARS`], in that order, over all kinds; for sums over many bundles.
    #[must_use]
    pub fn known_scalars(&self) -> [u64; N_KNOWN] {
        let kinds = self.more.as_ref().and_then(|more| more.kinds.as_ref());
        match kinds {
            None => self.known,
            Some(_) => std::array::from_fn(|index| self.known_total(index)),
        }
    }

    /// The scalars of custom names that are not zero, by name, over all kinds.
    pub fn custom_scalars(&self) -> impl Iterator<Item = (&ResourceName, u64)> {
        let custom = self.more.iter().flat_map(|more| &more.total().scalars);
        custom.map(|(name, units)| (name, *units))
    }

    /// All ranges that are not empty, by name, over all kinds.
    pub fn all_ranges(&self) -> impl Iterator<Item = (&ResourceName, &Ranges)> {
        self.more.iter().flat_map(|more| &more.total().ranges)
    }

    /// All sets that are not empty, by name, over all kinds.
    pub fn all_sets(&self) -> impl Iterator<Item = (&ResourceName, &Set)> {
        self.more.iter().flat_map(|more| &more.total().sets)
    }

    /// Whether there is nothing in the bundle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.more.is_none() && self.known == [0; N_KNOWN]
    }

    fn first_name(&self) -> Option<&ResourceName> {
        let ranges = self.all_ranges().map(|(name, _)| name);
        let sets = self.all_sets().map(|(name, _)| name);
        let scalars = self.scalars().map(|(name, _)| name);
        scalars.chain(ranges).chain(sets).next()
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! Sets of named items, such as the zones a disk can be reached from.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::name::{self, ParseResourceNameError};

/// A set of items; each keeps the rule of resource names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Set(BTreeSet<Arc<str>>);

impl Set {
    /// Checks and collects items. Fails on the first that is not 1 to 63 letters, digits, `_`, `-` or `.`.
    pub fn new<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Self, ParseResourceNameError> {
        let item = |item: &'a str| name::check(item).map(|()| item.into());
        items.into_iter().map(item).collect::<Result<_, _>>().map(Self)
    }

    /// The items, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|item| &**item)
    }

    /// How many items the set holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every item of `other` is in the set.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.0.is_superset(&other.0)
    }

    /// Unites with `other`.
    pub fn add(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// Takes every item of `other` out.
    pub fn subtract(&mut self, other: &Self) {
        self.0.retain(|item| !other.0.contains(item));
    }

    /// The items that are in both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: Vec<_> = self.iter().collect();
        write!(f, "{{{}}}", items.join(","))
    }
}

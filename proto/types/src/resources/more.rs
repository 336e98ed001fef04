//! The part of a bundle that most bundles lack: custom names and kinds. Totals over all kinds are kept
//! beside them, so that asking for a total costs no more than asking for a plain part.
//!
//! Whoever changes a `More` calls [`More::settle`] before anyone reads it.

use std::collections::BTreeMap;

use super::kind::{Kind, Volume};
use super::named::Named;
use super::{Known, MAX_SCALAR, ResourceName, Resources};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct More {
    pub(super) plain: Named,
    pub(super) kinds: Option<Box<Kinds>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Kinds {
    /// No kind is plain, no bundle is empty or has kinds of its own.
    pub(super) bundles: BTreeMap<Kind, Resources>,
    /// The sum of the bundles' known scalars, without the plain part.
    pub(super) known: Known,
    /// The sum of all names, the plain part included.
    pub(super) total: Named,
    has_shared: bool,
}

impl More {
    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.kinds.is_none()
    }

    pub(super) fn total(&self) -> &Named {
        self.kinds.as_ref().map_or(&self.plain, |kinds| &kinds.total)
    }

    pub(super) fn has_shared(&self) -> bool {
        self.kinds.as_ref().is_some_and(|kinds| kinds.has_shared)
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = (&Kind, &Resources)> {
        self.kinds.iter().flat_map(|kinds| kinds.bundles.iter())
    }

    pub(super) fn of_kind(&self, kind: &Kind) -> Option<&Resources> {
        self.kinds.as_ref()?.bundles.get(kind)
    }

    pub(super) fn bundles_mut(&mut self) -> &mut BTreeMap<Kind, Resources> {
        &mut self.kinds.get_or_insert_default().bundles
    }

    /// Drops what became empty and sums the totals anew.
    pub(super) fn settle(&mut self) {
        let Some(kinds) = &mut self.kinds else { return };
        kinds.bundles.retain(|_, bundle| !bundle.is_empty());
        if kinds.bundles.is_empty() {
            self.kinds = None;
            return;
        }
        kinds.known = Known::default();
        kinds.total = self.plain.clone();
        for bundle in kinds.bundles.values() {
            add_known(&mut kinds.known, &bundle.known);
            if let Some(more) = &bundle.more {
                kinds.total.add(&more.plain);
            }
        }
        kinds.has_shared = kinds.bundles.keys().any(|kind| kind.shared_volume().is_some());
    }

    pub(super) fn first_lacking<'a>(&self, other: &'a Self) -> Option<&'a ResourceName> {
        self.plain.first_lacking(&other.plain).or_else(|| {
            other.kinds().find_map(|(kind, bundle)| {
                let own = self.of_kind(kind);
                match &kind.volume {
                    Some(_) => (own != Some(bundle)).then_some(&ResourceName::Disk),
                    None => own.map_or_else(|| bundle.first_name(), |own| own.first_lacking(bundle)),
                }
            })
        })
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.plain.add(&other.plain);
        for (kind, bundle) in other.kinds() {
            self.add_kind(kind, bundle);
        }
    }

    /// Adds to one kind; a volume that is there already stays as it is, or becomes the larger of the two.
    pub(super) fn add_kind(&mut self, kind: &Kind, bundle: &Resources) {
        let own = self.bundles_mut().entry(kind.clone()).or_default();
        match &kind.volume {
            Some(_) if own.disk_bytes() >= bundle.disk_bytes() => {}
            Some(_) => *own = bundle.clone(),
            None => own.add(bundle),
        }
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        self.plain.subtract(&other.plain);
        let Some(kinds) = &mut self.kinds else { return };
        for (kind, bundle) in other.kinds() {
            let Some(own) = kinds.bundles.get_mut(kind) else {
                continue;
            };
            match &kind.volume {
                Some(Volume { shared: true, .. }) => {}
                Some(_) if own == bundle => *own = Resources::new(),
                Some(_) => {}
                None => own.subtract(bundle),
            }
        }
    }
}

pub(super) fn add_known(to: &mut Known, known: &Known) {
    for (own, more) in to.iter_mut().zip(known) {
        *own = (*own + more).min(MAX_SCALAR);
    }
}

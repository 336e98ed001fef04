//! A bundle seen by kind: what is plain, held, held for a role, a volume; and picking for a request.

use std::sync::Arc;

use super::kind::{Kind, KindError, MAX_KINDS, Volume};
use super::more::More;
use super::{Known, ResourceName, Resources};
use crate::id::VolumeId;
use crate::role::Role;

impl Resources {
    /// Whether anything in the bundle is not plain.
    #[must_use]
    pub fn has_kinds(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.kinds.is_some())
    }

    /// What is not plain, by kind. No bundle is empty or has kinds of its own.
    pub fn kinds(&self) -> impl Iterator<Item = (&Kind, &Resources)> {
        self.more.iter().flat_map(|more| more.kinds())
    }

    /// What is not reserved, no volume and not revocable.
    #[must_use]
    pub fn plain(&self) -> Self {
        self.only(|_| false)
    }

    /// What is of exactly this kind, without the kind itself; a plain kind gives [`Resources::plain`].
    #[must_use]
    pub fn of_kind(&self, kind: &Kind) -> Self {
        if kind.is_plain() {
            return self.plain();
        }
        let more = self.more.as_ref();
        more.and_then(|more| more.of_kind(kind))
            .cloned()
            .unwrap_or_default()
    }

    /// Adds a bundle as resources of one kind; kinds inside `bundle` are forgotten.
    ///
    /// Fails when the kind breaks its rules, a volume is more than disk, one of its id or an integer of its
    /// ranges or an item of its sets is there already, or the bundle would have more than [`MAX_KINDS`] kinds.
    pub fn with_kind(mut self, kind: Kind, bundle: Self) -> Result<Self, KindError> {
        let bundle = bundle.flattened();
        kind.check_holds(&bundle)?;
        if let Some(name) = self.first_shared_name(&bundle) {
            return Err(KindError::Twice(name.clone()));
        }
        if kind.is_plain() {
            return Ok(self.plus(&bundle));
        }
        if let Some(volume) = &kind.volume
            && self.volume(&volume.id).is_some()
        {
            return Err(KindError::VolumeTwice(volume.id.clone()));
        }
        self.edit(|more| more.add_kind(&kind, &bundle));
        match self.kinds().count() > MAX_KINDS {
            true => Err(KindError::TooMany),
            false => Ok(self),
        }
    }

    /// The first name of which both have the same integer or item.
    fn first_shared_name<'a>(&self, other: &'a Self) -> Option<&'a ResourceName> {
        let ranges = other.all_ranges().find(|(name, ranges)| {
            let own = self.ranges(name);
            own.is_some_and(|own| !own.common(ranges).is_empty())
        });
        let sets = other.all_sets().find(|(name, set)| {
            let own = self.set(name);
            own.is_some_and(|own| !own.common(set).is_empty())
        });
        ranges.map(|(name, _)| name).or(sets.map(|(name, _)| name))
    }

    /// The plain part, and of the rest the kinds that `keep` names.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Kind) -> bool) -> Self {
        let mut part = self.clone();
        if !self.kinds().all(|(kind, _)| keep(kind)) {
            part.edit(|more| more.bundles_mut().retain(|kind, _| keep(kind)));
        }
        part
    }

    /// The kinds that `keep` names, without the plain part.
    fn only_kinds(&self, keep: impl Fn(&Kind) -> bool) -> Self {
        let mut part = Self::new();
        if self.kinds().any(|(kind, _)| keep(kind)) {
            part.more.clone_from(&self.more);
            part.edit(|more| {
                more.plain = super::named::Named::default();
                more.bundles_mut().retain(|kind, _| keep(kind));
            });
        }
        part
    }

    /// What tasks of `role` may have: what nobody holds, and what that role or one above it holds.
    #[must_use]
    pub fn allocatable_to(&self, role: &Role) -> Self {
        self.only(|kind| kind.is_allocatable_to(role))
    }

    /// All that is reserved, to whomever, volumes included.
    #[must_use]
    pub fn reserved(&self) -> Self {
        self.only_kinds(Kind::is_reserved)
    }

    /// What is held for `role` or one below it.
    #[must_use]
    pub fn reserved_to(&self, role: &Role) -> Self {
        self.only_kinds(|kind| {
            kind.role()
                .is_some_and(|holder| super::kind::is_within(holder, role))
        })
    }

    /// All that is not reserved, revocable resources included.
    #[must_use]
    pub fn unreserved(&self) -> Self {
        self.only(|kind| !kind.is_reserved())
    }

    /// All that cannot be taken back while a task uses it.
    #[must_use]
    pub fn without_revocable(&self) -> Self {
        self.only(|kind| !kind.revocable)
    }

    /// All but shared volumes: what is an amount.
    #[must_use]
    pub fn without_shared(&self) -> Self {
        self.only(|kind| kind.shared_volume().is_none())
    }

    /// The same totals without kinds.
    #[must_use]
    pub fn flattened(&self) -> Self {
        let Some(kinds) = self.more.as_ref().and_then(|more| more.kinds.as_ref()) else {
            return self.clone();
        };
        let mut known = Known::default();
        for (index, units) in known.iter_mut().enumerate() {
            *units = self.known_total(index);
        }
        let (plain, kinds) = (kinds.total.clone(), None);
        let more = (!plain.is_empty()).then(|| Arc::new(More { plain, kinds }));
        Self { known, more }
    }

    /// The cpus of each kind, and nothing else.
    #[must_use]
    pub fn cpus(&self) -> Self {
        let mut cpus = Self::new();
        cpus.known[super::CPUS] = self.known[super::CPUS];
        for (kind, bundle) in self.kinds().filter(|(_, bundle)| bundle.cpu_millis() > 0) {
            let part = Self::of(bundle.cpu_millis(), 0, 0);
            cpus.edit(|more| more.add_kind(kind, &part));
        }
        cpus
    }

    /// All volumes, with their size in bytes.
    pub fn volumes(&self) -> impl Iterator<Item = (&Kind, &Volume, u64)> {
        self.kinds()
            .filter_map(|(kind, bundle)| Some((kind, kind.volume.as_ref()?, bundle.disk_bytes())))
    }

    /// The volume of that id, with its size in bytes.
    #[must_use]
    pub fn volume(&self, id: &VolumeId) -> Option<(&Kind, &Volume, u64)> {
        self.volumes().find(|(_, volume, _)| volume.id == *id)
    }

    /// Takes a volume out, shared or not. Returns whether it was there.
    pub fn remove_volume(&mut self, id: &VolumeId) -> bool {
        let is_it = |kind: &Kind| kind.volume.as_ref().is_some_and(|volume| volume.id == *id);
        let is_here = self.kinds().any(|(kind, _)| is_it(kind));
        if is_here {
            self.edit(|more| more.bundles_mut().retain(|kind, _| !is_it(kind)));
        }
        is_here
    }

    /// Picks a bundle, kinds and all, that serves the plain request `wanted`: from the most refined
    /// reservations first, then from what is unreserved, never from a volume or what is revocable. Kinds that
    /// `wanted` names itself are picked as named. `None` when there is not enough; otherwise the totals of
    /// the pick are those of `wanted`.
    #[must_use]
    pub fn take(&self, wanted: &Self) -> Option<Self> {
        if !self.has_kinds() {
            return self.contains(wanted).then(|| wanted.clone());
        }
        let mut picked = wanted.only_kinds(|_| true);
        if !self.contains(&picked) {
            return None;
        }
        let rest = self.minus(&picked);
        let mut lacking = wanted.plain();
        let mut usable: Vec<_> = rest
            .kinds()
            .filter(|(kind, _)| kind.is_reserved() && kind.volume.is_none())
            .collect();
        usable.sort_by_key(|(kind, _)| std::cmp::Reverse(kind.reservations.len()));
        for (kind, bundle) in usable {
            let part = bundle.common(&lacking);
            lacking.subtract(&part);
            if !part.is_empty() {
                picked.edit(|more| more.add_kind(kind, &part));
            }
        }
        if !rest.plain().contains(&lacking) {
            return None;
        }
        picked.add(&lacking);
        Some(picked)
    }

    /// Picks as [`Resources::take`] does, and `n_ports` ports beside it, the lowest that may be had.
    #[must_use]
    pub fn take_with_ports(&self, wanted: &Self, n_ports: u32) -> Option<Self> {
        let mut picked = self.take(wanted)?;
        if n_ports > 0 {
            let rest = self.minus(&picked);
            let certain = rest.minus(&rest.only_kinds(|kind| kind.revocable));
            let ports = certain.ranges(&ResourceName::Ports)?.lowest(n_ports.into())?;
            let wanted = Self::new().with_ranges(ResourceName::Ports, ports);
            picked.add(&rest.take(&wanted)?);
        }
        Some(picked)
    }
}

//! What an offer operation does to a bundle: it changes what sets resources apart, never how much there is.
//!
//! The same function serves an offer's remainder and an agent's total. A change happens whole or not at all.

use thiserror::Error;

use super::kind::{Kind, KindError, MAX_KINDS, Reservation, Volume};
use super::{MAX_SCALAR, ResourceName, Resources};
use crate::id::VolumeId;
use crate::role::Role;

/// One change of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceChange {
    /// Puts a dynamic reservation on top of the resources' stacks, which may be empty.
    Reserve {
        /// As they are before: plain, or with the reservations that are refined.
        resources: Resources,
        reservation: Reservation,
    },
    /// Takes the highest reservation off, which must be dynamic.
    Unreserve {
        /// As they are before, with the reservation that goes.
        resources: Resources,
    },
    /// Makes reserved disk a persistent volume.
    Create {
        /// The disk as it is before: of one stack of reservations, and all of the volume.
        disk: Resources,
        volume: Volume,
    },
    /// Makes a volume disk again; the reservations stay.
    Destroy { volume: VolumeId },
    /// Adds disk under the same reservations to a volume that is not shared.
    Grow { volume: VolumeId, addition_bytes: u64 },
    /// Takes disk from a volume that is not shared; some of it must be left.
    Shrink { volume: VolumeId, subtract_bytes: u64 },
}

/// Why a change is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeError {
    #[error(transparent)]
    Kind(#[from] KindError),
    #[error("no resources are named")]
    Nothing,
    #[error("no operation can make or take away the reservation to `{0}`: it is static")]
    Static(Role),
    #[error("`{0}` is a volume; destroy it first")]
    IsVolume(VolumeId),
    #[error("`{0}` is not reserved")]
    NotReserved(Resources),
    #[error("volume `{0}` must be made of disk under one stack of reservations, and nothing else")]
    NotOneDisk(VolumeId),
    #[error("`{wanted}` is not there: too little {name}")]
    Lacking { wanted: Resources, name: ResourceName },
    #[error("volume `{0}` is not there")]
    NoVolume(VolumeId),
    #[error("volume `{0}` is there already")]
    VolumeExists(VolumeId),
    #[error("volume `{0}` is shared and keeps its size")]
    Shared(VolumeId),
    #[error("volume `{volume}` of {size_bytes} bytes cannot change by {by_bytes}")]
    Size {
        volume: VolumeId,
        size_bytes: u64,
        by_bytes: u64,
    },
}

/// What a change takes out of a bundle and what it puts there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    pub consumed: Resources,
    pub produced: Resources,
}

impl ResourceChange {
    /// The bundle after the change. Fails, and changes nothing, when the resources are not there or the
    /// change breaks a rule of [`Kind`]s.
    pub fn apply(&self, to: &Resources) -> Result<Resources, ChangeError> {
        let conversion = self.conversion(to)?;
        let mut after = to.clone();
        if let Self::Destroy { volume } = self {
            after.remove_volume(volume);
        }
        after.subtract(&conversion.consumed);
        after.add(&conversion.produced);
        match after.kinds().count() > MAX_KINDS {
            true => Err(KindError::TooMany.into()),
            false => Ok(after),
        }
    }

    /// What the change would take out of `of` and put there. Totals of both are the same. Fails as
    /// [`ResourceChange::apply`] does.
    pub fn conversion(&self, of: &Resources) -> Result<Conversion, ChangeError> {
        let conversion = match self {
            Self::Reserve {
                resources,
                reservation,
            } => reserve(resources, reservation),
            Self::Unreserve { resources } => unreserve(resources),
            Self::Create { disk, volume } => create(of, disk, volume),
            Self::Destroy { volume } => destroy(of, volume),
            Self::Grow {
                volume,
                addition_bytes,
            } => grow(of, volume, *addition_bytes),
            Self::Shrink {
                volume,
                subtract_bytes,
            } => shrink(of, volume, *subtract_bytes),
        }?;
        match of.first_lacking(&conversion.consumed).cloned() {
            Some(name) => Err(ChangeError::Lacking {
                wanted: conversion.consumed,
                name,
            }),
            None => Ok(conversion),
        }
    }
}

/// The kinds in a bundle, the plain one included.
fn parts(resources: &Resources) -> Result<Vec<(Kind, Resources)>, ChangeError> {
    let plain = (Kind::default(), resources.plain());
    let kinds = resources
        .kinds()
        .map(|(kind, bundle)| (kind.clone(), bundle.clone()));
    let parts: Vec<_> = std::iter::once(plain)
        .chain(kinds)
        .filter(|(_, bundle)| !bundle.is_empty())
        .collect();
    if let Some(volume) = parts.iter().find_map(|(kind, _)| kind.volume.as_ref()) {
        return Err(ChangeError::IsVolume(volume.id.clone()));
    }
    match parts.is_empty() {
        true => Err(ChangeError::Nothing),
        false => Ok(parts),
    }
}

fn reserve(resources: &Resources, reservation: &Reservation) -> Result<Conversion, ChangeError> {
    if reservation.is_static {
        return Err(ChangeError::Static(reservation.role.clone()));
    }
    let mut produced = Resources::new();
    for (mut kind, bundle) in parts(resources)? {
        kind.reservations.push(reservation.clone());
        produced = produced.with_kind(kind, bundle)?;
    }
    let consumed = resources.clone();
    Ok(Conversion { consumed, produced })
}

fn unreserve(resources: &Resources) -> Result<Conversion, ChangeError> {
    let mut produced = Resources::new();
    for (mut kind, bundle) in parts(resources)? {
        match kind.reservations.pop() {
            None => return Err(ChangeError::NotReserved(bundle)),
            Some(top) if top.is_static => return Err(ChangeError::Static(top.role)),
            Some(_) => produced = produced.with_kind(kind, bundle)?,
        }
    }
    let consumed = resources.clone();
    Ok(Conversion { consumed, produced })
}

fn create(of: &Resources, disk: &Resources, volume: &Volume) -> Result<Conversion, ChangeError> {
    if of.volume(&volume.id).is_some() {
        return Err(ChangeError::VolumeExists(volume.id.clone()));
    }
    let parts = parts(disk)?;
    let [(kind, bundle)] = parts.as_slice() else {
        return Err(ChangeError::NotOneDisk(volume.id.clone()));
    };
    let kind = kind.clone().with_volume(volume.clone());
    Ok(Conversion {
        consumed: disk.clone(),
        produced: Resources::new().with_kind(kind, bundle.clone())?,
    })
}

fn found<'a>(of: &'a Resources, id: &VolumeId) -> Result<(&'a Kind, &'a Volume, u64), ChangeError> {
    of.volume(id).ok_or_else(|| ChangeError::NoVolume(id.clone()))
}

fn disk_of(kind: &Kind, bytes: u64) -> Result<Resources, ChangeError> {
    Ok(Resources::new().with_kind(kind.clone(), Resources::of(0, 0, bytes))?)
}

fn without_volume(kind: &Kind) -> Kind {
    Kind {
        volume: None,
        ..kind.clone()
    }
}

fn destroy(of: &Resources, id: &VolumeId) -> Result<Conversion, ChangeError> {
    let (kind, _, size) = found(of, id)?;
    Ok(Conversion {
        consumed: disk_of(kind, size)?,
        produced: disk_of(&without_volume(kind), size)?,
    })
}

fn grow(of: &Resources, id: &VolumeId, by: u64) -> Result<Conversion, ChangeError> {
    let (kind, size) = resizable(of, id)?;
    let grown = size
        .checked_add(by)
        .filter(|grown| by > 0 && *grown <= MAX_SCALAR);
    let grown = grown.ok_or_else(|| bad_size(id, size, by))?;
    Ok(Conversion {
        consumed: disk_of(kind, size)?.plus(&disk_of(&without_volume(kind), by)?),
        produced: disk_of(kind, grown)?,
    })
}

fn shrink(of: &Resources, id: &VolumeId, by: u64) -> Result<Conversion, ChangeError> {
    let (kind, size) = resizable(of, id)?;
    if by == 0 || by >= size {
        return Err(bad_size(id, size, by));
    }
    Ok(Conversion {
        consumed: disk_of(kind, size)?,
        produced: disk_of(kind, size - by)?.plus(&disk_of(&without_volume(kind), by)?),
    })
}

fn resizable<'a>(of: &'a Resources, id: &VolumeId) -> Result<(&'a Kind, u64), ChangeError> {
    match found(of, id)? {
        (_, volume, _) if volume.shared => Err(ChangeError::Shared(id.clone())),
        (kind, _, size) => Ok((kind, size)),
    }
}

fn bad_size(volume: &VolumeId, size_bytes: u64, by_bytes: u64) -> ChangeError {
    ChangeError::Size {
        volume: volume.clone(),
        size_bytes,
        by_bytes,
    }
}

#[cfg(test)]
mod tests;

//! Changes of resources: what an operation does, whoever carries it out.
//!
//! Only the words are checked here. Whether a change can be made is for the holder of the resources to say.

use proffer_types::ResourceChange;

use crate::error::{At as _, ConvertError};
use crate::text::parse;
use crate::v1::resource_change as r;
use crate::v1::resource_change::Change;
use crate::{resources, v1};

impl TryFrom<Change> for ResourceChange {
    type Error = ConvertError;

    fn try_from(message: Change) -> Result<Self, ConvertError> {
        match message {
            Change::Reserve(reserve) => self::reserve(reserve).at("reserve"),
            Change::Unreserve(unreserve) => Ok(Self::Unreserve {
                resources: resources::or_nothing("unreserve.resources", unreserve.resources)?,
            }),
            Change::Create(create) => self::create(create).at("create"),
            Change::Destroy(destroy) => Ok(Self::Destroy {
                volume: parse("destroy.volume_id", &destroy.volume_id)?,
            }),
            Change::GrowVolume(grow) => Ok(Self::Grow {
                volume: parse("grow_volume.volume_id", &grow.volume_id)?,
                addition_bytes: grow.addition_bytes,
            }),
            Change::ShrinkVolume(shrink) => Ok(Self::Shrink {
                volume: parse("shrink_volume.volume_id", &shrink.volume_id)?,
                subtract_bytes: shrink.subtract_bytes,
            }),
        }
    }
}

fn reserve(message: r::Reserve) -> Result<ResourceChange, ConvertError> {
    Ok(ResourceChange::Reserve {
        resources: resources::or_nothing("resources", message.resources)?,
        reservation: message
            .reservation
            .ok_or_else(|| ConvertError::missing("reservation"))?
            .try_into()
            .at("reservation")?,
    })
}

fn create(message: r::Create) -> Result<ResourceChange, ConvertError> {
    Ok(ResourceChange::Create {
        disk: resources::or_nothing("disk", message.disk)?,
        volume: message
            .volume
            .ok_or_else(|| ConvertError::missing("volume"))?
            .try_into()
            .at("volume")?,
    })
}

impl From<&ResourceChange> for Change {
    fn from(change: &ResourceChange) -> Self {
        match change {
            ResourceChange::Reserve {
                resources,
                reservation,
            } => Self::Reserve(r::Reserve {
                resources: Some(resources.into()),
                reservation: Some(reservation.into()),
            }),
            ResourceChange::Unreserve { resources } => Self::Unreserve(r::Unreserve {
                resources: Some(resources.into()),
            }),
            ResourceChange::Create { disk, volume } => Self::Create(r::Create {
                disk: Some(disk.into()),
                volume: Some(volume.into()),
            }),
            ResourceChange::Destroy { volume } => Self::Destroy(r::Destroy {
                volume_id: volume.to_string(),
            }),
            ResourceChange::Grow {
                volume,
                addition_bytes,
            } => Self::GrowVolume(r::GrowVolume {
                volume_id: volume.to_string(),
                addition_bytes: *addition_bytes,
            }),
            ResourceChange::Shrink {
                volume,
                subtract_bytes,
            } => Self::ShrinkVolume(r::ShrinkVolume {
                volume_id: volume.to_string(),
                subtract_bytes: *subtract_bytes,
            }),
        }
    }
}

impl TryFrom<v1::ResourceChange> for ResourceChange {
    type Error = ConvertError;

    fn try_from(message: v1::ResourceChange) -> Result<Self, ConvertError> {
        let change = message.change.ok_or_else(|| ConvertError::missing("change"))?;
        change.try_into()
    }
}

impl From<&ResourceChange> for v1::ResourceChange {
    fn from(change: &ResourceChange) -> Self {
        Self {
            change: Some(change.into()),
        }
    }
}

crate::from_owned!(ResourceChange => v1::ResourceChange);

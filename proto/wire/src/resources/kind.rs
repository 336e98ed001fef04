//! What sets resources apart, on the wire: reservations, volumes, being revocable.

use proffer_types::resources::kind::MAX_RESERVATIONS;
use proffer_types::{Kind, Reservation, Volume};

use crate::error::{At as _, ConvertError};
use crate::text::{at_most, map_bytes, parse};
use crate::v1;

/// The most labels of one reservation: each resource carries those of its whole stack.
pub const MAX_RESERVATION_LABELS: usize = 16;
/// All keys and values of one reservation's labels together, in bytes.
pub const MAX_RESERVATION_LABELS_BYTES: usize = 4 << 10;

/// What sets one resource apart. Fails when it breaks a rule of [`Kind`]s.
pub fn kind_of(item: &v1::Resource) -> Result<Kind, ConvertError> {
    let reservations = item.reservations.as_slice();
    at_most(
        "reservations",
        reservations.len(),
        MAX_RESERVATIONS,
        "reservations",
    )?;
    let reservations = reservations.iter().enumerate();
    let kind = Kind {
        reservations: reservations
            .map(|(index, message)| reservation(message).at_item("reservations", index))
            .collect::<Result<_, _>>()?,
        volume: item.volume.as_ref().map(volume).transpose().at("volume")?,
        revocable: item.revocable,
    };
    match kind.check() {
        Ok(()) => Ok(kind),
        Err(error) => Err(ConvertError::new(&item.name, error)),
    }
}

fn reservation(message: &v1::Reservation) -> Result<Reservation, ConvertError> {
    at_most("labels", message.labels.len(), MAX_RESERVATION_LABELS, "labels")?;
    let bytes = map_bytes(&message.labels);
    at_most("labels", bytes, MAX_RESERVATION_LABELS_BYTES, "bytes of labels")?;
    Ok(Reservation {
        role: parse("role", &message.role)?,
        is_static: message.is_static,
        labels: message.labels.clone(),
    })
}

fn volume(message: &v1::Volume) -> Result<Volume, ConvertError> {
    Ok(Volume {
        id: parse("volume_id", &message.volume_id)?,
        container_path: message.container_path.clone(),
        shared: message.shared,
    })
}

impl TryFrom<v1::Reservation> for Reservation {
    type Error = ConvertError;

    fn try_from(message: v1::Reservation) -> Result<Self, ConvertError> {
        let reservation = reservation(&message)?;
        match Kind::reserved([reservation.clone()]).check() {
            Ok(()) => Ok(reservation),
            Err(error) => Err(ConvertError::new("role", error)),
        }
    }
}

impl TryFrom<v1::Volume> for Volume {
    type Error = ConvertError;

    fn try_from(message: v1::Volume) -> Result<Self, ConvertError> {
        let volume = volume(&message)?;
        match volume.check() {
            Ok(()) => Ok(volume),
            Err(error) => Err(ConvertError::new("container_path", error)),
        }
    }
}

impl From<&Reservation> for v1::Reservation {
    fn from(reservation: &Reservation) -> Self {
        Self {
            role: reservation.role.to_string(),
            is_static: reservation.is_static,
            labels: reservation.labels.clone(),
        }
    }
}

impl From<&Volume> for v1::Volume {
    fn from(volume: &Volume) -> Self {
        Self {
            volume_id: volume.id.to_string(),
            container_path: volume.container_path.clone(),
            shared: volume.shared,
        }
    }
}

crate::from_owned!(Reservation => v1::Reservation, Volume => v1::Volume);

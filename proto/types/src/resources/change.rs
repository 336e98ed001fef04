//! What an offer operation does to a bundle of resources.

use super::Resources;
use super::kind::{Reservation, Volume};
use crate::VolumeId;

/// One change of a bundle: amounts stay, what sets them apart changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceChange {
    /// Reserves what is unreserved, or refines a reservation.
    Reserve {
        resources: Resources,
        reservation: Reservation,
    },
    /// Takes the top of the stack off; `resources` are named with their stack.
    Unreserve { resources: Resources },
    /// Makes a volume of reserved disk, which is named with its stack.
    Create { disk: Resources, volume: Volume },
    /// Makes a volume plain reserved disk again. Its content is lost.
    Destroy { volume: VolumeId },
    /// Adds disk of the volume's own reservation.
    Grow { volume: VolumeId, addition_bytes: u64 },
    /// Gives a part of a volume back.
    Shrink { volume: VolumeId, subtract_bytes: u64 },
}

//! The agent's total: what the operator states, with what operations changed of it since.
//!
//! Only the changed part is kept on disk, so that an operator may give an agent more or less than before; what is
//! reserved or holds data must still be covered.

use proffer_types::resources::KindError;
use proffer_types::{Kind, ResourceName, Resources};
use thiserror::Error;

/// Why the operator's resources and the checkpointed changes do not go together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RestoreError {
    #[error(
        "too little {name}: `{needed}` is reserved by operations or holds volumes, and the agent has only `{stated}`"
    )]
    Lacking {
        name: ResourceName,
        /// As it would have to be stated.
        needed: Resources,
        stated: Resources,
    },
    #[error(transparent)]
    Kind(#[from] KindError),
}

/// Applies the checkpointed changes to what the operator states.
pub fn restore(stated: &Resources, changed: &Resources) -> Result<Resources, RestoreError> {
    let mut needed = Resources::new();
    for (kind, bundle) in changed.kinds() {
        needed.add(&Resources::new().with_kind(as_stated(kind), bundle.clone())?);
    }
    if let Some(name) = stated.first_lacking(&needed).cloned() {
        return Err(RestoreError::Lacking {
            name,
            needed,
            stated: stated.clone(),
        });
    }
    changed
        .kinds()
        .try_fold(stated.minus(&needed), |total, (kind, bundle)| {
            Ok(total.with_kind(kind.clone(), bundle.clone())?)
        })
}

/// What operations changed of a total.
pub(crate) fn changed(total: &Resources) -> Resources {
    let kept = total.only(|kind| as_stated(kind) != *kind);
    kept.minus(&kept.plain())
}

/// The kind as it was before any operation.
fn as_stated(kind: &Kind) -> Kind {
    let is_static = |reservation: &&proffer_types::Reservation| reservation.is_static;
    Kind {
        reservations: kind.reservations.iter().take_while(is_static).cloned().collect(),
        volume: None,
        revocable: kind.revocable,
    }
}

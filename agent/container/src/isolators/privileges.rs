//! Privileges: a short list of capabilities, and no way to gain more.

use proffer_types::container::Capability;

use super::Draft;
use crate::PayloadStep;

/// Drops capabilities and sets `no_new_privs`.
pub(crate) fn drop(draft: &mut Draft) {
    draft
        .payload
        .push(PayloadStep::KeepCapabilities(Capability::DEFAULT.to_vec()));
    draft.payload.push(PayloadStep::NoNewPrivileges);
}

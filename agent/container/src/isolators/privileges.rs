//! Privileges: a short list of capabilities, and no way to gain more.

use super::Draft;
use crate::{Capability, PayloadStep};

/// What a payload keeps: the OCI runtimes' default set without `CAP_MKNOD`, as no device controller
/// stands behind it. `CAP_SYS_PTRACE` is not among them, so that init stays out of reach.
const KEPT: [Capability; 13] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::NetRaw,
    Capability::SysChroot,
    Capability::AuditWrite,
    Capability::Setfcap,
];

/// Drops capabilities and sets `no_new_privs`.
pub(crate) fn drop(draft: &mut Draft) {
    draft.payload.push(PayloadStep::KeepCapabilities(KEPT.to_vec()));
    draft.payload.push(PayloadStep::NoNewPrivileges);
}

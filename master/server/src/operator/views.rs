//! A snapshot's views as messages.

use proffer_allocator::{Ledger, Quantities, Share};
use proffer_master_core::{FrameworkState, FrameworkView, RoleView};
use proffer_wire::v1;

pub(super) fn framework(view: &FrameworkView) -> v1::list_frameworks_response::Framework {
    let state = match view.state {
        FrameworkState::Active => v1::FrameworkState::FrameworkActive,
        FrameworkState::Disconnected => v1::FrameworkState::FrameworkDisconnected,
        FrameworkState::Recovered => v1::FrameworkState::FrameworkRecovered,
        FrameworkState::Orphaned => v1::FrameworkState::FrameworkOrphaned,
    };
    v1::list_frameworks_response::Framework {
        framework_id: view.framework_id.to_string(),
        info: Some((&view.info).into()),
        state: state.into(),
        used: Some((&view.used).into()),
        offered: Some((&view.offered).into()),
        n_tasks: view.n_tasks,
        dominant_share_permille: view.dominant_share_permille,
        failover_deadline_ms: view.failover_deadline.map_or(0, |at| at.0),
        orphaned_since_ms: view.orphaned_since.map_or(0, |at| at.0),
    }
}

pub(super) fn role(view: &RoleView, ledger: &Ledger) -> v1::list_roles_response::Role {
    v1::list_roles_response::Role {
        name: view.role.to_string(),
        weight: view.weight_millis as f64 / 1000.0,
        allocated: Some((&view.allocated).into()),
        n_frameworks: view.n_frameworks,
        priority: view.priority,
        quota: Some((&view.quota).into()),
        consumed: Some((&view.consumed).into()),
        dominant_share_permille: role_share(view, ledger).permille(),
    }
}

/// A role's dominant share over its weight.
pub(crate) fn role_share(view: &RoleView, ledger: &Ledger) -> Share {
    let claimed = Quantities::from(&view.allocated);
    Share::dominant(&claimed, ledger.total(), view.weight_millis)
}

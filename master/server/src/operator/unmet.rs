//! What no agent has room for, from a snapshot: on the thread of whoever asks.

use std::collections::BTreeMap;

use proffer_allocator::{Unmet, unmet_demand};
use proffer_master_core::Snapshot;
use proffer_types::{FrameworkId, Shape, Timestamp};
use proffer_wire::v1;
use proffer_wire::v1::list_unmet_demand_response as message;

use super::millis;

pub(super) fn answer(snapshot: &Snapshot, now: Timestamp) -> v1::ListUnmetDemandResponse {
    let found = unmet_demand(&snapshot.ledger);
    let names: BTreeMap<&FrameworkId, &str> = snapshot
        .frameworks
        .iter()
        .map(|view| (&view.framework_id, view.info.name.as_str()))
        .collect();
    let unmet = found.unmet.iter().map(|unmet| unmet_message(unmet, &names, now));
    v1::ListUnmetDemandResponse {
        unmet: unmet.collect(),
        needed_agent_ids: found.needed.iter().map(ToString::to_string).collect(),
        held_for_guarantees: Some((&found.held_for_guarantees).into()),
        is_cut: found.is_cut,
        is_withheld: snapshot.withheld.is_some(),
    }
}

fn unmet_message(unmet: &Unmet, names: &BTreeMap<&FrameworkId, &str>, now: Timestamp) -> message::Unmet {
    let shape = Shape {
        count: unmet.n,
        ..(*unmet.shape).clone()
    };
    let limit = unmet.over_limit.as_ref();
    message::Unmet {
        framework_id: unmet.framework.to_string(),
        framework_name: names
            .get(&unmet.framework)
            .copied()
            .unwrap_or_default()
            .to_owned(),
        role: unmet.role.to_string(),
        shape: Some((&shape).into()),
        n_over_limit: limit.map_or(0, |(n, ..)| *n),
        limit_role: limit.map(|(_, role, _)| role.to_string()).unwrap_or_default(),
        limit_resource: limit.map(|(.., name)| name.to_string()).unwrap_or_default(),
        constraints: (!unmet.constraints.is_empty()).then(|| (&unmet.constraints).into()),
        region: unmet.region.clone().unwrap_or_default(),
        waiting_ms: millis(now.since(unmet.since)),
    }
}

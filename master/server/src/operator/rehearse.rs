//! What a framework would be offered if it stated more, from a snapshot: on the thread of whoever asks.

use std::collections::BTreeMap;

use proffer_allocator::{Found, rehearse};
use proffer_master_core::Snapshot;
use proffer_types::{FrameworkId, Role, Shape, Timestamp};
use proffer_wire::v1;
use proffer_wire::v1::rehearse_demand_response as message;

use super::explain::{part_message, withheld};

/// Answers for one framework, if the snapshot has it.
pub(super) fn answer(
    snapshot: &Snapshot,
    framework: &FrameworkId,
    role: &Role,
    demand: &[Shape],
    now: Timestamp,
) -> Option<v1::RehearseDemandResponse> {
    let rehearsal = rehearse(&snapshot.ledger, framework, role, demand, now)?;
    let names: BTreeMap<&FrameworkId, &str> = snapshot
        .frameworks
        .iter()
        .map(|view| (&view.framework_id, view.info.name.as_str()))
        .collect();
    let mut found: Vec<_> = rehearsal
        .shapes
        .iter()
        .map(|found| found_message(found, &names))
        .collect();
    if let Some(withheld) = withheld(snapshot) {
        let missing = found.iter_mut().filter_map(|found| found.missing.as_mut());
        missing.for_each(|part| part.reasons.insert(0, withheld.clone()));
    }
    Some(v1::RehearseDemandResponse {
        shapes: found,
        is_cut: rehearsal.is_cut,
    })
}

fn found_message(found: &Found, names: &BTreeMap<&FrameworkId, &str>) -> message::Found {
    let place = |(agent, hostname, n_tasks): &(_, String, u32)| message::Place {
        agent_id: ToString::to_string(agent),
        hostname: hostname.clone(),
        n_tasks: *n_tasks,
    };
    message::Found {
        shape_id: found.shape.0,
        places: found.places.iter().map(place).collect(),
        missing: found.missing.as_ref().map(|part| part_message(part, names)),
    }
}

//! Why a framework is not offered more, from a snapshot: on the thread of whoever asks.

use std::collections::BTreeMap;

use proffer_allocator::{Ahead, Counted, Nearest, Part, Reason, Share, explain};
use proffer_master_core::Snapshot;
use proffer_types::{FrameworkId, ResourceName, Role, Timestamp};
use proffer_wire::resources::scalar;
use proffer_wire::v1;
use proffer_wire::v1::explain_framework_response as message;

/// Answers for one framework, if the snapshot has it.
pub(super) fn answer(
    snapshot: &Snapshot,
    framework: &FrameworkId,
    now: Timestamp,
) -> Option<v1::ExplainFrameworkResponse> {
    let names: BTreeMap<&FrameworkId, &str> = snapshot
        .frameworks
        .iter()
        .map(|view| (&view.framework_id, view.info.name.as_str()))
        .collect();
    names.get(framework)?;
    let explanation = explain(&snapshot.ledger, framework, now);
    let mut parts: Vec<_> = explanation
        .parts
        .iter()
        .map(|part| part_message(part, &names))
        .collect();
    if let Some(withheld) = withheld(snapshot) {
        parts
            .iter_mut()
            .for_each(|part| part.reasons.insert(0, withheld.clone()));
    }
    Some(v1::ExplainFrameworkResponse {
        parts,
        n_left_out: u32::try_from(explanation.n_left_out).unwrap_or(u32::MAX),
    })
}

/// Nobody is offered anything while quota waits for agents to come back.
pub(super) fn withheld(snapshot: &Snapshot) -> Option<message::Counted> {
    let withheld = snapshot.withheld?;
    let reason = format!(
        "the master started not long ago, and makes no offers before {} of {} agents are back",
        withheld.n_needed, withheld.n_expected
    );
    Some(message::Counted {
        reason,
        until_ms: Some(withheld.until.0),
        ..Default::default()
    })
}

pub(super) fn part_message(part: &Part, names: &BTreeMap<&FrameworkId, &str>) -> message::Part {
    let shape = part.shape.as_ref();
    let counted = |counted| counted_message(counted, names);
    message::Part {
        wanted: part.to_string(),
        role: part.role.to_string(),
        shape_id: shape.map(|(shape, _)| shape.id.0),
        resources: shape.map(|(shape, _)| (&shape.resources).into()),
        count: shape.map_or(0, |(_, count)| *count),
        reasons: part.reasons.iter().map(counted).collect(),
    }
}

fn counted_message(counted: &Counted, names: &BTreeMap<&FrameworkId, &str>) -> message::Counted {
    let name_of = |framework: &FrameworkId| names.get(framework).copied();
    message::Counted {
        reason: counted.sentence(name_of),
        count: counted.n_agents,
        nearest: counted.nearest.as_ref().map(nearest_message),
        until_ms: counted.until.map(|until| until.0),
        role: role(&counted.reason).map(Role::to_string).unwrap_or_default(),
        ahead: ahead(&counted.reason).map(|ahead| message::Ahead {
            framework_id: ahead.framework.to_string(),
            name: name_of(&ahead.framework).unwrap_or_default().to_owned(),
            role: ahead.role.to_string(),
            share_permille: Share::permille(ahead.share),
            own_share_permille: Share::permille(ahead.own),
        }),
    }
}

fn nearest_message(nearest: &Nearest) -> message::Nearest {
    let lacking = if nearest.resource == ResourceName::Ports {
        // Counted, one by one.
        nearest.lacking as f64
    } else {
        scalar(&nearest.resource, nearest.lacking)
    };
    message::Nearest {
        agent_id: nearest.agent.to_string(),
        hostname: nearest.hostname.clone(),
        resource: nearest.resource.to_string(),
        lacking,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others are about no role")]
fn role(reason: &Reason) -> Option<&Role> {
    match reason {
        Reason::Limit { role, .. } | Reason::ReservedFor(role) => Some(role),
        _ => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others are about no framework")]
fn ahead(reason: &Reason) -> Option<&Ahead> {
    match reason {
        Reason::Held(_, ahead) => Some(ahead),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use proffer_allocator::{Claim, ClaimKind, FrameworkEntry, Ledger};
    use proffer_types::{AgentId, AgentInfo, Capabilities, Resources, Shape, ShapeId};

    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn framework(ledger: &mut Ledger, id: &str, order: u64) -> FrameworkId {
        let framework = FrameworkId::new(id).unwrap();
        let entry = FrameworkEntry {
            order,
            active: true,
            roles: BTreeSet::from([Role::default()]),
            suppressed: BTreeSet::new(),
            capabilities: Capabilities::default(),
            preferences: BTreeMap::new(),
        };
        ledger.set_framework(&framework, entry);
        framework
    }

    /// Agents with ten tasks each, of ten frameworks, and little left.
    fn crowded(n_agents: u32) -> (Ledger, FrameworkId) {
        let mut ledger = Ledger::default();
        for n in 0..10 {
            framework(&mut ledger, &format!("f{n}"), n);
        }
        for n in 0..n_agents {
            let id = AgentId::new(format!("a{n}")).unwrap();
            let info = AgentInfo {
                hostname: format!("node-{n}"),
                address: String::new(),
                resources: Resources::of(24_000, 64 << 30, 0),
                attributes: Vec::new(),
                version: String::new(),
                cgroups: String::new(),
                domain: None,
                can_suspend: false,
            };
            ledger.set_agent(&id, Arc::new(info));
            ledger.set_agent_active(&id, true);
            let agent = ledger.agent_ix(&id).unwrap();
            for task in 0..10 {
                let holder = FrameworkId::new(format!("f{}", (n + task) % 10)).unwrap();
                let leaf = ledger.leaf_ix(&holder, &Role::default()).unwrap();
                let taken = Resources::of(2_000 + u64::from(task == 0) * 200, 1 << 30, 0);
                ledger.claim(Claim::new(ClaimKind::Task, leaf, agent, taken));
            }
        }
        let waiting = framework(&mut ledger, "waiting", 10);
        let shapes = vec![Shape::new(ShapeId(1), Resources::of(8_000, 1 << 30, 0), 5)];
        ledger.set_demand(&waiting, &Role::default(), Some(shapes.into()), NOW);
        (ledger, waiting)
    }

    fn fastest(mut run: impl FnMut()) -> Duration {
        let times = (0..5).map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        });
        times.min().unwrap_or_default()
    }

    #[test]
    #[expect(
        clippy::print_stdout,
        reason = "the figure is of interest where output is shown"
    )]
    fn five_thousand_agents_are_explained_in_milliseconds() {
        let (ledger, waiting) = crowded(5_000);
        let explanation = explain(&ledger, &waiting, NOW);
        let reason = explanation.parts[0].reasons[0].to_string();
        assert!(
            reason.starts_with("5000 agents lack cpus: nearest is node-0, by 4.2; "),
            "{reason}"
        );
        assert!(reason.ends_with(" has it, as have 9 others"), "{reason}");

        let explained = fastest(|| drop(explain(&ledger, &waiting, NOW)));
        let leaf = ledger.leaf_ix(&waiting, &Role::default()).unwrap();
        let asked = fastest(|| {
            let (shape, _) = ledger.leaf(leaf).unwrap().wanted().next().unwrap();
            let fits = ledger
                .agents()
                .filter(|(agent, _)| ledger.slice(leaf, *agent, shape, 1, NOW).is_ok());
            assert_eq!(fits.count(), 0);
        });
        println!("5,000 agents explained in {explained:?}; asking each of them alone takes {asked:?}");
        // The aim is 10 ms; a busy machine is granted more.
        assert!(explained < Duration::from_millis(100), "{explained:?}");
    }
}

//! What an apply would do to a service, before it is done.

use std::fmt::Write as _;

use proffer_wire::v1;

use crate::difference::Difference;
use crate::output::{Column, left, printable, render, right};

/// How many replicas have a line each.
const MAX_REPLICAS: usize = 40;

/// `now` is the service as it is; absent when it would be created.
pub(crate) fn plan_text(
    spec: &v1::ServiceSpec,
    plan: &v1::PlanServiceResponse,
    now: Option<&v1::ServiceView>,
    differences: &[Difference],
    width: usize,
) -> String {
    let name = &spec.name;
    let mut text = match (now, plan.deploys) {
        (None, _) => format!("service {name} would be created\n"),
        (Some(_), _) if differences.is_empty() => return format!("service {name} would stay as it is\n"),
        (Some(now), Some(version)) => {
            format!(
                "service {name} would go from version {} to version {version}\n",
                now.version
            )
        }
        (Some(now), None) => format!("service {name} would stay at version {}\n", now.version),
    };
    for difference in differences {
        for line in difference.text().lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    let rows: Vec<_> = replicas(spec, plan, now).take(MAX_REPLICAS).collect();
    if !rows.is_empty() {
        const COLUMNS: &[Column] = &[right("SLOT"), left("NOW"), left("THEN")];
        text.push('\n');
        text += &render(COLUMNS, &rows, width);
        let n: u64 = [plan.starts, plan.stops, plan.replaces]
            .map(u64::from)
            .iter()
            .sum();
        let n_more = n.saturating_sub(rows.len() as u64);
        if n_more > 0 {
            let _ = writeln!(text, "... and {n_more} more");
        }
    }
    if plan.replaces > 0 {
        let _ = writeln!(text, "\n{}", how(spec));
    }
    text
}

/// A line for each replica that would start, stop or be replaced.
fn replicas<'a>(
    spec: &v1::ServiceSpec,
    plan: &'a v1::PlanServiceResponse,
    now: Option<&'a v1::ServiceView>,
) -> impl Iterator<Item = Vec<String>> + 'a {
    let before = plan.before.as_ref().map_or(0, |before| before.replicas);
    let kept = match spec.mode() {
        // It stays wherever it is.
        v1::ServiceMode::Daemon => u32::MAX,
        v1::ServiceMode::Unspecified | v1::ServiceMode::Replicated => before.saturating_sub(plan.stops),
    };
    let there = now.into_iter().flat_map(|now| &now.replicas);
    let there = there
        .filter(|replica| !replica.successor)
        .filter_map(move |replica| {
            let then = match plan.deploys {
                _ if replica.slot >= kept => "stops".to_owned(),
                Some(version) => format!("replaced by version {version}"),
                None => return None,
            };
            let status = replica.status.as_ref();
            let agent = status.map(|status| status.agent_id.clone()).unwrap_or_default();
            let task = match (replica.task_id.is_empty(), agent.is_empty()) {
                (true, _) => "waits".to_owned(),
                (false, true) => replica.task_id.clone(),
                (false, false) => format!("{} on {agent}", replica.task_id),
            };
            Some(vec![replica.slot.to_string(), printable(&task), then])
        });
    let new = (kept..kept.saturating_add(plan.starts))
        .map(|slot| vec![slot.to_string(), String::new(), "starts".to_owned()]);
    there.chain(new)
}

/// How replicas would be replaced, in words.
fn how(spec: &v1::ServiceSpec) -> String {
    let policy = spec.update.unwrap_or_default();
    let amount = |amount: Option<v1::Amount>, default: u32| match amount.and_then(|amount| amount.of) {
        Some(v1::amount::Of::Count(count)) => count.to_string(),
        Some(v1::amount::Of::Percent(percent)) => format!("{percent}%"),
        None => default.to_string(),
    };
    let by_hand = match policy.promote_by_hand {
        true => ", then wait for `proffer service promote`",
        false => "",
    };
    if policy.strategy() == v1::UpdateStrategy::BlueGreen {
        return format!(
            "all new replicas start beside the old{by_hand}; when all are available the old ones stop"
        );
    }
    let mut text = String::new();
    if policy.canary > 0 {
        let _ = write!(
            text,
            "canaries start beside the old ones first, {} of them{by_hand}; then ",
            policy.canary
        );
    }
    let _ = write!(
        text,
        "up to {} start before others stop, and up to {} stop before others start",
        amount(policy.max_surge, 1),
        amount(policy.max_unavailable, 0)
    );
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_daemon_is_replaced_where_it_is_and_a_smaller_service_stops_its_last_replicas() {
        let replica = |slot| v1::Replica {
            slot,
            task_id: format!("web.{slot}.1"),
            ..v1::Replica::default()
        };
        let now = v1::ServiceView {
            version: 1,
            replicas: (0..3).map(replica).collect(),
            ..v1::ServiceView::default()
        };
        let differences = [];
        let told = |mode: v1::ServiceMode, before, plan: v1::PlanServiceResponse| {
            let spec = v1::ServiceSpec {
                name: "web".to_owned(),
                mode: mode.into(),
                ..v1::ServiceSpec::default()
            };
            let before = Some(v1::ServiceSpec {
                replicas: before,
                ..spec.clone()
            });
            let plan = v1::PlanServiceResponse { before, ..plan };
            let rows: Vec<_> = replicas(&spec, &plan, Some(&now))
                .map(|row| row.join(" "))
                .collect();
            let text = plan_text(&spec, &plan, Some(&now), &differences, 100);
            assert_eq!(text, "service web would stay as it is\n");
            rows.join("\n")
        };
        let plan = v1::PlanServiceResponse {
            deploys: Some(2),
            replaces: 3,
            ..v1::PlanServiceResponse::default()
        };
        expect![[r#"
            0 web.0.1 replaced by version 2
            1 web.1.1 replaced by version 2
            2 web.2.1 replaced by version 2"#]]
        .assert_eq(&told(v1::ServiceMode::Daemon, 0, plan));
        let plan = v1::PlanServiceResponse {
            stops: 2,
            ..v1::PlanServiceResponse::default()
        };
        expect![[r#"
            1 web.1.1 stops
            2 web.2.1 stops"#]]
        .assert_eq(&told(v1::ServiceMode::Replicated, 3, plan));
    }
}

//! What would come of a submission, as a dry run tells it.

use std::fmt::Write as _;

use proffer_wire::v1;
use proffer_wire::v1::rehearse_demand_response::{Found, Place};

use crate::output::{Column, left, printable, render, right};
use crate::views::text::grouped;

/// The most tasks with a line each.
const MAX_TASKS: usize = 40;
/// How many agents of a task are named.
const MAX_PLACES: usize = 4;
/// How many reasons of a task are told.
const MAX_REASONS: usize = 3;

/// What would start where, and what would wait for what. `found` is by places of tasks in the spec.
pub(crate) fn rehearsal_text(
    spec: &v1::JobSpec,
    n_instances: u32,
    found: &[Found],
    is_cut: bool,
    width: usize,
) -> String {
    let n_tasks = spec.tasks.len() as u64;
    let mut text = format!(
        "job {} would be taken: {} task{}, {} instance{}; nothing was submitted\n",
        spec.name,
        grouped(n_tasks),
        if n_tasks == 1 { "" } else { "s" },
        grouped(n_instances.into()),
        if n_instances == 1 { "" } else { "s" },
    );
    if spec.schedule.is_some() {
        text += "it would start nothing before its first window is due\n";
        return text;
    }
    if spec.template.is_some() {
        let _ = writeln!(
            text,
            "it would start nothing before `proffer job dispatch {}`",
            spec.name
        );
        return text;
    }
    if spec.hold {
        let _ = writeln!(
            text,
            "it would start nothing before `proffer job release {}`",
            spec.name
        );
        return text;
    }
    text += &table(spec, found, width);
    for (task, found) in named(spec, found).take(MAX_TASKS) {
        let Some(missing) = &found.missing else { continue };
        let _ = writeln!(
            text,
            "\n{} of {} would wait:",
            grouped(missing.count.into()),
            printable(&task.name)
        );
        for reason in missing.reasons.iter().take(MAX_REASONS) {
            let _ = writeln!(text, "  {}", printable(&reason.reason));
        }
    }
    if is_cut {
        text += "\nnot all agents were looked at, to keep the answer quick: more may start\n";
    }
    text
}

/// The tasks of which something would be asked for.
fn named<'a>(
    spec: &'a v1::JobSpec,
    found: &'a [Found],
) -> impl Iterator<Item = (&'a v1::JobTask, &'a Found)> {
    found.iter().filter_map(|found| {
        let place = usize::try_from(found.shape_id).ok()?;
        Some((spec.tasks.get(place)?, found))
    })
}

fn table(spec: &v1::JobSpec, found: &[Found], width: usize) -> String {
    const COLUMNS: &[Column] = &[left("TASK"), right("NOW"), left("WHERE")];
    let asked = named(spec, found).map(|(task, found)| {
        let n_now: u64 = found.places.iter().map(|place| u64::from(place.n_tasks)).sum();
        vec![task.name.clone(), of(n_now, task), places(found)]
    });
    let is_asked = |place: &usize| found.iter().any(|found| found.shape_id == *place as u64);
    let others = spec
        .tasks
        .iter()
        .enumerate()
        .filter(|(place, _)| !is_asked(place));
    let others = others.map(|(_, task)| vec![task.name.clone(), of(0, task), after(task)]);
    let rows: Vec<_> = asked.chain(others).take(MAX_TASKS).collect();
    let mut text = render(COLUMNS, &rows, width);
    if spec.tasks.len() > MAX_TASKS {
        let _ = writeln!(
            text,
            "... and {} more tasks",
            grouped((spec.tasks.len() - MAX_TASKS) as u64)
        );
    }
    text
}

fn of(n: u64, task: &v1::JobTask) -> String {
    format!("{}/{}", grouped(n), grouped(task.count.max(1).into()))
}

/// `5 on node-1, 3 on node-2 and 4 more agents`. Agents of one host are told apart by their ids.
fn places(found: &Found) -> String {
    let is_same = |host: &str| found.places.iter().filter(|place| place.hostname == host).count() > 1;
    let host = |place: &Place| match is_same(&place.hostname) {
        true => format!("{} ({})", place.hostname, place.agent_id),
        false => place.hostname.clone(),
    };
    let named = found.places.iter().take(MAX_PLACES);
    let named = named.map(|place| format!("{} on {}", grouped(place.n_tasks.into()), host(place)));
    let text = named.collect::<Vec<_>>().join(", ");
    match found.places.len().saturating_sub(MAX_PLACES) {
        0 => text,
        n => format!("{text} and {} more agents", grouped(n as u64)),
    }
}

fn after(task: &v1::JobTask) -> String {
    let names = task.conditions.iter().map(|condition| &condition.task);
    let names: Vec<_> = task.after.iter().chain(names).map(String::as_str).collect();
    match names.len() {
        0 => String::new(),
        n if n > MAX_PLACES => format!(
            "after {} and {} more",
            names[..MAX_PLACES].join(", "),
            n - MAX_PLACES
        ),
        _ => format!("after {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proffer_wire::v1::explain_framework_response::{Counted, Part};

    use super::*;

    fn job() -> v1::JobSpec {
        let task = |name: &str, count, after: &[&str]| v1::JobTask {
            name: name.to_owned(),
            count,
            after: after.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        };
        v1::JobSpec {
            name: "corpus".to_owned(),
            tasks: vec![
                task("split", 1, &[]),
                task("map", 5000, &[]),
                task("sum", 1, &["map", "split"]),
            ],
            ..Default::default()
        }
    }

    #[test]
    fn a_dry_run_tells_what_would_start_where_and_what_the_rest_waits_for() {
        let place = |n: u32, n_tasks| Place {
            agent_id: format!("a{n}"),
            // Two agents on the first host.
            hostname: format!("node-{}", n.max(2)),
            n_tasks,
        };
        let reason = |reason: &str| Counted {
            reason: reason.to_owned(),
            ..Default::default()
        };
        let found = [
            Found {
                shape_id: 0,
                places: vec![place(1, 1)],
                missing: None,
            },
            Found {
                shape_id: 1,
                places: (1..8).map(|n| place(n, 10 * n)).collect(),
                missing: Some(Part {
                    count: 4720,
                    reasons: vec![reason("7 agents lack cpus: nearest is node-3, by 0.2")],
                    ..Default::default()
                }),
            },
        ];
        expect![[r#"
            job corpus would be taken: 3 tasks, 5,002 instances; nothing was submitted
            TASK         NOW  WHERE
            split        1/1  1 on node-2
            map    280/5,000  10 on node-2 (a1), 20 on node-2 (a2), 30 on node-3, 40 on node-4 and 3 more agents
            sum          0/1  after map, split

            4,720 of map would wait:
              7 agents lack cpus: nearest is node-3, by 0.2

            not all agents were looked at, to keep the answer quick: more may start
        "#]].assert_eq(&rehearsal_text(&job(), 5002, &found, true, usize::MAX));
    }

    #[test]
    fn a_job_that_is_held_or_recurs_or_is_dispatched_would_start_nothing_now() {
        let template = v1::JobSpec {
            template: Some(v1::JobTemplate::default()),
            ..job()
        };
        expect![[r#"
            job corpus would be taken: 3 tasks, 5,002 instances; nothing was submitted
            it would start nothing before `proffer job dispatch corpus`
        "#]]
        .assert_eq(&rehearsal_text(&template, 5002, &[], false, usize::MAX));
        let held = v1::JobSpec { hold: true, ..job() };
        expect![[r#"
            job corpus would be taken: 3 tasks, 5,002 instances; nothing was submitted
            it would start nothing before `proffer job release corpus`
        "#]]
        .assert_eq(&rehearsal_text(&held, 5002, &[], false, usize::MAX));
        let recurs = v1::JobSpec {
            schedule: Some(v1::JobSchedule::default()),
            ..job()
        };
        expect![[r#"
            job corpus would be taken: 3 tasks, 5,002 instances; nothing was submitted
            it would start nothing before its first window is due
        "#]]
        .assert_eq(&rehearsal_text(&recurs, 5002, &[], false, usize::MAX));
    }
}

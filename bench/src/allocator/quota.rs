//! LargeAndSmallQuota and NonQuotaVsQuota: one role a quota, guarantee and limit the same.

use anyhow::{Result, ensure};
use proffer_types::{Quota, Resources};

use super::measure::{Figure, cycle, heap_bytes, slower};
use super::shape::{agent, bundle, framework, role};
use super::subject::Subject;
use super::{Ours, Textbook};
use crate::report::Report;

/// The cluster of LargeAndSmallQuota's largest size: 2500 / 5 + 500 * 5 agents.
const SMALL_ROLES: u64 = 2500;
const LARGE_ROLES: u64 = 500;
const AGENTS: u64 = 3000;
/// A small quota takes half of an agent; a large one two agents.
const OFFERS: usize = 2500 + 2 * 500;
/// Clusters measured, the reference's in turn with ours.
const RUNS: usize = 5;
const TEXTBOOK_RUNS: usize = 2;
/// Mesos, published: the first cycle, and one that allocates nothing.
const MESOS_MS: f64 = 15_400.0;
const MESOS_IDLE_MS: f64 = 13_700.0;
const AIM_MS: f64 = 50.0;
const AIM_IDLE_MS: f64 = 0.1;

/// Of NonQuotaVsQuota: so many roles, two agents and two frameworks each.
const ROLES: [u64; 3] = [10, 100, 1000];
const PER_ROLE: u64 = 2;

#[derive(Default)]
struct Times {
    first: Vec<f64>,
    idle: Vec<f64>,
    n_offers: usize,
    bytes: f64,
}

fn small_agent() -> Resources {
    bundle(2000, 2048, 2048)
}

fn quota_of(guarantee: &Resources) -> Quota {
    Quota {
        guarantee: guarantee.clone(),
        limit: guarantee
            .scalars()
            .map(|(name, units)| (name.clone(), units))
            .collect(),
    }
}

pub(super) fn run(report: &mut Report) -> Result<()> {
    large_and_small(report)?;
    for n_roles in ROLES {
        for with_quota in [false, true] {
            quota_or_not(n_roles, with_quota, report)?;
        }
    }
    Ok(())
}

fn large_and_small(report: &mut Report) -> Result<()> {
    let (ours, textbook) = measure(RUNS, TEXTBOOK_RUNS, large_and_small_cluster, OFFERS)?;
    let (slow, slow_idle) = (
        slower(&textbook.first, MESOS_MS),
        slower(&textbook.idle, MESOS_IDLE_MS),
    );
    Figure::new("LargeAndSmallQuota 3000/3000/3000", ours.first, ours.n_offers)
        .bytes(ours.bytes)
        .beside(textbook.first, slow)
        .aim(AIM_MS)
        .add_to(report)?;
    Figure::new("LargeAndSmallQuota, cycle that allocates nothing", ours.idle, 0)
        .beside(textbook.idle, slow_idle)
        .aim(AIM_IDLE_MS)
        .add_to(report)
}

fn large_and_small_cluster(subject: &mut dyn Subject) {
    let small = quota_of(&bundle(1000, 1024, 1024));
    let large = quota_of(&bundle(4000, 4096, 4096));
    for n in 0..SMALL_ROLES + LARGE_ROLES {
        let (name, quota) = if n < SMALL_ROLES {
            ("small", &small)
        } else {
            ("large", &large)
        };
        let role = role(&format!("{name}{n}"));
        subject.add_framework(&framework(n), &role);
        subject.set_quota(&role, quota);
    }
    for n in 0..AGENTS {
        subject.add_agent(&agent(n), &small_agent(), &[]);
    }
}

fn quota_or_not(n_roles: u64, with_quota: bool, report: &mut Report) -> Result<()> {
    let quota = quota_of(&bundle(2000 * PER_ROLE, 2048 * PER_ROLE, 2048 * PER_ROLE));
    let set_up = |subject: &mut dyn Subject| {
        for n in 0..n_roles {
            let role = role(&format!("role{n}"));
            for of_role in 0..PER_ROLE {
                subject.add_framework(&framework(n * PER_ROLE + of_role), &role);
            }
            if with_quota {
                subject.set_quota(&role, &quota);
            }
        }
        for n in 0..n_roles * PER_ROLE {
            subject.add_agent(&agent(n), &small_agent(), &[]);
        }
    };
    let n_agents = usize::try_from(n_roles * PER_ROLE)?;
    let (ours, textbook) = measure(RUNS, RUNS, set_up, n_agents)?;
    let kind = if with_quota { "quota" } else { "no quota" };
    Figure::new(
        format!("NonQuotaVsQuota {n_roles} roles, {kind}"),
        ours.first,
        ours.n_offers,
    )
    .bytes(ours.bytes)
    .beside(textbook.first, None)
    .add_to(report)
}

fn measure(
    runs: usize,
    textbook_runs: usize,
    set_up: impl Fn(&mut dyn Subject),
    n_offers: usize,
) -> Result<(Times, Times)> {
    let mut ours = Times::default();
    let mut textbook = Times::default();
    for run in 0..runs.max(textbook_runs) {
        if run < runs {
            measure_one(&mut ours, Box::new(Ours::new()?), &set_up, n_offers)?;
        }
        if run < textbook_runs {
            measure_one(&mut textbook, Box::new(Textbook::new(1)), &set_up, n_offers)?;
        }
    }
    Ok((ours, textbook))
}

fn measure_one(
    times: &mut Times,
    mut subject: Box<dyn Subject>,
    set_up: impl Fn(&mut dyn Subject),
    n_offers: usize,
) -> Result<()> {
    let before = heap_bytes();
    set_up(subject.as_mut());
    let (first, offers) = cycle(subject.as_mut());
    ensure!(
        offers.len() == n_offers,
        "{} offers, not {n_offers}",
        offers.len()
    );
    times.bytes = heap_bytes() - before;
    times.n_offers = offers.len();
    times.first.push(first);
    let (idle, offers) = cycle(subject.as_mut());
    ensure!(offers.is_empty(), "{} offers where none was due", offers.len());
    times.idle.push(idle);
    Ok(())
}

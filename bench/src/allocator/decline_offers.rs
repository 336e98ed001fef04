//! DeclineOffers: every agent is partly held by one framework; every offer is declined for ever.

use anyhow::{Result, ensure};

use super::measure::{Figure, cycle, heap_bytes, timed};
use super::shape::{add_agents, add_frameworks, large_share};
use super::subject::{Filter, Offered, Subject};
use super::{Ours, Textbook};
use crate::report::{Report, median};

/// Memory one framework holds of each agent, in MiB; 2014 is Mesos's own figure.
const HELD_MEM_MIB: u64 = 2014;

struct Size {
    agents: u64,
    frameworks: u64,
    /// First rounds, each on a new cluster; the median counts.
    runs: usize,
    textbook_runs: usize,
    /// Of the last cluster; enough for every framework to be offered every agent, or as many as are bearable.
    rounds: u64,
    textbook_rounds: u64,
    /// What Mesos 1.12-dev took for the median round on a machine of this kind, quiet; or published.
    mesos_ms: Option<f64>,
    aim_ms: Option<f64>,
}

const SIZES: [Size; 4] = [
    Size {
        agents: 1000,
        frameworks: 50,
        runs: 5,
        textbook_runs: 5,
        rounds: 100,
        textbook_rounds: 100,
        mesos_ms: Some(52.0),
        aim_ms: None,
    },
    Size {
        agents: 10_000,
        frameworks: 50,
        runs: 5,
        textbook_runs: 5,
        rounds: 100,
        textbook_rounds: 100,
        mesos_ms: Some(514.0),
        aim_ms: None,
    },
    Size {
        agents: 10_000,
        frameworks: 1000,
        runs: 5,
        textbook_runs: 3,
        rounds: 10,
        textbook_rounds: 2,
        mesos_ms: Some(1060.0),
        aim_ms: Some(10.0),
    },
    Size {
        agents: 50_000,
        frameworks: 6000,
        runs: 3,
        textbook_runs: 1,
        rounds: 4,
        textbook_rounds: 0,
        mesos_ms: None,
        aim_ms: Some(100.0),
    },
];

/// What a cluster of one kind took.
#[derive(Default)]
struct Rounds {
    first: Vec<f64>,
    n_offers: usize,
    bytes: f64,
    declines: Vec<f64>,
    /// After the first, those that made offers.
    later: Vec<f64>,
    /// Those that made none.
    idle: Vec<f64>,
}

pub(super) fn run(report: &mut Report) -> Result<()> {
    SIZES.iter().try_for_each(|size| run_one(size, report))
}

fn run_one(size: &Size, report: &mut Report) -> Result<()> {
    let mut ours = Rounds::default();
    let mut textbook = Rounds::default();
    for run in 0..size.runs.max(size.textbook_runs) {
        if run < size.runs {
            let rounds = if run + 1 == size.runs { size.rounds } else { 1 };
            measure(size, rounds, &mut ours, Box::new(Ours::new()?))?;
        }
        if run < size.textbook_runs {
            let rounds = if run + 1 == size.textbook_runs {
                size.textbook_rounds
            } else {
                1
            };
            measure(size, rounds, &mut textbook, Box::new(Textbook::new(1)))?;
        }
    }
    let name = format!(
        "DeclineOffers {} x {}",
        thousands(size.agents),
        thousands(size.frameworks)
    );
    let all = [&textbook.first, &textbook.later, &textbook.idle]
        .into_iter()
        .flatten()
        .copied();
    let slow = size
        .mesos_ms
        .map(|mesos| (median(all.collect()), mesos))
        .filter(|(ours, mesos)| ours > mesos);
    let mut first = Figure::new(format!("{name}, first round"), ours.first, ours.n_offers)
        .bytes(ours.bytes)
        .beside(textbook.first, slow);
    if let Some(aim) = size.aim_ms {
        first = first.aim(aim);
    }
    first.add_to(report)?;
    Figure::new(format!("{name}, {} declines", ours.n_offers), ours.declines, 0)
        .beside(textbook.declines, slow)
        .add_to(report)?;
    if !ours.later.is_empty() {
        Figure::new(format!("{name}, a later round"), ours.later, ours.n_offers)
            .beside(textbook.later, slow)
            .add_to(report)?;
    }
    if !ours.idle.is_empty() {
        Figure::new(format!("{name}, all declined"), ours.idle, 0)
            .beside(textbook.idle, slow)
            .add_to(report)?;
    }
    Ok(())
}

fn measure(size: &Size, rounds: u64, into: &mut Rounds, mut subject: Box<dyn Subject>) -> Result<()> {
    let before = heap_bytes();
    add_frameworks(subject.as_mut(), size.frameworks);
    add_agents(
        subject.as_mut(),
        size.agents,
        size.frameworks,
        &large_share(HELD_MEM_MIB),
    );
    let (ms, mut offers) = cycle(subject.as_mut());
    ensure!(
        offers.len() as u64 == size.agents,
        "{} offers of {} agents",
        offers.len(),
        size.agents
    );
    into.first.push(ms);
    into.n_offers = offers.len();
    into.bytes = heap_bytes() - before;
    for _ in 1..rounds {
        let n_declined = offers.len();
        let (declining, ()) = timed(|| decline(subject.as_mut(), &offers));
        if n_declined > 0 {
            into.declines.push(declining);
        }
        let (ms, next) = cycle(subject.as_mut());
        if next.is_empty() {
            into.idle.push(ms);
        } else {
            into.later.push(ms);
        }
        offers = next;
    }
    Ok(())
}

fn decline(subject: &mut dyn Subject, offers: &[Offered]) {
    for offer in offers {
        subject.answer(offer, &[], Filter::ForEver);
    }
}

/// 10000 as `10k`.
pub(super) fn thousands(n: u64) -> String {
    if n >= 1000 && n.is_multiple_of(1000) {
        format!("{}k", n / 1000)
    } else {
        n.to_string()
    }
}

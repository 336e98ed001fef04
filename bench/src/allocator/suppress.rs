//! SuppressOffers and ExtremeSuppressOffers: nothing is filtered, but more and more frameworks want no offers.

use anyhow::{Result, ensure};
use proffer_types::Role;

use super::decline_offers::thousands;
use super::measure::{Figure, cycle};
use super::shape::{add_agents, add_frameworks, framework, large_share};
use super::subject::{Filter, Subject};
use super::{Ours, Textbook};
use crate::report::Report;

/// Rounds of one run, as in Mesos.
const ROUNDS: u64 = 5;
/// Memory one framework holds of each agent, in MiB.
const HELD_MEM_MIB: u64 = 1024;

struct Case {
    name: &'static str,
    agents: u64,
    frameworks: u64,
    /// Suppressed before the first round, and before every one.
    at_first: u64,
    each_round: u64,
}

const CASES: [Case; 3] = [
    Case {
        name: "SuppressOffers",
        agents: 10_000,
        frameworks: 1000,
        at_first: 0,
        each_round: 1000 / ROUNDS,
    },
    Case {
        name: "ExtremeSuppressOffers",
        agents: 10_000,
        frameworks: 1000,
        at_first: 990,
        each_round: 0,
    },
    Case {
        name: "ExtremeSuppressOffers",
        agents: 50_000,
        frameworks: 6000,
        at_first: 5940,
        each_round: 0,
    },
];

pub(super) fn run(report: &mut Report) -> Result<()> {
    for case in &CASES {
        let ours = rounds(case, &mut Ours::new()?)?;
        let textbook = rounds(case, &mut Textbook::new(1))?;
        let name = format!(
            "{} {} x {}",
            case.name,
            thousands(case.agents),
            thousands(case.frameworks)
        );
        let n_offers = usize::try_from(case.agents)?;
        Figure::new(name, ours, n_offers)
            .beside(textbook, None)
            .add_to(report)?;
    }
    Ok(())
}

/// The milliseconds of each round that makes offers.
fn rounds(case: &Case, subject: &mut dyn Subject) -> Result<Vec<f64>> {
    add_frameworks(subject, case.frameworks);
    add_agents(subject, case.agents, case.frameworks, &large_share(HELD_MEM_MIB));
    let mut suppressed = 0;
    let mut suppress = |subject: &mut dyn Subject, n: u64| {
        for n in suppressed..suppressed + n {
            subject.suppress(&framework(n), &Role::default());
        }
        suppressed += n;
    };
    suppress(subject, case.at_first);
    let mut times = Vec::new();
    let mut offers = Vec::new();
    for _ in 0..ROUNDS {
        for offer in &offers {
            subject.answer(offer, &[], Filter::None);
        }
        suppress(subject, case.each_round);
        let (ms, made) = cycle(subject);
        let wanting = suppressed_of(case, times.len()) < case.frameworks;
        let due = if wanting { case.agents } else { 0 };
        ensure!(made.len() as u64 == due, "{} offers, not {due}", made.len());
        if wanting {
            times.push(ms);
        }
        offers = made;
    }
    Ok(times)
}

fn suppressed_of(case: &Case, round: usize) -> u64 {
    case.at_first + case.each_round * (round as u64 + 1)
}

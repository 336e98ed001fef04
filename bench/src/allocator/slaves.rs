//! AddAndUpdateSlave: agents come one at a time, then each gets revocable cores; what is new is offered at once.

use anyhow::{Result, ensure};

use super::measure::{Figure, slower, timed};
use super::shape::{
    add_frameworks, agent, running, small_agent_with_ports, small_share, with_revocable_cpus,
};
use super::subject::Subject;
use super::{Ours, Textbook};
use crate::report::Report;

const AGENTS: u64 = 10_000;
const FRAMEWORKS: u64 = 50;
/// Clusters measured, the reference's in turn with ours.
const RUNS: usize = 3;
/// Mesos 1.12-dev on a machine of this kind, quiet.
const MESOS_ADD_MS: f64 = 620.0;
const MESOS_UPDATE_MS: f64 = 420.0;

#[derive(Default)]
struct Times {
    add: Vec<f64>,
    update: Vec<f64>,
}

pub(super) fn run(report: &mut Report) -> Result<()> {
    let mut ours = Times::default();
    let mut textbook = Times::default();
    for _ in 0..RUNS {
        measure(&mut Ours::new()?.with_revocable(), &mut ours)?;
        measure(&mut Textbook::new(1), &mut textbook)?;
    }
    let n_offers = usize::try_from(AGENTS)?;
    let slow = (
        slower(&textbook.add, MESOS_ADD_MS),
        slower(&textbook.update, MESOS_UPDATE_MS),
    );
    Figure::new("AddAndUpdateSlave 10k x 50, add", ours.add, n_offers)
        .beside(textbook.add, slow.0)
        .add_to(report)?;
    Figure::new("AddAndUpdateSlave 10k x 50, update", ours.update, n_offers)
        .beside(textbook.update, slow.1)
        .add_to(report)
}

fn measure(subject: &mut dyn Subject, times: &mut Times) -> Result<()> {
    add_frameworks(subject, FRAMEWORKS);
    let total = small_agent_with_ports();
    let (ms, ()) = timed(|| {
        for n in 0..AGENTS {
            let held = running(n, n % FRAMEWORKS, &small_share());
            subject.add_agent(&agent(n), &total, &[held]);
            subject.react();
        }
    });
    let n_offers = subject.take_offers().len() as u64;
    ensure!(
        n_offers == AGENTS,
        "{n_offers} offers of {AGENTS} agents that joined"
    );
    times.add.push(ms);
    let total = with_revocable_cpus(&total)?;
    let (ms, ()) = timed(|| {
        for n in 0..AGENTS {
            subject.update_agent(&agent(n), &total);
            subject.react();
        }
    });
    let n_offers = subject.take_offers().len() as u64;
    ensure!(
        n_offers == AGENTS,
        "{n_offers} offers of {AGENTS} agents that grew"
    );
    times.update.push(ms);
    Ok(())
}

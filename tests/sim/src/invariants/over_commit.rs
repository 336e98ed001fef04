//! No over-commit: what runs on a host, and what the master gave away of it, fits in what it has.
//!
//! Source: architecture, "The agent link": without the fence a delayed RunTask over-committed an agent in 175 of 300
//! runs. Ports are held by one container at a time.

use proffer_master_core::{AgentState, Snapshot};
use proffer_types::{Ranges, Resources, Timestamp};

use super::Invariant;
use crate::facts::Fact;

#[derive(Debug)]
pub(crate) struct OverCommit;

impl Invariant for OverCommit {
    fn name(&self) -> &'static str {
        "no over-commit"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Host {
                agent,
                total,
                machine,
            } => {
                let held = machine.live().map(|container| container.held());
                fits(total, held).map_err(|what| format!("host of agent {agent}: {what}"))
            }
            Fact::MasterState { snapshot, .. } => master(snapshot),
            _ => Ok(()),
        }
    }
}

fn master(snapshot: &Snapshot) -> Result<(), String> {
    for agent in snapshot
        .agents
        .iter()
        .filter(|agent| agent.state == AgentState::Active)
    {
        let id = &agent.agent_id;
        let tasks = snapshot
            .tasks
            .iter()
            .filter(|task| task.info.agent_id == *id && task.state.holds_resources());
        let offers = snapshot.offers.iter().filter(|offer| offer.agent_id == *id);
        let held = tasks
            .map(|task| task.held().into_owned())
            .chain(offers.map(|offer| offer.resources.clone()));
        fits(&agent.info.resources, held)
            .map_err(|what| format!("agent {id} as the master sees it: {what}"))?;
    }
    Ok(())
}

/// Whether all parts fit in the total, with no port in two of them.
fn fits(total: &Resources, parts: impl Iterator<Item = Resources>) -> Result<(), String> {
    let mut sum = Resources::new();
    let mut n_ports = 0;
    for part in parts {
        sum.add(&part);
        n_ports += part.all_ranges().map(|(_, ranges)| ranges.count()).sum::<u64>();
    }
    if !total.contains(&sum) {
        return Err(format!("{sum:?} of {total:?} is held"));
    }
    let n_distinct = sum
        .all_ranges()
        .map(|(_, ranges): (_, &Ranges)| ranges.count())
        .sum::<u64>();
    if n_ports == n_distinct {
        Ok(())
    } else {
        Err(format!("a port is held twice: {sum:?}"))
    }
}

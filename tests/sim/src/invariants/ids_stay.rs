//! Ids stay: an agent and a framework keep the id they were first given, over every restart of anybody.
//!
//! Source: architecture, "Durable state": admitted agents and frameworks outlive a master.

use std::collections::BTreeMap;

use proffer_types::{AgentId, FrameworkId, Timestamp};

use super::Invariant;
use crate::facts::Fact;

#[derive(Debug, Default)]
pub(crate) struct IdsStay {
    agents: BTreeMap<usize, AgentId>,
    frameworks: BTreeMap<usize, FrameworkId>,
}

impl Invariant for IdsStay {
    fn name(&self) -> &'static str {
        "ids stay"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::AgentId { agent, id } => same(&mut self.agents, "agent", *agent, id),
            Fact::FrameworkId { framework, id, .. } => {
                same(&mut self.frameworks, "framework", *framework, id)
            }
            _ => Ok(()),
        }
    }
}

/// An id belongs to one, and one has one id.
fn same<I: Clone + Eq + std::fmt::Display>(
    known: &mut BTreeMap<usize, I>,
    kind: &str,
    index: usize,
    id: &I,
) -> Result<(), String> {
    if let Some((other, _)) = known
        .iter()
        .find(|(other, known)| **other != index && *known == id)
    {
        return Err(format!("{kind} {index} has the id {id} of {kind} {other}"));
    }
    let first = known.entry(index).or_insert_with(|| id.clone());
    if first == id {
        Ok(())
    } else {
        Err(format!("{kind} {index} was {first} and is now {id}"))
    }
}

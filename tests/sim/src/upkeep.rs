//! Operators who take agents out of use, for a time that is said or not, and give all of them back in the end.

use std::time::Duration;

use proffer_master_core::{OperatorRequest, Snapshot, WindowStart};
use proffer_types::AgentId;

use crate::world::{Happening, World};

/// How often it is looked whether all are back.
const PAUSE: Duration = Duration::from_secs(2);

impl World {
    /// Something that becomes of a registered agent, or of a window.
    pub(crate) fn upkeep(&mut self, snapshot: &Snapshot) -> Option<OperatorRequest> {
        let agents = &snapshot.agents;
        let agent = (!agents.is_empty()).then(|| &agents[self.dice.index(agents.len())])?;
        let agent_id = agent.agent_id.clone();
        let some = |dice: &mut crate::dice::Dice| {
            let others = agents.iter().map(|agent| agent.agent_id.clone());
            let others: Vec<AgentId> = others
                .filter(|other| *other != agent_id && dice.chance(500))
                .collect();
            [vec![agent_id.clone()], others].concat()
        };
        let max_grace = self.dice.chance(500).then(|| self.dice.millis(0..5_000));
        Some(match self.dice.number(0..8) {
            0 => OperatorRequest::DeactivateAgent { agent_id },
            1 => OperatorRequest::ReactivateAgent { agent_id },
            2..4 => OperatorRequest::DrainAgents {
                agent_ids: some(&mut self.dice),
                max_grace,
                notice: match self.dice.chance(500) {
                    true => self.dice.seconds(1..60),
                    false => Duration::ZERO,
                },
                mark_gone: false,
                at_once: self.dice.chance(500).then_some(1),
            },
            4 => OperatorRequest::UndrainAgents {
                agent_ids: vec![agent_id],
            },
            5..7 => OperatorRequest::ScheduleMaintenance {
                name: format!("w{}", self.dice.number(0..1_000_000)),
                agent_ids: some(&mut self.dice),
                start: WindowStart::After(self.dice.seconds(1..60)),
                duration: self.dice.seconds(1..90),
                max_grace,
            },
            _ => {
                let window = agent.upkeep.windows.first()?;
                OperatorRequest::CancelMaintenance {
                    name: window.name.clone(),
                }
            }
        })
    }

    /// Agents that are out of use would keep work from its end: they are given back, again and again until all are.
    pub(crate) fn give_agents_back(&mut self) {
        let leader = self.leader();
        let core = leader.and_then(|m| self.masters[m].core());
        let Some(snapshot) = core.map(proffer_master_core::Master::snapshot) else {
            self.queue.after(PAUSE, Happening::AgentsGivenBack);
            return;
        };
        let mut wanted = Vec::new();
        for agent in snapshot.agents {
            let windows = agent.upkeep.windows.into_iter();
            wanted.extend(windows.map(|window| OperatorRequest::CancelMaintenance { name: window.name }));
            if agent.upkeep.drain.is_some() || agent.upkeep.deactivated.is_some() {
                let agent_id = agent.agent_id;
                wanted.push(OperatorRequest::ReactivateAgent { agent_id });
            }
        }
        if !wanted.is_empty() {
            self.queue.after(PAUSE, Happening::AgentsGivenBack);
        }
        for operation in wanted {
            self.master_asked(operation);
        }
    }
}

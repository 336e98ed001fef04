//! What anybody is told of the registry is in the store first, and is there at every later start.
//!
//! Source: Mesos, "Registrar": a change is applied after it is replicated; ids outlive masters.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_core::{Event, Registry, RoleConfig, State};
use proffer_types::{AgentId, FrameworkId, Role, Timestamp};

use super::Invariant;
use crate::facts::Fact;

#[derive(Debug, Default)]
pub(crate) struct RegistryKept {
    agents: BTreeSet<AgentId>,
    frameworks: BTreeSet<FrameworkId>,
}

impl Invariant for RegistryKept {
    fn name(&self) -> &'static str {
        "what is told is stored, and stays"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Promised { events, stored } => self.promised(events, stored),
            Fact::MasterStarted(state) => self.started(state),
            _ => Ok(()),
        }
    }
}

impl RegistryKept {
    fn promised(&mut self, events: &[Event], stored: &Registry) -> Result<(), String> {
        let mut roles: BTreeMap<&Role, &RoleConfig> = BTreeMap::new();
        for event in events {
            match event {
                Event::AgentAdmitted { agent_id, .. } => {
                    self.agents.insert(agent_id.clone());
                }
                Event::AgentForgotten { agent_id, .. } => {
                    self.agents.remove(agent_id);
                }
                Event::FrameworkSubscribed { framework_id, .. } => {
                    self.frameworks.insert(framework_id.clone());
                }
                Event::FrameworkForgotten { framework_id } => {
                    self.frameworks.remove(framework_id);
                }
                Event::RoleSet { role, config } => {
                    roles.insert(role, config);
                }
                _ => {}
            }
        }
        let agents: BTreeSet<_> = stored.agents.iter().map(|agent| &agent.agent_id).collect();
        let frameworks: BTreeSet<_> = stored.frameworks.iter().map(|f| &f.framework_id).collect();
        if let Some(lost) = self.agents.iter().find(|id| !agents.contains(id)) {
            return Err(format!(
                "agent {lost} is about to be told its id, which is not stored"
            ));
        }
        if let Some(lost) = self.frameworks.iter().find(|id| !frameworks.contains(id)) {
            return Err(format!(
                "framework {lost} is about to be told its id, which is not stored"
            ));
        }
        for (role, told) in roles {
            let kept = stored.roles.iter().find(|record| record.role == *role);
            if kept.map_or(*told != RoleConfig::default(), |kept| kept.config != *told) {
                return Err(format!("role {role} is told {told:?}, and stored is {kept:?}"));
            }
        }
        Ok(())
    }

    fn started(&self, state: &State) -> Result<(), String> {
        if let Some(lost) = self.agents.iter().find(|id| state.agent(id).is_none()) {
            return Err(format!("a master starts without agent {lost}"));
        }
        match self.frameworks.iter().find(|id| state.framework(id).is_none()) {
            Some(lost) => Err(format!("a master starts without framework {lost}")),
            None => Ok(()),
        }
    }
}

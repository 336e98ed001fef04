//! Agents.

use std::collections::BTreeMap;

use proffer_wire::v1;
use proffer_wire::v1::list_agents_response::Agent;
use serde::Serialize;
use serde_json::Value;

use super::text::{State, bundle_json, scalar, state_name};
use crate::output::{Column, Row, left, right};

/// One agent.
#[derive(Debug, Serialize)]
pub(crate) struct AgentView {
    agent_id: String,
    state: State,
    hostname: String,
    address: String,
    version: String,
    cgroups: String,
    attributes: BTreeMap<String, String>,
    n_tasks: u32,
    total: BTreeMap<String, Value>,
    used: BTreeMap<String, Value>,
    offered: BTreeMap<String, Value>,
    #[serde(skip)]
    cpus: String,
    #[serde(skip)]
    mem: String,
}

impl From<Agent> for AgentView {
    fn from(agent: Agent) -> Self {
        let state = state_name(agent.state().as_str_name(), "AGENT_");
        let info = agent.info.unwrap_or_default();
        let total: Option<&v1::Resources> = info.resources.as_ref();
        let used = agent.used.as_ref();
        let of = |name: &str| format!("{}/{}", scalar(used, name), scalar(total, name));
        Self {
            state,
            cpus: of("cpus"),
            mem: of("mem"),
            total: bundle_json(total),
            used: bundle_json(used),
            offered: bundle_json(agent.offered.as_ref()),
            agent_id: agent.agent_id,
            hostname: info.hostname,
            address: info.address,
            version: info.version,
            cgroups: info.cgroups,
            attributes: info
                .attributes
                .into_iter()
                .map(|attribute| (attribute.name, attribute.value))
                .collect(),
            n_tasks: agent.n_tasks,
        }
    }
}

impl Row for AgentView {
    const COLUMNS: &'static [Column] = &[
        left("AGENT"),
        left("HOST"),
        left("STATE"),
        right("TASKS"),
        right("CPUS"),
        right("MEM"),
        left("CGROUPS"),
        left("ADDRESS"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.agent_id.clone(),
            self.hostname.clone(),
            self.state.to_string(),
            self.n_tasks.to_string(),
            self.cpus.clone(),
            self.mem.clone(),
            self.cgroups.clone(),
            self.address.clone(),
        ]
    }
}

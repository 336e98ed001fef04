//! Agents.

use std::collections::BTreeMap;

use proffer_wire::v1;
use proffer_wire::v1::list_agents_response::Agent;
use serde::Serialize;
use serde_json::Value;

use super::domain::DomainView;
use super::text::{State, ago, bundle_json, scalar, state_name};
use super::upkeep::{self, DrainView};
use crate::output::{Column, Row, left, right};

/// One agent.
#[derive(Debug, Serialize)]
pub(crate) struct AgentView {
    agent_id: String,
    /// Whether it is there.
    state: State,
    /// Since when it is unreachable or gone.
    since_ms: Option<u64>,
    /// Since when it is not offered by an operator's word.
    deactivated_since_ms: Option<u64>,
    drain: Option<DrainView>,
    /// When it is looked at again whether the agent is given up, as too many would be.
    removal_delayed_until_ms: Option<u64>,
    hostname: String,
    address: String,
    version: String,
    cgroups: String,
    domain: Option<DomainView>,
    attributes: BTreeMap<String, String>,
    n_tasks: u32,
    total: BTreeMap<String, Value>,
    used: BTreeMap<String, Value>,
    offered: BTreeMap<String, Value>,
    #[serde(skip)]
    shown_state: String,
    #[serde(skip)]
    shown_since: String,
    #[serde(skip)]
    progress: String,
    #[serde(skip)]
    cpus: String,
    #[serde(skip)]
    mem: String,
    /// Empty where the agent offers none.
    #[serde(skip)]
    net_mbps: String,
}

impl From<Agent> for AgentView {
    fn from(agent: Agent) -> Self {
        let state = state_name(agent.state().as_str_name(), "AGENT_");
        let shown_state = upkeep::state(&agent);
        let shown_since = upkeep::since(&agent).map(ago).unwrap_or_default();
        let progress = upkeep::progress(&agent);
        let info = agent.info.unwrap_or_default();
        let total: Option<&v1::Resources> = info.resources.as_ref();
        let used = agent.used.as_ref();
        let of = |name: &str| format!("{}/{}", scalar(used, name), scalar(total, name));
        Self {
            state,
            since_ms: agent.since_ms,
            deactivated_since_ms: agent.deactivated_since_ms,
            drain: agent.drain.as_ref().map(DrainView::from),
            removal_delayed_until_ms: agent.removal_delay.map(|delay| delay.until_ms),
            shown_state,
            shown_since,
            progress,
            cpus: of("cpus"),
            mem: of("mem"),
            net_mbps: match scalar(total, "net_mbps").as_str() {
                "0" => String::new(),
                _ => of("net_mbps"),
            },
            total: bundle_json(total),
            used: bundle_json(used),
            offered: bundle_json(agent.offered.as_ref()),
            agent_id: agent.agent_id,
            hostname: info.hostname,
            address: info.address,
            version: info.version,
            cgroups: info.cgroups,
            domain: info.domain.map(DomainView::from),
            attributes: info
                .attributes
                .into_iter()
                .map(|attribute| (attribute.name, attribute.value))
                .collect(),
            n_tasks: agent.n_tasks,
        }
    }
}

impl AgentView {
    fn attributes_text(&self) -> String {
        let pairs = self.attributes.iter();
        let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(",")
    }
}

impl Row for AgentView {
    const COLUMNS: &'static [Column] = &[
        left("AGENT"),
        left("HOST"),
        left("STATE"),
        left("SINCE").if_any(),
        left("WAITS FOR").if_any(),
        right("TASKS"),
        right("CPUS"),
        right("MEM"),
        right("NET MBPS").if_any(),
        left("DOMAIN").if_any(),
        left("ATTRIBUTES").if_any(),
        left("CGROUPS"),
        left("ADDRESS"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.agent_id.clone(),
            self.hostname.clone(),
            self.shown_state.clone(),
            self.shown_since.clone(),
            self.progress.clone(),
            self.n_tasks.to_string(),
            self.cpus.clone(),
            self.mem.clone(),
            self.net_mbps.clone(),
            self.domain
                .as_ref()
                .map(DomainView::to_string)
                .unwrap_or_default(),
            self.attributes_text(),
            self.cgroups.clone(),
            self.address.clone(),
        ]
    }
}

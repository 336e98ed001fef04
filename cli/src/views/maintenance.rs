//! Maintenance windows.

use std::fmt;

use proffer_wire::v1;
use proffer_wire::v1::list_maintenance_response::{Agent, Window};
use serde::Serialize;

use super::text::{moment, span_us, until};
use super::upkeep::DrainView;
use crate::output::{Column, Row, left, right};

/// When an agent is not to be counted on.
#[derive(Debug, Serialize)]
pub(super) struct UnavailabilityView {
    start_ms: u64,
    duration_ms: u64,
}

impl From<v1::Unavailability> for UnavailabilityView {
    fn from(time: v1::Unavailability) -> Self {
        Self {
            start_ms: time.start_ms,
            duration_ms: time.duration_ms,
        }
    }
}

impl UnavailabilityView {
    fn takes(&self) -> String {
        span_us(self.duration_ms.saturating_mul(1000))
    }

    fn end_ms(&self) -> u64 {
        self.start_ms.saturating_add(self.duration_ms)
    }
}

impl fmt::Display for UnavailabilityView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, for {}", until(self.start_ms), self.takes())
    }
}

/// One window.
#[derive(Debug, Serialize)]
pub(crate) struct MaintenanceView {
    name: String,
    #[serde(flatten)]
    time: UnavailabilityView,
    max_grace_ms: Option<u64>,
    agents: Vec<MaintainedAgent>,
}

/// One agent of a window.
#[derive(Debug, Serialize)]
struct MaintainedAgent {
    agent_id: String,
    hostname: String,
    begun: bool,
    drain: Option<DrainView>,
    n_tasks: u32,
}

impl From<Agent> for MaintainedAgent {
    fn from(agent: Agent) -> Self {
        Self {
            drain: agent.drain.as_ref().map(DrainView::from),
            agent_id: agent.agent_id,
            hostname: agent.hostname,
            begun: agent.begun,
            n_tasks: agent.n_tasks,
        }
    }
}

impl From<Window> for MaintenanceView {
    fn from(window: Window) -> Self {
        Self {
            name: window.name,
            time: UnavailabilityView::from(window.unavailability.unwrap_or_default()),
            max_grace_ms: window.max_grace_ms,
            agents: window.agents.into_iter().map(MaintainedAgent::from).collect(),
        }
    }
}

impl MaintenanceView {
    /// What happens to it next.
    fn next(&self) -> String {
        match self.agents.iter().any(|agent| agent.begun) {
            true => format!("ends {}", until(self.time.end_ms())),
            false => format!("begins {}", until(self.time.start_ms)),
        }
    }
}

impl Row for MaintenanceView {
    const COLUMNS: &'static [Column] = &[
        left("WINDOW"),
        left("START"),
        right("TAKES"),
        left("NEXT"),
        right("AGENTS"),
        right("TASKS"),
        left("HOSTS"),
    ];

    fn cells(&self) -> Vec<String> {
        let n_tasks: u64 = self.agents.iter().map(|agent| u64::from(agent.n_tasks)).sum();
        let hosts: Vec<_> = self.agents.iter().map(|agent| agent.hostname.as_str()).collect();
        vec![
            self.name.clone(),
            moment(self.time.start_ms),
            self.time.takes(),
            self.next(),
            self.agents.len().to_string(),
            n_tasks.to_string(),
            hosts.join(","),
        ]
    }
}

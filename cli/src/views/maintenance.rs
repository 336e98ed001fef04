//! Maintenance windows.

use std::fmt;

use proffer_wire::v1;
use proffer_wire::v1::list_maintenance_response::{Agent, Framework, Window};
use serde::Serialize;

use super::text::{State, ago, moment, span_us, state_name, until};
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
    frameworks: Vec<AskedView>,
}

/// One framework with tasks on an agent of a window.
#[derive(Debug, Serialize)]
struct AskedView {
    framework_id: String,
    name: String,
    n_tasks: u32,
    /// Absent while it has said nothing.
    accepted: Option<bool>,
    answered_ms: Option<u64>,
}

impl From<Framework> for AskedView {
    fn from(framework: Framework) -> Self {
        Self {
            framework_id: framework.framework_id,
            name: framework.name,
            n_tasks: framework.n_tasks,
            accepted: framework.answer.map(|answer| answer.accepted),
            answered_ms: framework.answer.map(|answer| answer.at_ms),
        }
    }
}

impl From<Agent> for MaintainedAgent {
    fn from(agent: Agent) -> Self {
        Self {
            drain: agent.drain.as_ref().map(DrainView::from),
            agent_id: agent.agent_id,
            hostname: agent.hostname,
            begun: agent.begun,
            n_tasks: agent.n_tasks,
            frameworks: agent.frameworks.into_iter().map(AskedView::from).collect(),
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

/// One framework on one agent of a window; or the agent alone, where no framework has anything to do with it.
#[derive(Debug, Serialize)]
pub(crate) struct MaintainedView {
    window: String,
    agent_id: String,
    hostname: String,
    begun: bool,
    drain: Option<State>,
    framework: Option<AskedView>,
}

impl MaintainedView {
    /// The rows of one window.
    pub(crate) fn of(window: Window) -> Vec<Self> {
        let name = window.name;
        let agents = window.agents.into_iter();
        agents.flat_map(|agent| Self::of_agent(&name, agent)).collect()
    }

    fn of_agent(window: &str, agent: Agent) -> Vec<Self> {
        let row = |framework: Option<AskedView>| Self {
            window: window.to_owned(),
            agent_id: agent.agent_id.clone(),
            hostname: agent.hostname.clone(),
            begun: agent.begun,
            drain: agent
                .drain
                .as_ref()
                .map(|drain| state_name(drain.phase().as_str_name(), "DRAIN_")),
            framework,
        };
        if agent.frameworks.is_empty() {
            return vec![row(None)];
        }
        let frameworks = agent.frameworks.iter().cloned();
        frameworks.map(|framework| row(Some(framework.into()))).collect()
    }
}

impl Row for MaintainedView {
    const COLUMNS: &'static [Column] = &[
        left("WINDOW"),
        left("AGENT"),
        left("HOST"),
        left("STATE"),
        left("FRAMEWORK").if_any(),
        right("TASKS").if_any(),
        left("ANSWER").if_any(),
        left("SAID").if_any(),
    ];

    fn cells(&self) -> Vec<String> {
        let state = match (self.begun, &self.drain) {
            (false, _) => "TO COME".to_owned(),
            (true, Some(drain)) => drain.to_string(),
            (true, None) => "BEGUN".to_owned(),
        };
        let asked = self.framework.as_ref();
        let answer = asked.map(|asked| match asked.accepted {
            Some(true) => "ACCEPTED",
            Some(false) => "DECLINED",
            None => "-",
        });
        vec![
            self.window.clone(),
            self.agent_id.clone(),
            self.hostname.clone(),
            state,
            asked.map(|asked| asked.name.clone()).unwrap_or_default(),
            asked.map(|asked| asked.n_tasks.to_string()).unwrap_or_default(),
            answer.unwrap_or_default().to_owned(),
            asked
                .and_then(|asked| asked.answered_ms)
                .map(ago)
                .unwrap_or_default(),
        ]
    }
}

//! Maintenance windows as operators see them, and what they ask of them.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_master_core::{AgentView, AskedView, OperatorRequest, Snapshot, Window, WindowStart};
use proffer_types::{FrameworkId, Timestamp};
use proffer_wire::v1::list_maintenance_response as message;
use proffer_wire::v1::schedule_maintenance_request::Start;
use proffer_wire::{ConvertError, v1};

use super::agents;

/// The windows there are, by start and name.
pub(super) fn list(snapshot: &Snapshot) -> Vec<message::Window> {
    let n_running = agents::n_running(snapshot);
    let names = snapshot.frameworks.iter();
    let names: BTreeMap<_, _> = names
        .map(|view| (&view.framework_id, view.info.name.as_str()))
        .collect();
    let mut windows: BTreeMap<(Timestamp, &str), message::Window> = BTreeMap::new();
    let parts = snapshot.agents.iter().flat_map(|view| {
        let windows = view.upkeep.windows.iter();
        windows.map(move |window| (view, window))
    });
    for (view, window) in parts {
        let listed = windows
            .entry((window.time.start, &window.name))
            .or_insert_with(|| message::Window {
                name: window.name.clone(),
                unavailability: Some(window.time.into()),
                max_grace_ms: window.max_grace.map(agents::millis),
                agents: Vec::new(),
            });
        let frameworks = match view.upkeep.windows.first() == Some(window) {
            true => view.asked.iter().map(|asked| framework(asked, &names)).collect(),
            false => Vec::new(),
        };
        let agent = agent(view, window, &n_running);
        listed.agents.push(message::Agent { frameworks, ..agent });
    }
    windows.into_values().collect()
}

fn agent(view: &AgentView, window: &Window, n_running: &BTreeMap<u64, u32>) -> message::Agent {
    message::Agent {
        agent_id: view.agent_id.to_string(),
        hostname: view.info.hostname.clone(),
        begun: window.begun,
        drain: agents::drain_of(view, n_running),
        n_tasks: view.n_tasks,
        frameworks: Vec::new(),
    }
}

fn framework(asked: &AskedView, names: &BTreeMap<&FrameworkId, &str>) -> message::Framework {
    message::Framework {
        framework_id: asked.framework_id.to_string(),
        name: names
            .get(&asked.framework_id)
            .map(ToString::to_string)
            .unwrap_or_default(),
        n_tasks: asked.n_tasks,
        answer: asked.answer.map(|answer| message::Answer {
            accepted: answer.accepted,
            at_ms: answer.at.0,
        }),
    }
}

pub(super) fn schedule(request: v1::ScheduleMaintenanceRequest) -> Result<OperatorRequest, ConvertError> {
    let start = match request.start {
        Some(Start::StartMs(at)) => WindowStart::At(Timestamp(at)),
        Some(Start::StartAfterMs(after)) => WindowStart::After(Duration::from_millis(after)),
        None => return Err(ConvertError::new("start", "is missing")),
    };
    Ok(OperatorRequest::ScheduleMaintenance {
        name: request.name,
        agent_ids: agents::ids(&request.agent_ids)?,
        start,
        duration: Duration::from_millis(request.duration_ms),
        max_grace: request.max_grace_ms.map(Duration::from_millis),
    })
}

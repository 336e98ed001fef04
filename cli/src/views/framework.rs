//! Frameworks.

use std::collections::BTreeMap;

use proffer_wire::v1::list_frameworks_response::Framework;
use serde::Serialize;
use serde_json::Value;

use super::text::{State, ago, bundle, bundle_json, percent, state_name, until};
use crate::output::{Column, Row, left, right};

/// One framework.
#[derive(Debug, Serialize)]
pub(crate) struct FrameworkView {
    framework_id: String,
    name: String,
    state: State,
    roles: Vec<String>,
    services: BTreeMap<String, String>,
    n_tasks: u32,
    dominant_share_permille: u32,
    failover_deadline_ms: u64,
    orphaned_since_ms: u64,
    used: BTreeMap<String, Value>,
    offered: BTreeMap<String, Value>,
    #[serde(skip)]
    used_text: String,
}

impl From<Framework> for FrameworkView {
    fn from(framework: Framework) -> Self {
        let state = state_name(framework.state().as_str_name(), "FRAMEWORK_");
        let info = framework.info.unwrap_or_default();
        Self {
            state,
            used_text: bundle(framework.used.as_ref()),
            used: bundle_json(framework.used.as_ref()),
            offered: bundle_json(framework.offered.as_ref()),
            framework_id: framework.framework_id,
            name: info.name,
            roles: info.roles,
            services: info
                .services
                .into_iter()
                .map(|service| (service.name, service.address))
                .collect(),
            n_tasks: framework.n_tasks,
            dominant_share_permille: framework.dominant_share_permille,
            failover_deadline_ms: framework.failover_deadline_ms,
            orphaned_since_ms: framework.orphaned_since_ms,
        }
    }
}

impl Row for FrameworkView {
    const COLUMNS: &'static [Column] = &[
        left("FRAMEWORK"),
        left("NAME"),
        left("STATE"),
        left("ROLES"),
        right("TASKS"),
        right("SHARE"),
        left("USED"),
        left("DEADLINE"),
        left("ORPHANED"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.framework_id.clone(),
            self.name.clone(),
            self.state.to_string(),
            self.roles.join(","),
            self.n_tasks.to_string(),
            percent(self.dominant_share_permille),
            self.used_text.clone(),
            until(self.failover_deadline_ms),
            ago(self.orphaned_since_ms),
        ]
    }
}

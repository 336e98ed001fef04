//! What a service ran, and what became of it.

use proffer_wire::v1;
use serde::Serialize;

use crate::output::{Column, Row, left, right};
use crate::views::text::{State, ago, bundle, state_name};

#[derive(Debug, Serialize)]
pub(crate) struct VersionView {
    version: u64,
    /// Whether the service is at it.
    current: bool,
    outcome: State,
    /// Why it failed.
    message: String,
    created_ms: u64,
    role: String,
    resources: String,
    image: String,
    command: Vec<String>,
}

impl VersionView {
    /// Those of a service, the latest first.
    pub(crate) fn of(service: &v1::ServiceView) -> Vec<Self> {
        let of = |version: &v1::ServiceVersion| {
            let task = version.task.clone().unwrap_or_default();
            let container = task.container.unwrap_or_default();
            Self {
                version: version.number,
                current: version.number == service.version,
                outcome: state_name(version.outcome().as_str_name(), "VERSION_"),
                message: version.message.clone(),
                created_ms: version.created_ms,
                role: version.role.clone(),
                resources: bundle(task.resources.as_ref()),
                image: container.image.map(|image| image.reference).unwrap_or_default(),
                command: container.command,
            }
        };
        service.versions.iter().rev().map(of).collect()
    }
}

impl Row for VersionView {
    const COLUMNS: &'static [Column] = &[
        right("VERSION"),
        left("OUTCOME"),
        left("CREATED"),
        left("EACH"),
        left("IMAGE"),
        left("COMMAND"),
        left("REASON"),
    ];

    fn cells(&self) -> Vec<String> {
        let mark = if self.current { "*" } else { "" };
        vec![
            format!("{mark}{}", self.version),
            self.outcome.to_string(),
            ago(self.created_ms),
            self.resources.clone(),
            self.image.clone(),
            self.command.join(" "),
            self.message.clone(),
        ]
    }
}

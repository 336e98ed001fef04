//! Jobs that are dispatched: what they take, and their runs; and what a run was dispatched with.

use std::collections::BTreeMap;

use proffer_wire::v1;
use serde::Serialize;

use super::super::text::{State, ago, state_name, took};
use crate::output::{Column, Row, left, printable, render, right};

/// The most of a value that is shown on a line, in characters.
const SHOWN: usize = 40;

/// What a job takes, and the runs of it that are kept.
#[derive(Debug, Serialize)]
pub(crate) struct TemplateView {
    parameters: BTreeMap<String, ParameterView>,
    payload: State,
    /// 0 means the default.
    history: u32,
    runs: Vec<RunView>,
}

#[derive(Debug, Serialize)]
struct ParameterView {
    required: bool,
    default: String,
    description: String,
}

/// One run.
#[derive(Debug, Serialize)]
pub(crate) struct RunView {
    run: String,
    state: State,
    submitted_ms: u64,
    ended_ms: u64,
}

/// What a run was dispatched with.
#[derive(Debug, Serialize)]
pub(crate) struct DispatchView {
    token: String,
    values: BTreeMap<String, String>,
    /// Absent where it was given none.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_bytes: Option<usize>,
}

impl TemplateView {
    pub(super) fn new(template: v1::JobTemplate, runs: Vec<v1::JobRun>) -> Self {
        let payload = match template.payload() {
            v1::JobPayload::Unspecified | v1::JobPayload::None => v1::JobPayload::None,
            said @ (v1::JobPayload::Optional | v1::JobPayload::Required) => said,
        };
        let parameters = template.parameters.into_iter().map(|(name, parameter)| {
            let parameter = ParameterView {
                required: parameter.required,
                default: parameter.default,
                description: parameter.description,
            };
            (name, parameter)
        });
        Self {
            parameters: parameters.collect(),
            payload: state_name(payload.as_str_name(), "JOB_PAYLOAD_"),
            history: template.history,
            runs: runs.into_iter().map(RunView::from).collect(),
        }
    }

    /// A line for each parameter, and one for each run.
    pub(super) fn text(&self, width: usize) -> String {
        const COLUMNS: &[Column] = &[left("PARAMETER"), left("DEFAULT"), left("DESCRIPTION")];
        let mut rows: Vec<_> = self
            .parameters
            .iter()
            .map(|(name, parameter)| {
                let default = match parameter.required {
                    true => "(required)".to_owned(),
                    false => shown(&parameter.default),
                };
                vec![name.clone(), default, printable(&parameter.description)]
            })
            .collect();
        let payload = self.payload.to_string();
        if payload != "NONE" {
            rows.push(vec![
                "(payload)".to_owned(),
                format!("({})", payload.to_lowercase()),
                String::new(),
            ]);
        }
        let mut text = String::new();
        if !rows.is_empty() {
            text += &render(COLUMNS, &rows, width);
        }
        if !self.runs.is_empty() {
            let rows: Vec<_> = self.runs.iter().map(Row::cells).collect();
            text += "\n";
            text += &render(RunView::COLUMNS, &rows, width);
        }
        text
    }
}

/// The beginning of a value, on one line.
fn shown(value: &str) -> String {
    let mut text: String = value.chars().take(SHOWN).collect();
    if text.len() < value.len() {
        text += "..";
    }
    printable(&text)
}

impl From<v1::JobRun> for RunView {
    fn from(run: v1::JobRun) -> Self {
        Self {
            state: state_name(run.state().as_str_name(), "JOB_"),
            run: run.name,
            submitted_ms: run.submitted_ms,
            ended_ms: run.ended_ms,
        }
    }
}

impl Row for RunView {
    const COLUMNS: &'static [Column] = &[left("RUN"), left("STATE"), right("TOOK"), right("DISPATCHED")];

    fn cells(&self) -> Vec<String> {
        vec![
            self.run.clone(),
            self.state.to_string(),
            took(self.submitted_ms, self.ended_ms),
            ago(self.submitted_ms),
        ]
    }
}

impl From<v1::JobDispatch> for DispatchView {
    fn from(dispatch: v1::JobDispatch) -> Self {
        Self {
            token: dispatch.token,
            values: dispatch.values,
            payload_bytes: dispatch.payload.map(|payload| payload.len()),
        }
    }
}

impl DispatchView {
    /// `with day=monday, region=eu`; nothing where it was given none.
    pub(super) fn line(&self) -> String {
        let values = self.values.iter();
        let values: Vec<_> = values
            .map(|(name, value)| format!("{name}={}", shown(value)))
            .collect();
        match values.is_empty() {
            true => String::new(),
            false => format!("with {}\n", values.join(", ")),
        }
    }
}

//! Templates: what a job takes that is run with values, as a `parameterized` job of Nomad; and what its runs make of them.

pub(crate) mod check;
mod message;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proffer_types::ContainerSpec;
use proffer_types::container::{Fetch, SANDBOX};
use proffer_wire::text::map_bytes;

use crate::JobSpec;

/// Before the name of a parameter, where its value is to stand.
const BEGIN: &str = "${param.";
/// The payload's file in the sandbox.
const PAYLOAD_FILE: &str = "payload";
/// What a value or the payload costs in a message beside itself, in bytes.
const OVERHEAD_BYTES: usize = 64;

/// What the runs of a job are given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    /// By name.
    pub parameters: BTreeMap<String, Parameter>,
    pub payload: Payload,
    /// How many runs that have ended are kept; 0 means [`check::DEFAULT_RUNS`].
    pub history: u32,
}

/// A value that is given with each dispatch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameter {
    pub required: bool,
    /// What it is where nobody says; of one that is required, empty.
    pub default: String,
    /// For people.
    pub description: String,
}

/// Whether a run is given a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Payload {
    #[default]
    None,
    Optional,
    Required,
}

/// What a run was dispatched with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dispatch {
    /// Tells it from the other runs of the template.
    pub token: String,
    /// Of all parameters.
    pub values: BTreeMap<String, String>,
    pub payload: Option<Vec<u8>>,
}

impl Template {
    /// How many runs that have ended are kept.
    pub(crate) fn history(&self) -> usize {
        match self.history {
            0 => check::DEFAULT_RUNS as usize,
            n => n as usize,
        }
    }
}

impl Dispatch {
    /// Tells a task what its run was dispatched with.
    pub(crate) fn add_to(&self, container: &mut ContainerSpec) {
        let values = self.values.iter();
        container.env.extend(values.map(|(name, value)| {
            let variable = format!("PROFFER_PARAM_{}", name.to_ascii_uppercase());
            (variable, value.clone())
        }));
        if let Some(payload) = &self.payload {
            let path = format!("{SANDBOX}/{PAYLOAD_FILE}");
            container.env.insert("PROFFER_PAYLOAD".to_owned(), path);
            container.fetch.push(Fetch {
                uri: format!("data:;base64,{}", STANDARD.encode(payload)),
                sha256: None,
                destination: Some(PAYLOAD_FILE.to_owned()),
                executable: false,
                extract: false,
                cache: false,
            });
        }
    }

    /// The most that [`Dispatch::add_to`] adds to a launch, in bytes.
    pub(crate) fn launch_bytes(&self) -> usize {
        let payload = self.payload.as_ref();
        let payload = payload.map_or(0, |payload| payload.len().div_ceil(3) * 4 + 2 * OVERHEAD_BYTES);
        map_bytes(&self.values) + self.values.len() * OVERHEAD_BYTES + payload
    }
}

impl JobSpec {
    /// The spec of a run of this template, with values in place of what refers to them.
    pub(crate) fn dispatched(&self, dispatch: Dispatch) -> Self {
        let put_in = |text: &mut String| {
            if text.contains(BEGIN) {
                *text = with_values(text, &dispatch.values);
            }
        };
        let mut run = Self {
            template: None,
            ..self.clone()
        };
        for task in &mut run.tasks {
            let container = &mut task.container;
            container.command.iter_mut().for_each(put_in);
            container.arguments.iter_mut().for_each(put_in);
            container.env.values_mut().for_each(put_in);
        }
        run.dispatch = Some(dispatch);
        run
    }
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    /// The name of a parameter.
    Value(&'a str),
    /// What begins as if it referred to one, and has no end.
    Open,
}

/// Parts a text at what refers to parameters.
fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let Some(inner) = rest.strip_prefix(BEGIN) else {
            let end = rest.find(BEGIN).unwrap_or(rest.len());
            let (before, after) = rest.split_at(end);
            rest = after;
            return (!before.is_empty()).then_some(Part::Text(before));
        };
        let (name, after) = inner
            .split_once('}')
            .map_or((None, ""), |(name, after)| (Some(name), after));
        rest = after;
        Some(name.map_or(Part::Open, Part::Value))
    })
}

/// A text that was checked, with values in it. They are not looked into again.
fn with_values(text: &str, values: &BTreeMap<String, String>) -> String {
    let part = |part| match part {
        Part::Text(text) => text,
        Part::Value(name) => values.get(name).map_or("", String::as_str),
        Part::Open => "",
    };
    parts(text).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_they_are_referred_to_and_are_not_looked_into() {
        let values =
            [("a", "1"), ("b", "${param.a}")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let with = |text: &str| with_values(text, &values.clone().into());
        assert_eq!(
            with("${param.a}-${param.a}${param.b}$a ${a}"),
            "1-1${param.a}$a ${a}"
        );
        assert_eq!(with("$${param.a}}"), "$1}");
        let parts = parts("x${param.a ${param.b}y").collect::<Vec<_>>();
        assert_eq!(
            parts,
            [Part::Text("x"), Part::Value("a ${param.b"), Part::Text("y")]
        );
    }

    #[test]
    fn what_is_added_to_a_launch_is_no_more_than_is_counted() {
        let dispatch = Dispatch {
            token: "t".to_owned(),
            values: [
                ("a".to_owned(), "x".repeat(4096)),
                ("b".to_owned(), String::new()),
            ]
            .into(),
            payload: Some(vec![7; 1000]),
        };
        let mut container = ContainerSpec::default();
        dispatch.add_to(&mut container);
        let n_bytes = proffer_wire::container::encoded_bytes(&container);
        assert!((1..=dispatch.launch_bytes()).contains(&n_bytes), "{n_bytes}");
    }
}

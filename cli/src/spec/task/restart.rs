//! `restart`, `logs` and `keep`: what the agent does when a task ends, how much of what it wrote is kept, and for how long.

use std::str::FromStr;

use proffer_types::container::{LogSettings, RestartPolicy, Retention};
use proffer_wire::{ConvertError, v1};
use serde::Deserialize;

use crate::spec::either::text_or_fields;
use crate::spec::{Bytes, Span, Whole};

/// Whether the agent itself starts a task again.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Restart(pub(crate) RestartPolicy);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    on: On,
    max: Option<Whole<u32>>,
    backoff: Option<Span>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum On {
    Never,
    #[serde(alias = "on-failure")]
    Failure,
    Always,
}

text_or_fields!(
    Restart,
    Fields,
    "never, failure or always, or fields, such as {on: failure, max: 5, backoff: 1s}"
);

impl TryFrom<Fields> for Restart {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let on = match fields.on {
            On::Never => v1::RestartOn::Never,
            On::Failure => v1::RestartOn::Failure,
            On::Always => v1::RestartOn::Always,
        };
        let message = v1::RestartPolicy {
            on: on.into(),
            max: fields.max.map(|max| max.0),
            backoff_ms: fields.backoff.map(Span::millis),
        };
        let policy = message.try_into().map(Self);
        policy.map_err(|error: ConvertError| error.to_string())
    }
}

impl FromStr for Restart {
    type Err = String;

    /// Reads `never`, `failure`, `always`, and `failure:5` for five times at most; Docker's `on-failure` is `failure`.
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not never, failure[:MAX] or always[:MAX]");
        let (on, max) = match text.split_once(':') {
            Some((on, max)) => (on, Some(max.parse().map_err(|_| refuse())?)),
            None => (text, None),
        };
        let on = match on {
            "never" => On::Never,
            "failure" | "on-failure" => On::Failure,
            "always" => On::Always,
            _ => return Err(refuse()),
        };
        Fields {
            on,
            max,
            backoff: None,
        }
        .try_into()
    }
}

/// How much of a task's output is kept.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(try_from = "LogFields")]
pub(crate) struct Logs(pub(crate) LogSettings);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogFields {
    max: Option<Bytes>,
    files: Option<Whole<u32>>,
}

impl TryFrom<LogFields> for Logs {
    type Error = String;

    fn try_from(fields: LogFields) -> Result<Self, String> {
        let message = v1::LogSettings {
            max_bytes: fields.max.map(|max| max.0),
            files: fields.files.map(|files| files.0),
        };
        let logs = message.try_into().map(Self);
        logs.map_err(|error: ConvertError| error.to_string())
    }
}

/// How long what a task leaves behind is kept.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keep {
    finished: Option<Span>,
    failed: Option<Span>,
}

impl From<Keep> for Retention {
    fn from(keep: Keep) -> Self {
        Self {
            finished: keep.finished.map(|span| span.0),
            failed: keep.failed.map(|span| span.0),
        }
    }
}

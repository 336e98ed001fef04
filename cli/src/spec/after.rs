//! What a task of a job comes after: `after: [build]`, or `after: [{ task: build, on: failure }, { task: split, each: true }]`.

use std::str::FromStr;

use proffer_wire::v1;
use serde::Deserialize;

use super::either::text_or_fields;

/// One that it comes after.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AfterFile(v1::JobCondition);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    task: String,
    #[serde(default)]
    on: On,
    #[serde(default)]
    each: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum On {
    #[default]
    Success,
    Failure,
    Any,
}

text_or_fields!(
    AfterFile,
    Fields,
    "the name of a task, or its fields: task, on and each"
);

impl FromStr for AfterFile {
    type Err = String;

    fn from_str(task: &str) -> Result<Self, String> {
        Self::try_from(Fields {
            task: task.to_owned(),
            on: On::default(),
            each: false,
        })
    }
}

impl TryFrom<Fields> for AfterFile {
    type Error = String;

    fn try_from(Fields { task, on, each }: Fields) -> Result<Self, String> {
        let on = match on {
            On::Success => v1::JobConditionOn::JobOnSuccess,
            On::Failure => v1::JobConditionOn::JobOnFailure,
            On::Any => v1::JobConditionOn::JobOnAny,
        };
        Ok(Self(v1::JobCondition {
            task,
            on: on.into(),
            each,
        }))
    }
}

impl From<AfterFile> for v1::JobCondition {
    fn from(file: AfterFile) -> Self {
        file.0
    }
}

//! What a job comes after: `after_jobs: [build]`; and what a task of a job does: `after: [build]`, or `after: [{ task: build, on: failure }, { task: split, each: true }]`.

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
        Ok(Self(v1::JobCondition {
            task,
            on: v1::JobConditionOn::from(on).into(),
            each,
        }))
    }
}

impl From<AfterFile> for v1::JobCondition {
    fn from(file: AfterFile) -> Self {
        file.0
    }
}

impl From<On> for v1::JobConditionOn {
    fn from(on: On) -> Self {
        match on {
            On::Success => Self::JobOnSuccess,
            On::Failure => Self::JobOnFailure,
            On::Any => Self::JobOnAny,
        }
    }
}

/// A job that another one comes after; in short `build`, or `build:any`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AfterJobFile(v1::JobAfter);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobFields {
    job: String,
    #[serde(default)]
    on: On,
}

text_or_fields!(
    AfterJobFile,
    JobFields,
    "the name of a job, or its fields: job and on"
);

impl FromStr for AfterJobFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (job, on) = match text.split_once(':') {
            None => (text, On::default()),
            Some((job, "success")) => (job, On::Success),
            Some((job, "failure")) => (job, On::Failure),
            Some((job, "any")) => (job, On::Any),
            Some((_, on)) => {
                return Err(format!(
                    "`{on}` is none of success, failure and any, as in `build:any`"
                ));
            }
        };
        let job = job.to_owned();
        Self::try_from(JobFields { job, on })
    }
}

impl TryFrom<JobFields> for AfterJobFile {
    type Error = String;

    fn try_from(JobFields { job, on }: JobFields) -> Result<Self, String> {
        if job.is_empty() {
            return Err("the name of a job is missing".to_owned());
        }
        let on = v1::JobConditionOn::from(on).into();
        Ok(Self(v1::JobAfter { job, on }))
    }
}

impl From<AfterJobFile> for v1::JobAfter {
    fn from(file: AfterJobFile) -> Self {
        file.0
    }
}

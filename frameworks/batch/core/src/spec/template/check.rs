//! What a template may say, and what its runs may be given.

use std::collections::BTreeMap;

use proffer_types::ContainerSpec;
use proffer_wire::text::map_bytes;
use proffer_wire::v1;
use prost::Message as _;
use thiserror::Error;

use super::{Dispatch, Part, Payload, Template, parts};
use crate::validate::{MAX_JOB_BYTES, MAX_NAME_BYTES, quoted};
use crate::{JobSpec, TaskSpec};

/// The most parameters of one job: each is a variable of every task.
pub const MAX_PARAMETERS: usize = 64;
/// The largest value, default or description of a parameter, in bytes.
pub const MAX_VALUE_BYTES: usize = 4 << 10;
/// All names and values of a run together, in bytes, and all that a template says of its parameters; each launch sends the
/// former.
pub const MAX_PARAMETERS_BYTES: usize = 64 << 10;
/// The largest payload, in bytes, as of Nomad; each launch sends it.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 10;
/// Runs of one template that have ended and are kept, where it does not say.
pub const DEFAULT_RUNS: u32 = 100;
/// The most that it may say.
pub const MAX_RUNS: u32 = 1000;

/// Why a job cannot be a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    #[error("{0} parameters, at most {MAX_PARAMETERS} are allowed")]
    TooMany(usize),
    #[error(
        "parameter name `{0}` must be 1 to {MAX_NAME_BYTES} letters in lower case, digits or `_`, and begin with a letter"
    )]
    Name(String),
    #[error("parameter `{name}` has {n_bytes} bytes of {what}, at most {MAX_VALUE_BYTES} are allowed")]
    Large {
        name: String,
        what: &'static str,
        n_bytes: usize,
    },
    #[error("{0} bytes of parameters, at most {MAX_PARAMETERS_BYTES} are allowed")]
    AllLarge(usize),
    #[error("the default of parameter `{0}` holds a NUL byte")]
    Nul(String),
    #[error("parameter `{0}` is required, and so its default would mean nothing")]
    RequiredDefault(String),
    #[error("a history of {0} runs is longer than {MAX_RUNS}")]
    History(u32),
    #[error("the {place} of task `{task}` has `${{param.{name}}}`, which is not a parameter of the job")]
    Unknown {
        task: String,
        place: Place,
        name: String,
    },
    #[error("the {place} of task `{task}` has `${{param.` without a `}}` behind it")]
    Open { task: String, place: Place },
    #[error("task `{task}` cannot be given what the job is dispatched with: {problem}")]
    NoPlace { task: String, problem: String },
    #[error("job `{0}` has parameters and runs when it is dispatched; it cannot recur")]
    Recurs(String),
    #[error("job `{0}` has parameters and runs when it is dispatched; it cannot be held")]
    Held(String),
    #[error("job `{0}` has parameters and runs when it is dispatched; it cannot come after other jobs")]
    ComesAfter(String),
    #[error("what a job is dispatched with is not submitted: dispatch `{0}`")]
    Dispatched(String),
}

/// Where a text of a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Command(usize),
    Argument(usize),
    /// The name of the variable.
    Env(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Command(_) => f.write_str("command"),
            Self::Argument(_) => f.write_str("arguments"),
            Self::Env(name) => write!(f, "variable `{}`", quoted(name)),
        }
    }
}

/// Why a template cannot be run with what was given. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ValueError {
    #[error("job `{job}` has no parameter `{name}`{known}", known = other(.known))]
    Unknown {
        job: String,
        name: String,
        known: Vec<String>,
    },
    #[error("job `{job}` needs a value of `{name}`")]
    Missing { job: String, name: String },
    #[error("the value of `{name}` has {n_bytes} bytes, at most {MAX_VALUE_BYTES} are allowed")]
    Large { name: String, n_bytes: usize },
    #[error("{0} bytes of values, at most {MAX_PARAMETERS_BYTES} are allowed with their names")]
    AllLarge(usize),
    #[error("the value of `{0}` holds a NUL byte")]
    Nul(String),
    #[error("job `{0}` takes no payload")]
    NoPayload(String),
    #[error("job `{0}` needs a payload")]
    MissingPayload(String),
    #[error("the payload has {0} bytes, at most {MAX_PAYLOAD_BYTES} are allowed")]
    LargePayload(usize),
    #[error(
        "token `{0}` must be at most {MAX_NAME_BYTES} letters, digits, `.`, `_` or `-`, and begin with a letter or digit"
    )]
    Token(String),
    #[error("with these values, task `{task}` is not one that can run: {problem}")]
    Task { task: String, problem: String },
    #[error("with these values, the job would be larger than {MAX_JOB_BYTES} bytes")]
    LargeRun,
}

fn other(names: &[String]) -> String {
    match names.is_empty() {
        true => ", nor any other".to_owned(),
        false => format!("; it has {}", names.join(", ")),
    }
}

/// Checks what a job says as a template, if it is one.
pub(crate) fn template(spec: &JobSpec) -> Result<(), TemplateError> {
    let Some(template) = &spec.template else {
        return Ok(());
    };
    let name = || spec.name.clone();
    if spec.schedule.is_some() {
        return Err(TemplateError::Recurs(name()));
    }
    if spec.hold {
        return Err(TemplateError::Held(name()));
    }
    if !spec.after_jobs.is_empty() {
        return Err(TemplateError::ComesAfter(name()));
    }
    if template.history > MAX_RUNS {
        return Err(TemplateError::History(template.history));
    }
    parameters(template)?;
    // Whatever its values are: a variable too many, or a file of that name.
    let given = Dispatch {
        token: String::new(),
        values: template
            .parameters
            .keys()
            .map(|name| (name.clone(), String::new()))
            .collect(),
        payload: (template.payload != Payload::None).then(Vec::new),
    };
    for task in &spec.tasks {
        references(task, template)?;
        with(&task.container, &given).map_err(|problem| TemplateError::NoPlace {
            task: task.name.clone(),
            problem,
        })?;
    }
    Ok(())
}

fn parameters(template: &Template) -> Result<(), TemplateError> {
    let all = &template.parameters;
    if all.len() > MAX_PARAMETERS {
        return Err(TemplateError::TooMany(all.len()));
    }
    let mut n_bytes = 0;
    for (name, parameter) in all {
        if !is_name(name) {
            return Err(TemplateError::Name(quoted(name)));
        }
        for (what, text) in [
            ("default", &parameter.default),
            ("description", &parameter.description),
        ] {
            if text.len() > MAX_VALUE_BYTES {
                return Err(TemplateError::Large {
                    name: name.clone(),
                    what,
                    n_bytes: text.len(),
                });
            }
            n_bytes += text.len();
        }
        n_bytes += name.len();
        if parameter.default.contains('\0') {
            return Err(TemplateError::Nul(name.clone()));
        }
        if parameter.required && !parameter.default.is_empty() {
            return Err(TemplateError::RequiredDefault(name.clone()));
        }
    }
    match n_bytes > MAX_PARAMETERS_BYTES {
        true => Err(TemplateError::AllLarge(n_bytes)),
        false => Ok(()),
    }
}

/// Letters in lower case: in upper case two names would be one variable.
fn is_name(name: &str) -> bool {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.len() <= MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(is_good)
}

/// Checks that a task refers to parameters there are.
fn references(task: &TaskSpec, template: &Template) -> Result<(), TemplateError> {
    let ContainerSpec {
        command,
        arguments,
        env,
        ..
    } = &task.container;
    let command = command
        .iter()
        .enumerate()
        .map(|(n, text)| (Place::Command(n), text));
    let arguments = arguments
        .iter()
        .enumerate()
        .map(|(n, text)| (Place::Argument(n), text));
    let env = env.iter().map(|(name, text)| (Place::Env(name.clone()), text));
    for (place, text) in command.chain(arguments).chain(env) {
        for part in parts(text) {
            let task = || task.name.clone();
            match part {
                Part::Value(name) if !template.parameters.contains_key(name) => {
                    return Err(TemplateError::Unknown {
                        task: task(),
                        place,
                        name: quoted(name),
                    });
                }
                Part::Open => return Err(TemplateError::Open { task: task(), place }),
                Part::Text(_) | Part::Value(_) => {}
            }
        }
    }
    Ok(())
}

/// A container as it is launched, checked; or what is wrong with it.
fn with(container: &ContainerSpec, given: &Dispatch) -> Result<(), String> {
    let mut launched = container.clone();
    given.add_to(&mut launched);
    let checked = ContainerSpec::try_from(v1::ContainerSpec::from(&launched));
    checked.map(drop).map_err(|error| error.to_string())
}

/// The values of all parameters of a template, of which some were said.
pub(crate) fn values(
    job: &str,
    template: &Template,
    said: &BTreeMap<String, String>,
    payload: Option<&[u8]>,
) -> Result<BTreeMap<String, String>, ValueError> {
    let job = || job.to_owned();
    if let Some(name) = said.keys().find(|name| !template.parameters.contains_key(*name)) {
        return Err(ValueError::Unknown {
            job: job(),
            name: quoted(name),
            known: template.parameters.keys().cloned().collect(),
        });
    }
    let mut values = BTreeMap::new();
    for (name, parameter) in &template.parameters {
        let value = match said.get(name) {
            Some(value) => value,
            None if parameter.required => {
                return Err(ValueError::Missing {
                    job: job(),
                    name: name.clone(),
                });
            }
            None => &parameter.default,
        };
        if value.len() > MAX_VALUE_BYTES {
            return Err(ValueError::Large {
                name: name.clone(),
                n_bytes: value.len(),
            });
        }
        if value.contains('\0') {
            return Err(ValueError::Nul(name.clone()));
        }
        values.insert(name.clone(), value.clone());
    }
    match map_bytes(&values) {
        n_bytes if n_bytes > MAX_PARAMETERS_BYTES => return Err(ValueError::AllLarge(n_bytes)),
        _ => {}
    }
    match (template.payload, payload) {
        (Payload::None, Some(_)) => Err(ValueError::NoPayload(job())),
        (Payload::Required, None) => Err(ValueError::MissingPayload(job())),
        (_, Some(payload)) if payload.len() > MAX_PAYLOAD_BYTES => {
            Err(ValueError::LargePayload(payload.len()))
        }
        (_, _) => Ok(values),
    }
}

/// Refuses a run that would be more than the store takes, before it is made: a short text may refer to a long value often.
pub(crate) fn fits(spec: &JobSpec, dispatch: &Dispatch) -> Result<(), ValueError> {
    let container = |task: &TaskSpec| {
        let ContainerSpec {
            command,
            arguments,
            env,
            ..
        } = &task.container;
        let texts = command.iter().chain(arguments).chain(env.values());
        texts.map(|text| len_with(text, &dispatch.values)).sum::<usize>()
    };
    let texts = spec.tasks.iter().map(container).sum::<usize>();
    let n_bytes = texts + v1::JobSpec::from(spec).encoded_len() + dispatch.launch_bytes();
    match n_bytes > MAX_JOB_BYTES {
        true => Err(ValueError::LargeRun),
        false => Ok(()),
    }
}

fn len_with(text: &str, values: &BTreeMap<String, String>) -> usize {
    let part = |part| match part {
        Part::Text(text) => text.len(),
        Part::Value(name) => values.get(name).map_or(0, String::len),
        Part::Open => 0,
    };
    parts(text).map(part).sum()
}

/// Checks the containers of a run, as they are launched.
pub(crate) fn run(spec: &JobSpec) -> Result<(), ValueError> {
    let Some(given) = &spec.dispatch else {
        return Ok(());
    };
    for task in &spec.tasks {
        with(&task.container, given).map_err(|problem| ValueError::Task {
            task: task.name.clone(),
            problem,
        })?;
    }
    Ok(())
}

//! Tasks as frameworks describe them: containers, kill policies, limits.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_types::{ContainerSpec, KillPolicy, Limit, Limits, ResourceName, Resources, ShapeId, TaskInfo};
use prost::Message as _;

use crate::error::{At as _, ConvertError, quoted};
use crate::resources::scalar;
use crate::text::{at_most, labels, map_bytes, millis, name, parse};
use crate::{resources, v1};

/// The largest encoded description of one task, in bytes. A frame carries several, and tonic refuses
/// frames over 4 MiB.
pub const MAX_TASK_INFO_BYTES: usize = 1 << 20;
/// The most environment variables of one container.
pub const MAX_ENV: usize = 1024;
/// All names and values of an environment together, in bytes; the kernel's own limit for arguments and
/// environment is 2 MiB by default.
pub const MAX_ENV_BYTES: usize = 256 << 10;

impl TryFrom<v1::TaskInfo> for TaskInfo {
    type Error = ConvertError;

    fn try_from(message: v1::TaskInfo) -> Result<Self, ConvertError> {
        let n_bytes = message.encoded_len();
        // Labels first: the narrower limit makes the better error.
        let labels = labels("labels", message.labels)?;
        at_most("task_info", n_bytes, MAX_TASK_INFO_BYTES, "bytes")?;
        let resources = resources::or_nothing("resources", message.resources)?;
        Ok(Self {
            id: parse("task_id", &message.task_id)?,
            name: name("name", message.name)?,
            agent_id: parse("agent_id", &message.agent_id)?,
            limits: limits(message.limits.unwrap_or_default(), &resources).at("limits")?,
            resources,
            container: message
                .container
                .ok_or_else(|| ConvertError::missing("container"))?
                .try_into()
                .at("container")?,
            kill_policy: message.kill_policy.map(KillPolicy::from).unwrap_or_default(),
            labels,
            max_completion_time: match message.max_completion_time_ms {
                0 => None,
                ms => Some(Duration::from_millis(ms)),
            },
            shape: message.shape_id.map(ShapeId),
        })
    }
}

impl From<&TaskInfo> for v1::TaskInfo {
    fn from(info: &TaskInfo) -> Self {
        Self {
            task_id: info.id.to_string(),
            name: info.name.clone(),
            agent_id: info.agent_id.to_string(),
            resources: Some((&info.resources).into()),
            container: Some((&info.container).into()),
            kill_policy: Some(info.kill_policy.into()),
            labels: info.labels.clone(),
            // 0 means no limit, so the shortest limit there can be is 1 ms.
            max_completion_time_ms: info.max_completion_time.map_or(0, |time| millis(time).max(1)),
            limits: (info.limits != Limits::default()).then(|| info.limits.into()),
            shape_id: info.shape.map(|shape| shape.0),
        }
    }
}

/// Converts limits. Fails when one is less than what the task asks for.
pub fn limits(message: v1::TaskLimits, requests: &Resources) -> Result<Limits, ConvertError> {
    Ok(Limits {
        cpus: limit(&ResourceName::Cpus, message.cpus, requests)?,
        mem: limit(&ResourceName::Mem, message.mem, requests)?,
    })
}

/// Infinity is a limit here, though never a quantity.
fn limit(
    name: &ResourceName,
    value: Option<f64>,
    requests: &Resources,
) -> Result<Option<Limit>, ConvertError> {
    let Some(value) = value else {
        return Ok(None);
    };
    if value == f64::INFINITY {
        return Ok(Some(Limit::Infinite));
    }
    let (units, request) = (resources::units(name, value)?, requests.scalar(name));
    if units < request {
        let request = scalar(name, request);
        let problem = format!("{value} is less than the {request} that the task asks for");
        return Err(ConvertError::new(name.as_str(), problem));
    }
    Ok(Some(Limit::At(units)))
}

impl From<Limits> for v1::TaskLimits {
    fn from(limits: Limits) -> Self {
        let value = |name: ResourceName| {
            move |limit| match limit {
                Limit::At(units) => scalar(&name, units),
                Limit::Infinite => f64::INFINITY,
            }
        };
        Self {
            cpus: limits.cpus.map(value(ResourceName::Cpus)),
            mem: limits.mem.map(value(ResourceName::Mem)),
        }
    }
}

impl TryFrom<v1::ContainerSpec> for ContainerSpec {
    type Error = ConvertError;

    fn try_from(message: v1::ContainerSpec) -> Result<Self, ConvertError> {
        check_command(&message.command)?;
        check_env(&message.env)?;
        Ok(Self {
            command: message.command,
            env: message.env,
            working_directory: working_directory(message.working_directory)?,
            pids_limit: match message.pids_limit {
                0 => None,
                limit => Some(limit),
            },
            ..Self::default()
        })
    }
}

fn check_command(command: &[String]) -> Result<(), ConvertError> {
    if command.first().is_none_or(String::is_empty) {
        return Err(ConvertError::new("command", "is empty"));
    }
    for (index, word) in command.iter().enumerate() {
        if word.contains('\0') {
            let problem = format!("{} holds a NUL byte", quoted(word));
            return Err(ConvertError::new(&format!("command[{index}]"), problem));
        }
    }
    Ok(())
}

fn check_env(env: &BTreeMap<String, String>) -> Result<(), ConvertError> {
    at_most("env", env.len(), MAX_ENV, "variables")?;
    at_most("env", map_bytes(env), MAX_ENV_BYTES, "bytes of environment")?;
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) {
            let problem = format!("{} is not the name of a variable", quoted(name));
            return Err(ConvertError::new("env", problem));
        }
        if value.contains('\0') {
            let problem = format!("the value of {} holds a NUL byte", quoted(name));
            return Err(ConvertError::new("env", problem));
        }
    }
    Ok(())
}

fn working_directory(path: String) -> Result<Option<String>, ConvertError> {
    let refuse = |why: &str| {
        let problem = format!("{} {why}", quoted(&path));
        Err(ConvertError::new("working_directory", problem))
    };
    if path.is_empty() {
        return Ok(None);
    }
    if !path.starts_with('/') {
        return refuse("is not an absolute path");
    }
    if path.contains('\0') {
        return refuse("holds a NUL byte");
    }
    Ok(Some(path))
}

impl From<&ContainerSpec> for v1::ContainerSpec {
    fn from(spec: &ContainerSpec) -> Self {
        Self {
            command: spec.command.clone(),
            env: spec.env.clone(),
            working_directory: spec.working_directory.clone().unwrap_or_default(),
            pids_limit: spec.pids_limit.unwrap_or(0),
        }
    }
}

impl From<v1::KillPolicy> for KillPolicy {
    fn from(message: v1::KillPolicy) -> Self {
        Self {
            grace_period: message.grace_period_ms.map(Duration::from_millis),
        }
    }
}

impl From<KillPolicy> for v1::KillPolicy {
    fn from(policy: KillPolicy) -> Self {
        Self {
            grace_period_ms: policy.grace_period.map(millis),
        }
    }
}

crate::from_owned!(TaskInfo => v1::TaskInfo, ContainerSpec => v1::ContainerSpec);

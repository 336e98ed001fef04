//! Tasks as frameworks describe them, kill policies, limits.

use std::time::Duration;

use proffer_types::{ContainerSpec, KillPolicy, Limit, Limits, ResourceName, Resources, ShapeId, TaskInfo};
use prost::Message as _;

use crate::container::{check_memory, check_ports};
use crate::error::{At as _, ConvertError};
use crate::executor::{container_or_executor, data};
use crate::resources::scalar;
use crate::text::{at_most, labels, millis, name, parse};
use crate::{resources, v1};

/// The largest encoded description of one task, in bytes. A frame carries several, and tonic refuses
/// frames over 4 MiB.
pub const MAX_TASK_INFO_BYTES: usize = 1 << 20;

impl TryFrom<v1::TaskInfo> for TaskInfo {
    type Error = ConvertError;

    fn try_from(message: v1::TaskInfo) -> Result<Self, ConvertError> {
        let n_bytes = message.encoded_len();
        // Labels first: the narrower limit makes the better error.
        let labels = labels("labels", message.labels)?;
        at_most("task_info", n_bytes, MAX_TASK_INFO_BYTES, "bytes")?;
        let resources = resources::or_nothing("resources", message.resources)?;
        let id = parse("task_id", &message.task_id)?;
        let name = name("name", message.name)?;
        let agent_id = parse("agent_id", &message.agent_id)?;
        let (container, executor) = container_or_executor(message.container, message.executor)?;
        check_memory(&container, &resources).at("container")?;
        check_ports(&container, &resources).at("container")?;
        Ok(Self {
            id,
            name,
            agent_id,
            limits: limits(message.limits.unwrap_or_default(), &resources).at("limits")?,
            resources,
            container,
            kill_policy: message.kill_policy.map(KillPolicy::from).unwrap_or_default(),
            labels,
            max_completion_time: match message.max_completion_time_ms {
                0 => None,
                ms => Some(Duration::from_millis(ms)),
            },
            shape: message.shape_id.map(ShapeId),
            data: data(message.data, executor.is_some())?,
            executor,
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
            container: own_container(info).then(|| (&info.container).into()),
            kill_policy: Some(info.kill_policy.into()),
            labels: info.labels.clone(),
            // 0 means no limit, so the shortest limit there can be is 1 ms.
            max_completion_time_ms: info.max_completion_time.map_or(0, |time| millis(time).max(1)),
            limits: (info.limits != Limits::default()).then(|| info.limits.into()),
            shape_id: info.shape.map(|shape| shape.0),
            executor: info.executor.as_deref().map(Into::into),
            data: info.data.clone(),
        }
    }
}

/// A task with an executor has no container, and one that was given both is refused by whoever reads it.
fn own_container(info: &TaskInfo) -> bool {
    info.executor.is_none() || info.container != ContainerSpec::default()
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

crate::from_owned!(TaskInfo => v1::TaskInfo);

//! The record of what a replica runs.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_session::RulesRecord;
use proffer_types::{ContainerSpec, KillPolicy, Ranges, ResourceName, Resources};

use crate::spec::ServiceTask;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TaskRecord {
    /// By name, in the name's unit.
    #[prost(btree_map = "string, uint64", tag = "1")]
    scalars: BTreeMap<String, u64>,
    #[prost(message, repeated, tag = "2")]
    ranges: Vec<RangeRecord>,
    #[prost(string, repeated, tag = "3")]
    command: Vec<String>,
    #[prost(btree_map = "string, string", tag = "4")]
    env: BTreeMap<String, String>,
    #[prost(string, optional, tag = "5")]
    working_directory: Option<String>,
    #[prost(uint64, optional, tag = "6")]
    pids_limit: Option<u64>,
    #[prost(uint64, optional, tag = "7")]
    kill_grace_ms: Option<u64>,
    #[prost(message, optional, tag = "8")]
    rules: Option<RulesRecord>,
}

/// One range of one resource; a resource of several has as many of these.
#[derive(Clone, PartialEq, prost::Message)]
struct RangeRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    begin: u64,
    #[prost(uint64, tag = "3")]
    end: u64,
}

pub(super) fn write(task: &ServiceTask) -> TaskRecord {
    let scalars = task.resources.scalars();
    let ranges = task.resources.all_ranges();
    let grace = task.kill_policy.grace_period;
    let container = task.container.clone();
    TaskRecord {
        scalars: scalars.map(|(name, units)| (name.to_string(), units)).collect(),
        ranges: ranges
            .flat_map(|(name, ranges)| ranges.iter().map(move |range| (name, range)))
            .map(|(name, (begin, end))| RangeRecord {
                name: name.to_string(),
                begin,
                end,
            })
            .collect(),
        command: container.command,
        env: container.env,
        working_directory: container.working_directory,
        pids_limit: container.pids_limit,
        kill_grace_ms: grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)),
        rules: RulesRecord::of(task.limits, &task.rules),
    }
}

pub(super) fn read(record: &TaskRecord) -> Result<ServiceTask, String> {
    let (limits, rules) = RulesRecord::read(record.rules.as_ref())?;
    Ok(ServiceTask {
        limits,
        rules,
        resources: resources(record)?,
        container: ContainerSpec {
            command: record.command.clone(),
            env: record.env.clone(),
            working_directory: record.working_directory.clone(),
            pids_limit: record.pids_limit,
            ..proffer_types::ContainerSpec::default()
        },
        kill_policy: KillPolicy {
            grace_period: record.kill_grace_ms.map(Duration::from_millis),
        },
    })
}

fn resources(record: &TaskRecord) -> Result<Resources, String> {
    let name = |name: &str| ResourceName::new(name).map_err(|error| error.to_string());
    let mut resources = Resources::new();
    for (scalar, units) in &record.scalars {
        resources = resources.with(name(scalar)?, *units);
    }
    for range in &record.ranges {
        let ranges = Ranges::new([(range.begin, range.end)]);
        resources.add(&Resources::new().with_ranges(name(&range.name)?, ranges));
    }
    Ok(resources)
}

//! Job specs as records.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_session::{RecoverError, RulesRecord};
use proffer_types::{ContainerSpec, KillPolicy, Ranges, ResourceName, Resources, Role, Timestamp};
use prost::Message;

use crate::{JobSpec, TaskSpec};

#[derive(Clone, PartialEq, Message)]
pub(super) struct JobRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    role: String,
    #[prost(sint32, tag = "3")]
    priority: i32,
    #[prost(message, repeated, tag = "4")]
    tasks: Vec<TaskRecord>,
    #[prost(uint64, tag = "5")]
    submitted_ms: u64,
    #[prost(bool, tag = "6")]
    gang: bool,
}

#[derive(Clone, PartialEq, Message)]
struct TaskRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    count: u32,
    #[prost(string, repeated, tag = "3")]
    after: Vec<String>,
    /// In the unit of the name.
    #[prost(btree_map = "string, uint64", tag = "4")]
    scalars: BTreeMap<String, u64>,
    #[prost(btree_map = "string, message", tag = "5")]
    ranges: BTreeMap<String, RangesRecord>,
    #[prost(string, repeated, tag = "6")]
    command: Vec<String>,
    #[prost(btree_map = "string, string", tag = "7")]
    env: BTreeMap<String, String>,
    #[prost(string, optional, tag = "8")]
    working_directory: Option<String>,
    #[prost(uint64, optional, tag = "9")]
    pids_limit: Option<u64>,
    #[prost(uint32, tag = "10")]
    retries: u32,
    #[prost(uint64, optional, tag = "11")]
    timeout_ms: Option<u64>,
    #[prost(uint64, optional, tag = "12")]
    kill_grace_ms: Option<u64>,
    #[prost(message, optional, tag = "13")]
    rules: Option<RulesRecord>,
    #[prost(bool, tag = "14")]
    gang: bool,
}

/// Begins and ends in turn.
#[derive(Clone, PartialEq, Message)]
struct RangesRecord {
    #[prost(uint64, repeated, tag = "1")]
    bounds: Vec<u64>,
}

impl JobRecord {
    pub(super) fn of(spec: &JobSpec, submitted: Timestamp) -> Self {
        Self {
            name: spec.name.clone(),
            role: spec.role.to_string(),
            priority: spec.priority,
            tasks: spec.tasks.iter().map(Into::into).collect(),
            submitted_ms: submitted.0,
            gang: spec.gang,
        }
    }

    pub(super) fn into_spec(self, key: &str) -> Result<(JobSpec, Timestamp), RecoverError> {
        let tasks = self.tasks.into_iter().map(|task| task.into_spec(key));
        let spec = JobSpec {
            name: self.name,
            role: Role::new(&self.role).map_err(|error| RecoverError::new(key, error))?,
            priority: self.priority,
            tasks: tasks.collect::<Result<_, _>>()?,
            gang: self.gang,
        };
        Ok((spec, Timestamp(self.submitted_ms)))
    }
}

impl From<&TaskSpec> for TaskRecord {
    fn from(spec: &TaskSpec) -> Self {
        let scalars = spec.resources.scalars();
        let ranges = spec.resources.all_ranges().map(|(name, ranges)| {
            let bounds = ranges.iter().flat_map(|(begin, end)| [begin, end]).collect();
            (name.to_string(), RangesRecord { bounds })
        });
        Self {
            name: spec.name.clone(),
            count: spec.count,
            after: spec.after.clone(),
            scalars: scalars.map(|(name, units)| (name.to_string(), units)).collect(),
            ranges: ranges.collect(),
            command: spec.container.command.clone(),
            env: spec.container.env.clone(),
            working_directory: spec.container.working_directory.clone(),
            pids_limit: spec.container.pids_limit,
            retries: spec.retries,
            timeout_ms: spec.timeout.map(millis),
            kill_grace_ms: spec.kill_policy.grace_period.map(millis),
            rules: RulesRecord::of(spec.limits, &spec.rules),
            gang: spec.gang,
        }
    }
}

impl TaskRecord {
    fn into_spec(self, key: &str) -> Result<TaskSpec, RecoverError> {
        let mut resources = Resources::new();
        let name = |name: &String| ResourceName::new(name).map_err(|error| RecoverError::new(key, error));
        for (of, units) in &self.scalars {
            resources = resources.with(name(of)?, *units);
        }
        for (of, ranges) in &self.ranges {
            let pairs = ranges.bounds.chunks_exact(2).map(|pair| (pair[0], pair[1]));
            resources = resources.with_ranges(name(of)?, Ranges::new(pairs));
        }
        let rules = RulesRecord::read(self.rules.as_ref());
        let (limits, rules) = rules.map_err(|why| RecoverError::new(key, why))?;
        Ok(TaskSpec {
            name: self.name,
            count: self.count,
            after: self.after,
            resources,
            limits,
            rules,
            gang: self.gang,
            container: ContainerSpec {
                command: self.command,
                env: self.env,
                working_directory: self.working_directory,
                pids_limit: self.pids_limit,
                ..proffer_types::ContainerSpec::default()
            },
            retries: self.retries,
            timeout: self.timeout_ms.map(Duration::from_millis),
            kill_policy: KillPolicy {
                grace_period: self.kill_grace_ms.map(Duration::from_millis),
            },
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

//! The task description that `run`, jobs and services share.

use std::collections::BTreeMap;

use proffer_wire::v1;

use super::rules::rules;
use super::{Bytes, Condition, Cores, Limits, Placement, Span};

/// What a task gets when it does not say: a tenth of a core.
pub(crate) const DEFAULT_CPUS: Cores = Cores(100);
/// What a task gets when it does not say: 128 MiB.
pub(crate) const DEFAULT_MEM: Bytes = Bytes(128 << 20);

/// Declares a struct of a file with the shared fields beside its own, so that unknown fields are still refused in
/// place (serde's `flatten` would lose line and column).
macro_rules! with_task_fields {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        $vis struct $name {
            $($(#[$field_meta])* $field: $type,)*
            command: Vec<String>,
            cpus: Option<$crate::spec::Cores>,
            mem: Option<$crate::spec::Bytes>,
            disk: Option<$crate::spec::Bytes>,
            pids: Option<$crate::spec::Whole<u64>>,
            #[serde(default)]
            env: std::collections::BTreeMap<String, String>,
            working_directory: Option<String>,
            kill_grace: Option<$crate::spec::Span>,
            #[serde(default)]
            limits: $crate::spec::Limits,
            #[serde(default)]
            constraints: Vec<$crate::spec::Condition>,
            max_per_agent: Option<$crate::spec::Whole<std::num::NonZeroU32>>,
            placement: Option<$crate::spec::Placement>,
        }

        impl $name {
            /// The shared part.
            pub(crate) fn task(&self) -> $crate::spec::TaskSpec {
                $crate::spec::TaskSpec {
                    command: self.command.clone(),
                    cpus: self.cpus.unwrap_or($crate::spec::task::DEFAULT_CPUS),
                    mem: self.mem.unwrap_or($crate::spec::task::DEFAULT_MEM),
                    disk: self.disk,
                    pids: self.pids.map(|pids| pids.0),
                    env: self.env.clone(),
                    working_directory: self.working_directory.clone(),
                    kill_grace: self.kill_grace,
                    limits: self.limits,
                    constraints: self.constraints.clone(),
                    max_per_agent: self.max_per_agent.map(|max| max.0.get()),
                    placement: self.placement,
                }
            }
        }
    };
}
pub(super) use with_task_fields;

/// One task: what runs, with how much, where, and how it is stopped.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskSpec {
    pub(crate) command: Vec<String>,
    pub(crate) cpus: Cores,
    pub(crate) mem: Bytes,
    pub(crate) disk: Option<Bytes>,
    pub(crate) pids: Option<u64>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) working_directory: Option<String>,
    pub(crate) kill_grace: Option<Span>,
    pub(crate) limits: Limits,
    /// All must hold.
    pub(crate) constraints: Vec<Condition>,
    pub(crate) max_per_agent: Option<u32>,
    pub(crate) placement: Option<Placement>,
}

impl TaskSpec {
    /// The guaranteed resources, for the wire.
    pub(crate) fn resources(&self) -> v1::Resources {
        #[expect(
            clippy::cast_precision_loss,
            reason = "at most 2^53, which a double holds exactly"
        )]
        let scalar = |name: &str, units: u64, scale: f64| v1::Resource {
            name: name.to_owned(),
            value: Some(v1::resource::Value::Scalar(units as f64 / scale)),
            ..Default::default()
        };
        let disk = self.disk.map(|disk| scalar("disk", disk.0, 1.0));
        let items = [
            scalar("cpus", self.cpus.0, 1000.0),
            scalar("mem", self.mem.0, 1.0),
        ];
        v1::Resources {
            items: items.into_iter().chain(disk).collect(),
        }
    }

    /// The container, for the wire.
    pub(crate) fn container(&self) -> v1::ContainerSpec {
        v1::ContainerSpec {
            command: self.command.clone(),
            env: self.env.clone(),
            working_directory: self.working_directory.clone().unwrap_or_default(),
            pids_limit: self.pids.unwrap_or(0),
            ..v1::ContainerSpec::default()
        }
    }

    /// Where the task may run, for the wire.
    pub(crate) fn rules(&self) -> Option<v1::PlacementRules> {
        rules(&self.constraints, self.max_per_agent, self.placement)
    }

    /// How the task is stopped, for the wire.
    pub(crate) fn kill_policy(&self) -> Option<v1::KillPolicy> {
        self.kill_grace.map(|grace| v1::KillPolicy {
            grace_period_ms: Some(grace.millis()),
        })
    }
}

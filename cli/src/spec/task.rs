//! The task description that `run`, jobs and services share. One file a concern; here what they are made of together.

mod checks;
mod configs;
mod fetch;
mod image;
mod limits;
mod network;
mod restart;
mod security;
mod volumes;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use proffer_types::ContainerSpec;
use proffer_types::container::{Capability, Seccomp, Security};
use proffer_wire::v1;

pub(crate) use self::checks::Check;
pub(crate) use self::configs::{Change, ConfigKey, EnvFrom};
pub(crate) use self::fetch::Fetched;
pub(crate) use self::image::{Image, Pull};
pub(crate) use self::limits::{Cgroup, RlimitBounds, RlimitName, Rlimits, ulimit};
pub(crate) use self::network::{Network, Port};
pub(crate) use self::restart::{Keep, Logs, Restart};
pub(crate) use self::security::{Capabilities, CapabilityName, Device, SeccompChoice, UserIds};
pub(crate) use self::volumes::Volume;
use super::after::AfterFile;
use super::rules::rules;
use super::{Amount, Bytes, Condition, Cores, Limits, Placement, SomeSpan, Span, Whole};

/// What a task gets when it does not say: a tenth of a core.
pub(crate) const DEFAULT_CPUS: Cores = Cores(100);
/// What a task gets when it does not say: 128 MiB.
pub(crate) const DEFAULT_MEM: Bytes = Bytes(128 << 20);

/// Hands the fields all tasks have, named once, to another macro, after what that one is given. So unknown fields are
/// still refused in place (serde's `flatten` would lose line and column).
macro_rules! with_shared_fields {
    ($then:ident! { $($given:tt)* }) => {
        $then! {
            { $($given)* }
            command: Vec<String>,
            arguments: Vec<String>,
            image: Option<Image>,
            user: Option<String>,
            groups: Vec<u32>,
            env: BTreeMap<String, String>,
            secret_env: BTreeMap<String, String>,
            config_env: BTreeMap<String, ConfigKey>,
            env_from: Vec<EnvFrom>,
            on_change: BTreeMap<String, Change>,
            working_directory: Option<String>,
            cpus: Option<Cores>,
            mem: Option<Bytes>,
            disk: Option<Bytes>,
            resources: BTreeMap<String, Amount>,
            limits: Limits,
            pids: Option<Whole<u64>>,
            rlimits: Rlimits,
            cgroup: Cgroup,
            capabilities: Capabilities,
            may_gain_privileges: bool,
            seccomp: Option<SeccompChoice>,
            user_namespace: Option<UserIds>,
            read_only: bool,
            devices: Vec<Device>,
            volumes: Vec<Volume>,
            network: Option<Network>,
            ports: Vec<Port>,
            fetch: Vec<Fetched>,
            health: Option<Check>,
            readiness: Option<Check>,
            restart: Restart,
            logs: Logs,
            keep: Keep,
            tty: bool,
            stdin: bool,
            kill_grace: Option<Span>,
            constraints: Vec<Condition>,
            max_per_agent: Option<Whole<NonZeroU32>>,
            placement: Option<Placement>,
        }
    };
}

macro_rules! declare_task {
    ({} $($field:ident: $type:ty,)*) => {
        /// One task: what runs, with how much, where, and how it is stopped.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub(crate) struct TaskSpec {
            $(pub(crate) $field: $type,)*
        }
    };
}
with_shared_fields!(declare_task! {});

/// Declares a struct of a file with the shared fields after its own.
macro_rules! declare_file {
    (
        { $(#[$meta:meta])* struct $name:ident { $($(#[$own_meta:meta])* $own:ident: $own_type:ty,)* } }
        $($field:ident: $type:ty,)*
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$own_meta])* pub(super) $own: $own_type,)*
            $(#[serde(default)] $field: $type,)*
        }

        impl $name {
            /// The shared part.
            pub(super) fn task(&self) -> TaskSpec {
                TaskSpec { $($field: self.$field.clone(),)* }
            }
        }
    };
}

with_shared_fields!(declare_file! {
    /// One task of a job, or an array of them.
    struct JobTaskFile {
        name: String,
        count: Option<Whole<NonZeroU32>>,
        #[serde(default)]
        after: Vec<AfterFile>,
        max_running: Option<Whole<NonZeroU32>>,
        #[serde(default)]
        retries: Whole<u32>,
        backoff: Option<SomeSpan>,
        max_backoff: Option<SomeSpan>,
        #[serde(default)]
        retry_on_exit: Vec<Whole<u32>>,
        #[serde(default)]
        fail_on_exit: Vec<Whole<u32>>,
        timeout: Option<SomeSpan>,
        #[serde(default)]
        gang: bool,
    }
});

with_shared_fields!(declare_file! {
    /// What every replica of a service runs.
    struct ServiceTaskFile {}
});

impl TaskSpec {
    /// The memory a task gets at least.
    pub(crate) fn mem(&self) -> Bytes {
        self.mem.unwrap_or(DEFAULT_MEM)
    }

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
        let others = self
            .resources
            .iter()
            .map(|(name, amount)| scalar(name, amount.0, 1000.0));
        let items = [
            scalar("cpus", self.cpus.unwrap_or(DEFAULT_CPUS).0, 1000.0),
            scalar("mem", self.mem().0, 1.0),
        ];
        v1::Resources {
            items: items.into_iter().chain(disk).chain(others).collect(),
        }
    }

    /// The container, for the wire.
    pub(crate) fn container(&self) -> v1::ContainerSpec {
        let spec = ContainerSpec {
            image: self.image.as_ref().map(|image| image.0.clone()),
            command: self.command.clone(),
            arguments: self.arguments.clone(),
            env: self.env.clone(),
            secret_env: self.secret_env.clone(),
            working_directory: self.working_directory.clone(),
            user: self.user.clone(),
            supplementary_groups: self.groups.clone(),
            pids_limit: self.pids.map(|pids| pids.0),
            rlimits: limits::rlimits(&self.rlimits),
            cgroup: self.cgroup.0.clone(),
            security: self.security(),
            volumes: self.volumes.iter().map(|volume| volume.0.clone()).collect(),
            network: network::network(self.network.as_ref(), &self.ports),
            fetch: self.fetch.iter().map(|fetch| fetch.0.clone()).collect(),
            health: self.health.as_ref().map(|check| check.0.clone()),
            readiness: self.readiness.as_ref().map(|check| check.0.clone()),
            restart: self.restart.0,
            logs: self.logs.0,
            retention: self.keep.into(),
            tty: self.tty,
            stdin: self.stdin,
            configs: configs::uses(&self.volumes, &self.config_env, &self.env_from, &self.on_change),
            config_env: configs::variables(&self.config_env, &self.env_from),
            config_token: String::new(),
        };
        spec.into()
    }

    /// What every replica of a service runs, for the wire.
    pub(crate) fn service_task(&self) -> v1::ServiceTask {
        v1::ServiceTask {
            replica_rules: Vec::new(),
            resources: Some(self.resources()),
            container: Some(self.container()),
            kill_policy: self.kill_policy(),
            limits: self.limits.message(),
            rules: self.rules(),
        }
    }

    fn security(&self) -> Security {
        let Capabilities { add, drop } = &self.capabilities;
        let add = security::listed(add, Capability::ALL, &[]);
        Security {
            drop_capabilities: security::listed(drop, Capability::DEFAULT, &add),
            add_capabilities: add,
            may_gain_privileges: self.may_gain_privileges,
            seccomp: self
                .seccomp
                .as_ref()
                .map_or(Seccomp::Default, |choice| choice.0.clone()),
            user_namespace: self.user_namespace.map(Into::into).unwrap_or_default(),
            read_only_root: self.read_only,
            devices: self.devices.iter().map(|device| device.0.clone()).collect(),
        }
    }

    /// Where the task may run, for the wire.
    pub(crate) fn rules(&self) -> Option<v1::PlacementRules> {
        let max_per_agent = self.max_per_agent.map(|max| max.0.get());
        rules(&self.constraints, max_per_agent, self.placement)
    }

    /// How the task is stopped, for the wire.
    pub(crate) fn kill_policy(&self) -> Option<v1::KillPolicy> {
        self.kill_grace.map(|grace| v1::KillPolicy {
            grace_period_ms: Some(grace.millis()),
        })
    }
}

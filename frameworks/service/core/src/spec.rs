//! What a user asks for, and what makes it wrong.
//!
//! A spec that passed [`ServiceSpec::check`] can be turned into tasks without a further look.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_types::discovery::{MAX_LABEL_BYTES, ServiceName};
use proffer_types::resources::format::format_scalar;
use proffer_types::{
    ContainerSpec, DAEMON_LABEL, KillPolicy, Limit, Limits, PlacementRules, ResourceName, Resources, Role,
};
use proffer_wire::container::encoded_bytes;
use thiserror::Error;

use crate::autoscale::Autoscaling;
use crate::discovery::{VirtualPort, VirtualServiceError, check_ports, check_targets};

mod rule;
mod update;

pub use self::rule::{MAX_REPLICA_RULES, PlaceKey, ReplicaRule, RuleKind};
pub use self::update::{Amount, MAX_UPDATE_TIME, UpdatePolicy, UpdateStrategy};

/// The longest name of a service, and of a namespace, in bytes: a label of the domain name system.
pub const MAX_NAME_BYTES: usize = MAX_LABEL_BYTES;
/// The most replicas of one service: each is a record and a task to the master.
pub const MAX_REPLICAS: u32 = 10_000;
/// The largest container of a task as the wire has it, in bytes; each launch sends it.
pub const MAX_CONTAINER_BYTES: usize = 64 << 10;

/// The most constraints of a task, over all of its groups.
pub const MAX_CONSTRAINTS: usize = 64;

/// For how long nothing is heard of an agent before its replicas are started elsewhere, where the service does not say: an
/// agent that is upgraded is back in a few seconds.
pub const DEFAULT_LOST_AFTER: Duration = Duration::from_secs(10);
/// The shortest such time: below, an agent that starts again would be taken for dead.
pub const MIN_LOST_AFTER: Duration = Duration::from_secs(2);
/// The longest: the master gives agents up by itself long before.
pub const MAX_LOST_AFTER: Duration = Duration::from_secs(60 * 60);

/// How long before it is killed a replica leaves discovery, where the service does not say: edges hear of it at once, and
/// answers of DNS hold for a second.
pub const SHUTDOWN_DELAY: Duration = Duration::from_secs(2);
/// The longest such time.
pub const MAX_SHUTDOWN_DELAY: Duration = Duration::from_secs(60 * 60);

/// A service as its owner wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpec {
    /// `NAME` in the namespace `default`, or `NAME.NAMESPACE`; each is one lower-case label of a DNS name.
    pub name: String,
    pub role: Role,
    pub mode: Mode,
    /// At most [`MAX_REPLICAS`]; 0 of a daemon.
    pub replicas: u32,
    pub task: ServiceTask,
    /// For how long nothing is heard of an agent before its replicas are started elsewhere; [`MIN_LOST_AFTER`] to
    /// [`MAX_LOST_AFTER`]. Absent means [`DEFAULT_LOST_AFTER`].
    pub lost_after: Option<Duration>,
    pub update: UpdatePolicy,
    /// How many replicas may be moved at once from agents that are to be left; at least one.
    pub disruption: Amount,
    /// Of its replicas, by which virtual services find them.
    pub labels: BTreeMap<String, String>,
    /// The ports of a virtual service of its own name, over its own replicas.
    pub expose: Vec<VirtualPort>,
    /// How long before it is killed a replica that serves leaves discovery, at most [`MAX_SHUTDOWN_DELAY`]. Absent means
    /// [`SHUTDOWN_DELAY`] where its task has ports.
    pub shutdown_delay: Option<Duration>,
    /// What the number of replicas follows; absent where people set it. Then `replicas` is what a new service begins with, 0 for
    /// the least.
    pub scaling: Option<Autoscaling>,
}

/// How many replicas there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// As many as are wanted, wherever there is room.
    #[default]
    Replicated,
    /// One on each agent that meets the constraints.
    Daemon,
}

impl Mode {
    /// What tasks of such a service are marked with, for whoever looks at agents.
    pub(crate) fn task_labels(self) -> BTreeMap<String, String> {
        let daemon = (self == Self::Daemon).then(|| (DAEMON_LABEL.to_owned(), "true".to_owned()));
        daemon.into_iter().collect()
    }
}

/// What every replica runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTask {
    /// What a replica needs: amounts.
    pub resources: Resources,
    pub container: ContainerSpec,
    pub kill_policy: KillPolicy,
    /// What it may use beyond its resources, where that is there.
    pub limits: Limits,
    /// Spreads, where it does not say.
    pub rules: PlacementRules,
    /// All of them hold; at most [`MAX_REPLICA_RULES`].
    pub replica_rules: Vec<ReplicaRule>,
}

/// Why a spec is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    #[error("{0}")]
    Name(String),
    #[error("service {0}")]
    Expose(#[from] VirtualServiceError),
    #[error(
        "service `{name}` leaves discovery {asked:?} before it stops, at most {MAX_SHUTDOWN_DELAY:?} are allowed"
    )]
    ShutdownDelay { name: String, asked: Duration },
    #[error("service `{name}` asks for {replicas} replicas, at most {MAX_REPLICAS} are allowed")]
    Replicas { name: String, replicas: u32 },
    #[error("service `{name}` has neither a command nor an image")]
    NoCommand { name: String },
    #[error("service `{name}` must ask for more than 0 {resource}")]
    AsksForNone { name: String, resource: ResourceName },
    #[error("service `{name}` has a container of {n_bytes} bytes, at most {MAX_CONTAINER_BYTES} are allowed")]
    LargeContainer { name: String, n_bytes: usize },
    #[error(
        "service `{name}` asks for more than amounts; ports, sets, reservations and volumes cannot be asked for"
    )]
    NotAmounts { name: String },
    #[error("service `{name}` is limited to less {resource} than it asks for")]
    LowLimit { name: String, resource: ResourceName },
    #[error("service `{name}` has {n} constraints, at most {MAX_CONSTRAINTS} are allowed")]
    Constraints { name: String, n: usize },
    #[error(
        "service `{name}` gives agents up after {asked:?}; it must be {MIN_LOST_AFTER:?} to {MAX_LOST_AFTER:?}"
    )]
    LostAfter { name: String, asked: Duration },
    #[error(
        "service `{name}` runs once on each agent, so it has no number of replicas, no scaling, and no other number for an agent"
    )]
    CountedDaemon { name: String },
    #[error("service `{name}` is {}; delete it before it becomes the other", match is {
        Mode::Replicated => "replicated",
        Mode::Daemon => "a daemon",
    })]
    OtherMode { name: String, is: Mode },
    #[error("the update of service `{name}` has {what}")]
    Update { name: String, what: String },
    #[error("the scaling of service `{name}` has {what}")]
    Scaling { name: String, what: String },
    #[error("service `{name}` cannot {what}")]
    Rule { name: String, what: String },
    #[error("service `{name}` has more than {MAX_REPLICA_RULES} rules of where replicas run")]
    Rules { name: String },
    #[error("service `{name}` allows 0 replicas on one agent")]
    NoneOnAgent { name: String },
    #[error("service `{name}` asks for {asked}, and the largest agent has {largest}")]
    FitsNowhere {
        name: String,
        asked: String,
        largest: Resources,
    },
}

impl ServiceSpec {
    pub(crate) fn lost_after(&self) -> Duration {
        self.lost_after.unwrap_or(DEFAULT_LOST_AFTER)
    }

    /// Checks all that does not depend on the cluster.
    pub fn check(&self) -> Result<(), SpecError> {
        let name = &self.name;
        is_name(name).map_err(SpecError::Name)?;
        check_replicas(name, self.replicas)?;
        let is_counted =
            self.replicas > 0 || self.scaling.is_some() || self.task.rules.max_per_agent.is_some();
        if self.mode == Mode::Daemon && is_counted {
            let name = name.clone();
            return Err(SpecError::CountedDaemon { name });
        }
        let asked = self.lost_after();
        if !(MIN_LOST_AFTER..=MAX_LOST_AFTER).contains(&asked) {
            let name = name.clone();
            return Err(SpecError::LostAfter { name, asked });
        }
        if let Some(asked) = self.shutdown_delay.filter(|asked| *asked > MAX_SHUTDOWN_DELAY) {
            let name = name.clone();
            return Err(SpecError::ShutdownDelay { name, asked });
        }
        check_ports(name, &self.expose)?;
        check_targets(self)?;
        self.update.check(name, self.disruption)?;
        if let Some(scaling) = &self.scaling {
            let checked = scaling.check(self.replicas);
            checked.map_err(|what| SpecError::Scaling {
                name: name.clone(),
                what,
            })?;
        }
        if self.task.replica_rules.len() > MAX_REPLICA_RULES {
            let name = name.clone();
            return Err(SpecError::Rules { name });
        }
        let mut rules = self.task.replica_rules.iter();
        rules.try_for_each(|rule| rule.check(name, self.mode))?;
        self.task.check(name)
    }

    /// How long before it is killed a replica that serves leaves discovery.
    pub(crate) fn shutdown_delay(&self) -> Duration {
        let is_served = !self.task.container.network.ports.is_empty();
        self.shutdown_delay
            .unwrap_or(if is_served { SHUTDOWN_DELAY } else { Duration::ZERO })
    }
}

/// Refuses what is no name of a service, in words.
pub(crate) fn is_name(name: &str) -> Result<(), String> {
    let full = name.parse().map(|name: ServiceName| name.full());
    if full.as_deref() == Ok(name) {
        return Ok(());
    }
    // As much of it as helps to recognise it.
    let quoted: String = name.chars().take(80).collect();
    let why = match full {
        Ok(full) => format!("is written `{full}`"),
        Err(_) => format!(
            "must be one label of a DNS name, or two, NAME.NAMESPACE: each 1 to {MAX_NAME_BYTES} lower-case letters, digits, \
             `-` or `_`, the first a letter or digit"
        ),
    };
    Err(format!("service name `{}` {why}", quoted.escape_debug()))
}

/// Checks a number of replicas.
pub(crate) fn check_replicas(name: &str, replicas: u32) -> Result<(), SpecError> {
    if replicas > MAX_REPLICAS {
        return Err(SpecError::Replicas {
            name: name.to_owned(),
            replicas,
        });
    }
    Ok(())
}

impl ServiceTask {
    fn check(&self, name: &str) -> Result<(), SpecError> {
        let name = || name.to_owned();
        if self.container.command.is_empty() && self.container.image.is_none() {
            return Err(SpecError::NoCommand { name: name() });
        }
        for resource in [ResourceName::Cpus, ResourceName::Mem] {
            if self.resources.scalar(&resource) == 0 {
                return Err(SpecError::AsksForNone {
                    name: name(),
                    resource,
                });
            }
        }
        if !is_amounts(&self.resources) {
            return Err(SpecError::NotAmounts { name: name() });
        }
        self.check_rules(name())?;
        let n_bytes = encoded_bytes(&self.container);
        if n_bytes > MAX_CONTAINER_BYTES {
            return Err(SpecError::LargeContainer {
                name: name(),
                n_bytes,
            });
        }
        Ok(())
    }

    /// Checks what a replica may use and where it may run.
    fn check_rules(&self, name: String) -> Result<(), SpecError> {
        let limits = [
            (ResourceName::Cpus, self.limits.cpus),
            (ResourceName::Mem, self.limits.mem),
        ];
        for (resource, limit) in limits {
            if limit.is_some_and(|limit| limit < Limit::At(self.resources.scalar(&resource))) {
                return Err(SpecError::LowLimit { name, resource });
            }
        }
        let n = self.rules.constraints.groups.iter().map(Vec::len).sum();
        if n > MAX_CONSTRAINTS {
            return Err(SpecError::Constraints { name, n });
        }
        match self.rules.max_per_agent {
            Some(0) => Err(SpecError::NoneOnAgent { name }),
            Some(_) | None => Ok(()),
        }
    }

    /// What a replica would get of what is left of an offer.
    pub(crate) fn pick(&self, left: &Resources) -> Option<Resources> {
        left.take_with_ports(&self.resources, self.container.network.n_dynamic_ports())
    }
}

/// Whether a request is made of plain scalars: what an offer can be asked for by.
pub(crate) fn is_amounts(resources: &Resources) -> bool {
    !resources.has_kinds() && resources.all_ranges().next().is_none() && resources.all_sets().next().is_none()
}

/// Refuses what no agent could hold. No agent known means that it is too early to tell.
pub(crate) fn check_fit(name: &str, request: &Resources, largest: &[Resources]) -> Result<(), SpecError> {
    match unplaceable(request, largest) {
        Some((asked, agent)) => Err(SpecError::FitsNowhere {
            name: name.to_owned(),
            asked,
            largest: agent.clone(),
        }),
        None => Ok(()),
    }
}

/// What is asked too much, and the agent that comes nearest, when no agent could hold the request, whoever its
/// resources are reserved for.
pub(crate) fn unplaceable<'a>(
    request: &Resources,
    largest: &'a [Resources],
) -> Option<(String, &'a Resources)> {
    let lacking = |agent: &Resources| {
        let scalars = request.scalars();
        scalars
            .filter(|(name, units)| agent.scalar(name) < *units)
            .map(|(name, units)| format!("{name}:{}", format_scalar(name, units)))
            .collect::<Vec<_>>()
    };
    let nearest = largest.iter().map(|agent| (lacking(agent), agent));
    let (lacking, agent) = nearest.min_by_key(|(lacking, _)| lacking.len())?;
    Some((lacking.into_iter().next()?, agent))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn shapes(texts: &[&str]) -> Vec<Resources> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_request_that_fits_in_no_agent_is_refused_with_the_resource_and_the_largest_agent() {
        let request: Resources = "cpus:2;mem:8GiB".parse().unwrap();
        let refusal = |largest: &[&str]| {
            check_fit("web", &request, &shapes(largest))
                .map_or_else(|error| error.to_string(), |()| "fits".into())
        };
        expect!["service `web` asks for mem:8GiB, and the largest agent has cpus:4;mem:4GiB"]
            .assert_eq(&refusal(&["cpus:4;mem:4GiB", "cpus:8;mem:2GiB"]));
        expect!["fits"].assert_eq(&refusal(&["cpus:1;mem:16GiB", "cpus:2;mem:8GiB"]));
        expect!["fits"].assert_eq(&refusal(&[]));
    }
}

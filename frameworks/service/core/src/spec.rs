//! What a user asks for, and what makes it wrong.
//!
//! A spec that passed [`ServiceSpec::check`] can be turned into tasks without a further look.

use proffer_types::resources::format::format_scalar;
use proffer_types::{ContainerSpec, KillPolicy, ResourceName, Resources, Role};
use thiserror::Error;

/// The longest name of a service, in bytes: a label of the domain name system.
pub const MAX_NAME_BYTES: usize = 63;
/// The most replicas of one service: each is a record and a task to the master.
pub const MAX_REPLICAS: u32 = 10_000;
/// The longest command and environment together, in bytes: a task must fit well in a frame of 1 MiB.
pub const MAX_SPEC_BYTES: usize = 128 << 10;

/// A service as its owner wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Letters, digits, `.`, `_` and `-`; at most [`MAX_NAME_BYTES`].
    pub name: String,
    pub role: Role,
    /// At most [`MAX_REPLICAS`].
    pub replicas: u32,
    pub task: ServiceTask,
}

/// What every replica runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTask {
    pub resources: Resources,
    pub container: ContainerSpec,
    pub kill_policy: KillPolicy,
}

/// Why a spec is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    #[error("service name `{0}` must be 1 to {MAX_NAME_BYTES} letters, digits, `.`, `_` or `-`")]
    Name(String),
    #[error("service `{name}` asks for {replicas} replicas, at most {MAX_REPLICAS} are allowed")]
    Replicas { name: String, replicas: u32 },
    #[error("service `{name}` has no command")]
    NoCommand { name: String },
    #[error("service `{name}` asks for no {resource}; give it some, such as {resource}: {example}")]
    NoResource {
        name: String,
        resource: ResourceName,
        example: &'static str,
    },
    #[error(
        "service `{name}` has {bytes} bytes of command and environment, at most {MAX_SPEC_BYTES} are allowed"
    )]
    TooLarge { name: String, bytes: usize },
    #[error("service `{name}` is in role `{role}`, but the framework is subscribed to {roles}")]
    Role { name: String, role: Role, roles: String },
    #[error("service `{name}` asks for {asked}, but {offered}")]
    FitsNowhere {
        name: String,
        asked: String,
        offered: String,
    },
}

impl ServiceSpec {
    /// Checks all that does not depend on the cluster.
    pub fn check(&self) -> Result<(), SpecError> {
        let name = &self.name;
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.chars().all(good) {
            return Err(SpecError::Name(name.escape_debug().to_string()));
        }
        check_replicas(name, self.replicas)?;
        self.task.check(name)
    }
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
        if self.container.command.first().is_none_or(String::is_empty) {
            return Err(SpecError::NoCommand { name: name() });
        }
        for (resource, example) in [(ResourceName::Cpus, "0.1"), (ResourceName::Mem, "32MiB")] {
            if self.resources.scalar(&resource) == 0 {
                return Err(SpecError::NoResource {
                    name: name(),
                    resource,
                    example,
                });
            }
        }
        let bytes = self.bytes();
        if bytes > MAX_SPEC_BYTES {
            return Err(SpecError::TooLarge { name: name(), bytes });
        }
        Ok(())
    }

    /// How long command and environment are, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let command: usize = self.container.command.iter().map(String::len).sum();
        let env = self.container.env.iter();
        command + env.map(|(key, value)| key.len() + value.len()).sum::<usize>()
    }
}

/// Checks that the request fits in one of the largest agents; passes when none is known.
pub(crate) fn check_fit(name: &str, request: &Resources, largest: &[Resources]) -> Result<(), SpecError> {
    match unplaceable(request, largest) {
        Some((asked, offered)) => Err(SpecError::FitsNowhere {
            name: name.to_owned(),
            asked,
            offered,
        }),
        None => Ok(()),
    }
}

/// Says what is asked and what the largest agent has of it, when the request fits in no agent there is.
pub(crate) fn unplaceable(request: &Resources, largest: &[Resources]) -> Option<(String, String)> {
    let lacking: Vec<_> = largest.iter().map(|shape| shape.first_lacking(request)).collect();
    // The last shape's want stands for all when no single resource is too scarce everywhere.
    let name = (*lacking.last()?)?;
    if lacking.iter().any(Option::is_none) {
        return None;
    }
    let scarce = request
        .scalars()
        .find(|(name, units)| largest.iter().all(|shape| shape.scalar(name) < *units));
    Some(match scarce {
        Some((name, units)) => {
            let most = largest.iter().map(|shape| shape.scalar(name)).max().unwrap_or(0);
            let asked = format!("{name}:{}", format_scalar(name, units));
            let has = format!("the largest agent has {name}:{}", format_scalar(name, most));
            (asked, has)
        }
        None => (
            request.to_string(),
            format!("no agent has that much at once: the nearest lacks {name}"),
        ),
    })
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
        expect!["service `web` asks for mem:8GiB, but the largest agent has mem:4GiB"]
            .assert_eq(&refusal(&["cpus:4;mem:4GiB", "cpus:8;mem:2GiB"]));
        expect![
            "service `web` asks for cpus:2;mem:8GiB, but no agent has that much at once: the nearest lacks cpus"
        ]
        .assert_eq(&refusal(&["cpus:4;mem:4GiB", "cpus:1;mem:16GiB"]));
        expect!["fits"].assert_eq(&refusal(&["cpus:1;mem:16GiB", "cpus:2;mem:8GiB"]));
        expect!["fits"].assert_eq(&refusal(&[]));
    }
}

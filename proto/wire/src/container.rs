//! Containers: what a task asks for beside resources. One file a concern; here what they are made of together.
//!
//! A spec that passed has no two parts that contradict each other. Whether the agent's operator allows what it asks for,
//! and whether the host can do it, is for the agent to say.

mod check;
mod config;
mod fetch;
mod image;
mod limits;
mod logs;
mod names;
mod network;
mod restart;
mod retention;
mod security;
mod volume;

use std::collections::BTreeMap;

use proffer_types::container::{Check, PortRef, Protocol};
use proffer_types::{ContainerSpec, ResourceName, Resources};

use prost::Message as _;

use crate::error::{At as _, ConvertError, quoted};
use crate::resources::scalar;
use crate::text::{at_most, map_bytes};
use crate::v1;

pub use check::{MAX_CHECK_PATH_BYTES, MAX_CHECK_TIME};
pub use config::{MAX_CONFIG_KEY_BYTES, MAX_CONFIG_USES, config_key, config_name};
pub use fetch::{MAX_DATA_URI_BYTES, MAX_FETCHES, MAX_URI_BYTES};
pub use image::MAX_IMAGE_REFERENCE_BYTES;
pub use limits::{MAX_CPUSET_BYTES, MAX_HUGEPAGES, MAX_IO_LIMITS};
pub use logs::{MAX_LOG_FILES, MIN_LOG_BYTES};
pub use names::{MAX_OBJECT_NAME_BYTES, MAX_PATH_BYTES};
pub use network::{MAX_DNS, MAX_HOSTS, MAX_PORT_MAPPINGS, MAX_PORT_NAME_BYTES};
pub use security::MAX_DEVICES;
pub use volume::MAX_VOLUMES;

/// The command and its arguments together, in bytes; the kernel's own limit for arguments and environment is 2 MiB by
/// default.
pub const MAX_COMMAND_BYTES: usize = 256 << 10;
/// The most environment variables of one container, secret ones among them.
pub const MAX_ENV: usize = 1024;
/// All names and values of an environment together, in bytes, as for the command.
pub const MAX_ENV_BYTES: usize = 256 << 10;
/// The longest name of a user or group, in bytes: twice what useradd(8) takes.
const MAX_USER_BYTES: usize = 64;
/// The most supplementary groups: what NFS can carry is 16, what people use is less.
pub const MAX_GROUPS: usize = 64;

impl TryFrom<v1::ContainerSpec> for ContainerSpec {
    type Error = ConvertError;

    fn try_from(message: v1::ContainerSpec) -> Result<Self, ConvertError> {
        let spec = Self {
            image: image::optional(message.image)?,
            command: words("command", message.command)?,
            arguments: words("arguments", message.arguments)?,
            env: message.env,
            secret_env: message.secret_env,
            working_directory: working_directory(message.working_directory)?,
            user: user(message.user)?,
            supplementary_groups: groups(message.supplementary_groups)?,
            pids_limit: match message.pids_limit {
                0 => None,
                limit => Some(limit),
            },
            rlimits: limits::rlimits(&message.rlimits)?,
            cgroup: message.cgroup.unwrap_or_default().try_into().at("cgroup")?,
            security: message.security.unwrap_or_default().try_into().at("security")?,
            volumes: volume::all(message.volumes)?,
            network: message.network.unwrap_or_default().try_into().at("network")?,
            fetch: fetch::all(message.fetch)?,
            health: message.health.map(TryInto::try_into).transpose().at("health")?,
            readiness: message
                .readiness
                .map(TryInto::try_into)
                .transpose()
                .at("readiness")?,
            restart: message.restart.unwrap_or_default().try_into().at("restart")?,
            logs: message.logs.unwrap_or_default().try_into().at("logs")?,
            retention: message.retention.unwrap_or_default().into(),
            tty: message.tty,
            stdin: message.stdin,
            configs: config::uses(message.configs)?,
            config_env: config::variables(message.config_env)?,
            config_token: message.config_token,
        };
        check_command(&spec)?;
        check_env(&spec)?;
        config::check(&spec)?;
        check_port_of("health", spec.health.as_ref(), &spec)?;
        check_port_of("readiness", spec.readiness.as_ref(), &spec)?;
        Ok(spec)
    }
}

fn words(field: &str, words: Vec<String>) -> Result<Vec<String>, ConvertError> {
    let nul = words.iter().position(|word| word.contains('\0'));
    match nul {
        Some(index) => {
            let problem = format!("{} holds a NUL byte", quoted(&words[index]));
            Err(ConvertError::new(&format!("{field}[{index}]"), problem))
        }
        None => Ok(words),
    }
}

fn check_command(spec: &ContainerSpec) -> Result<(), ConvertError> {
    match spec.command.first() {
        None if spec.image.is_none() => {
            return Err(ConvertError::new("command", "is empty, and there is no image"));
        }
        Some(program) if program.is_empty() => return Err(ConvertError::new("command[0]", "is empty")),
        None | Some(_) => {}
    }
    let n_bytes = spec.command.iter().chain(&spec.arguments).map(String::len).sum();
    at_most(
        "command",
        n_bytes,
        MAX_COMMAND_BYTES,
        "bytes of command and arguments",
    )
}

fn check_env(spec: &ContainerSpec) -> Result<(), ConvertError> {
    let ContainerSpec { env, secret_env, .. } = spec;
    at_most("env", env.len() + secret_env.len(), MAX_ENV, "variables")?;
    let n_bytes = map_bytes(env) + map_bytes(secret_env);
    at_most("env", n_bytes, MAX_ENV_BYTES, "bytes of environment")?;
    check_variables("env", env)?;
    check_variables("secret_env", secret_env)?;
    for (variable, secret) in secret_env {
        names::object("secret_env", secret)?;
        if env.contains_key(variable) {
            let problem = format!("{} is in env too", quoted(variable));
            return Err(ConvertError::new("secret_env", problem));
        }
    }
    Ok(())
}

fn check_variables(field: &str, env: &BTreeMap<String, String>) -> Result<(), ConvertError> {
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) {
            let problem = format!("{} is not the name of a variable", quoted(name));
            return Err(ConvertError::new(field, problem));
        }
        if value.contains('\0') {
            let problem = format!("the value of {} holds a NUL byte", quoted(name));
            return Err(ConvertError::new(field, problem));
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
    at_most("working_directory", path.len(), MAX_PATH_BYTES, "bytes")?;
    Ok(Some(path))
}

/// `user[:group]`; which users there are, only the image knows.
fn user(user: String) -> Result<Option<String>, ConvertError> {
    if user.is_empty() {
        return Ok(None);
    }
    let is_name = |name: &str| {
        let good = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, ':' | '/' | ',');
        (1..=MAX_USER_BYTES).contains(&name.len()) && name.chars().all(good)
    };
    let good = match user.split_once(':') {
        Some((user, group)) => is_name(user) && is_name(group),
        None => is_name(&user),
    };
    match good {
        true => Ok(Some(user)),
        false => {
            let problem = format!("{} is not a `user` or `user:group`", quoted(&user));
            Err(ConvertError::new("user", problem))
        }
    }
}

fn groups(groups: Vec<u32>) -> Result<Vec<u32>, ConvertError> {
    at_most("supplementary_groups", groups.len(), MAX_GROUPS, "groups")?;
    match groups.contains(&u32::MAX) {
        // (gid_t) -1 stands for no change in setgid(2) and its like.
        true => Err(ConvertError::new(
            "supplementary_groups",
            "4294967295 is no group",
        )),
        false => Ok(groups),
    }
}

/// A check that names a port names one there is, of the transport it speaks.
fn check_port_of(field: &str, check: Option<&Check>, spec: &ContainerSpec) -> Result<(), ConvertError> {
    let Some(PortRef::Name(name)) = check.and_then(|check| check.kind.port()) else {
        return Ok(());
    };
    let mut ports = spec.network.ports.iter();
    match ports.find(|port| port.name == *name) {
        Some(port) if port.protocol == Protocol::Tcp => Ok(()),
        Some(_) => {
            Err(ConvertError::new("port", format_args!("{} is a UDP port", quoted(name))).under(field))
        }
        None => {
            Err(ConvertError::new("port", format_args!("no port is named {}", quoted(name))).under(field))
        }
    }
}

/// Refuses a container that would keep more memory than its task asks for.
pub fn check_memory(spec: &ContainerSpec, requests: &Resources) -> Result<(), ConvertError> {
    let asked = requests.mem_bytes();
    match spec.cgroup.memory_min {
        Some(min) if min > asked => {
            let asked = scalar(&ResourceName::Mem, asked);
            let problem = format!("{min} is more than the {asked} that the task asks for");
            Err(ConvertError::new("memory_min", problem).under("cgroup"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Refuses a container that publishes more ports than its task has.
pub(crate) fn check_ports(spec: &ContainerSpec, resources: &Resources) -> Result<(), ConvertError> {
    let (needed, has) = (spec.network.n_dynamic_ports(), n_ports(resources));
    match u64::from(needed) > has {
        true => {
            let problem = format!("{needed} need a port of the task's resources, which have {has}");
            Err(ConvertError::new("ports", problem).under("network"))
        }
        false => Ok(()),
    }
}

fn n_ports(resources: &Resources) -> u64 {
    let all = resources.all_ranges();
    let ports = all.filter(|(name, _)| **name == ResourceName::Ports);
    ports.map(|(_, ranges)| ranges.count()).sum()
}

/// What a container takes in a message, in bytes.
#[must_use]
pub fn encoded_bytes(spec: &ContainerSpec) -> usize {
    v1::ContainerSpec::from(spec).encoded_len()
}

impl From<&ContainerSpec> for v1::ContainerSpec {
    fn from(spec: &ContainerSpec) -> Self {
        Self {
            image: spec.image.as_ref().map(Into::into),
            command: spec.command.clone(),
            arguments: spec.arguments.clone(),
            env: spec.env.clone(),
            secret_env: spec.secret_env.clone(),
            working_directory: spec.working_directory.clone().unwrap_or_default(),
            user: spec.user.clone().unwrap_or_default(),
            supplementary_groups: spec.supplementary_groups.clone(),
            pids_limit: spec.pids_limit.unwrap_or(0),
            rlimits: spec.rlimits.iter().map(|limit| (*limit).into()).collect(),
            cgroup: unless_default(&spec.cgroup),
            security: unless_default(&spec.security),
            volumes: spec.volumes.iter().map(Into::into).collect(),
            network: unless_default(&spec.network),
            fetch: spec.fetch.iter().map(Into::into).collect(),
            health: spec.health.as_ref().map(Into::into),
            readiness: spec.readiness.as_ref().map(Into::into),
            restart: unless_default(&spec.restart),
            logs: unless_default(&spec.logs),
            retention: unless_default(&spec.retention),
            tty: spec.tty,
            stdin: spec.stdin,
            configs: spec.configs.iter().map(Into::into).collect(),
            config_env: spec.config_env.iter().map(Into::into).collect(),
            config_token: spec.config_token.clone(),
        }
    }
}

/// What says nothing is not sent.
fn unless_default<'a, T, M>(part: &'a T) -> Option<M>
where
    T: Default + PartialEq,
    M: From<&'a T>,
{
    (*part != T::default()).then(|| part.into())
}

crate::from_owned!(ContainerSpec => v1::ContainerSpec);

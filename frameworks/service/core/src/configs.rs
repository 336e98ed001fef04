//! Configs: named sets of keys and values that tasks have as files and variables. A secret is one whose values are told to agents
//! only.
//!
//! Each change is a revision. A version of a service whose tasks restart for a config has the revision there was when the version
//! was made, so that going back to it goes back to its configuration, too; other uses have the latest. Revisions that no
//! version has are forgotten.

mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proffer_session::Context;
use proffer_types::container::{ConfigVariables, OnChange, VolumeSource};
use proffer_types::{ContainerSpec, TaskInfo, Timestamp};
use proffer_wire::container::{config_key, config_name};
use thiserror::Error;

pub use self::token::Key;
use crate::records;
use crate::service::Service;
use crate::services::Services;
use crate::task_id::Parts;

/// The most configs.
pub const MAX_CONFIGS: usize = 1_000;
/// The most keys of a config.
pub const MAX_CONFIG_ENTRIES: usize = 1_024;
/// Keys and values of a config together, in bytes, as in Kubernetes.
pub const MAX_CONFIG_BYTES: usize = 1 << 20;
/// All revisions of all configs that are kept together, in bytes: they are held in memory.
pub const MAX_CONFIGS_BYTES: usize = 128 << 20;

/// A config as its owner wants it.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// `NAME`, or `NAME.NAMESPACE`, as of a service.
    pub name: String,
    pub entries: BTreeMap<String, Vec<u8>>,
    /// Whether its values are told to agents only.
    pub secret: bool,
}

impl std::fmt::Debug for Config {
    /// Without its values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<_> = self.entries.keys().collect();
        write!(f, "Config({} {keys:?})", self.name)
    }
}

/// A config as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigView {
    /// Without values of a secret, and of lists without any.
    pub config: Config,
    pub revision: u64,
    pub changed: Timestamp,
    pub n_bytes: usize,
    /// The services whose present version uses it.
    pub used_by: Vec<String>,
}

/// What an apply did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedConfig {
    pub created: bool,
    pub revision: u64,
    /// The services that got a new version.
    pub deploys: Vec<String>,
}

/// What a task is to have of a config.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_debug_implementations, reason = "the values may be secret")]
pub struct ConfigContent {
    pub name: String,
    pub revision: u64,
    pub entries: Arc<BTreeMap<String, Vec<u8>>>,
}

/// Why a config was not changed, or cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    #[error("{0}")]
    Spec(String),
    #[error("config `{name}` has {n} keys, at most {MAX_CONFIG_ENTRIES} are allowed")]
    Entries { name: String, n: usize },
    #[error("config `{name}` has {n_bytes} bytes, at most {MAX_CONFIG_BYTES} are allowed")]
    Large { name: String, n_bytes: usize },
    #[error("there are {MAX_CONFIGS} configs already")]
    Full,
    #[error("all configs together would have more than {MAX_CONFIGS_BYTES} bytes")]
    FullBytes,
    #[error("`{name}` is {}, and cannot become the other; delete it first", if *secret { "a secret" } else { "no secret" })]
    OtherKind { name: String, secret: bool },
    #[error("service `{service}` uses the config `{name}`")]
    InUse { name: String, service: String },
    #[error("service `{service}` uses the key `{key}` of the config `{name}`, which would have none")]
    KeyInUse {
        name: String,
        key: String,
        service: String,
    },
    #[error("there is no config `{0}`")]
    NoSuch(String),
    #[error("the config `{name}` has no key `{key}`")]
    NoKey { name: String, key: String },
}

/// One revision.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Revision {
    pub(crate) entries: Arc<BTreeMap<String, Vec<u8>>>,
    pub(crate) secret: bool,
    pub(crate) changed: Timestamp,
}

impl std::fmt::Debug for Revision {
    /// Without its values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Revision({} keys, {})", self.entries.len(), self.changed.0)
    }
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configs {
    /// Never empty by name; the last revision is the present one.
    pub(crate) known: BTreeMap<String, BTreeMap<u64, Revision>>,
    pub(crate) key: Key,
    /// Whether the key is in the records.
    pub(crate) is_key_kept: bool,
}

impl Configs {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            known: BTreeMap::new(),
            key,
            is_key_kept: false,
        }
    }

    fn latest(&self, name: &str) -> Option<(u64, &Revision)> {
        let (number, revision) = self.known.get(name)?.last_key_value()?;
        Some((*number, revision))
    }

    /// The revisions that a version made now has.
    pub(crate) fn pins(&self, container: &ContainerSpec) -> BTreeMap<String, u64> {
        let pinned = container
            .configs
            .iter()
            .filter(|used| used.on_change == OnChange::Restart);
        let latest = pinned.filter_map(|used| Some((used.name.clone(), self.latest(&used.name)?.0)));
        latest.collect()
    }

    /// Refuses a container that uses what is not there. `assumed` are there by the time it counts, whatever they have.
    pub(crate) fn check(
        &self,
        container: &ContainerSpec,
        assumed: &BTreeSet<String>,
    ) -> Result<(), ConfigError> {
        for used in container
            .configs
            .iter()
            .filter(|used| !assumed.contains(&used.name))
        {
            let name = &used.name;
            let Some((_, revision)) = self.latest(name) else {
                return Err(ConfigError::NoSuch(name.clone()));
            };
            if let Some(key) = keys_of(container, name).find(|key| !revision.entries.contains_key(*key)) {
                let (name, key) = (name.clone(), key.to_owned());
                return Err(ConfigError::NoKey { name, key });
            }
        }
        Ok(())
    }

    /// Gives a task that uses configs what its agent needs to read them.
    pub(crate) fn allow(&self, task: &mut TaskInfo) {
        if !task.container.configs.is_empty() {
            task.container.config_token = self.key.token(task.id.as_str());
        }
    }

    fn n_bytes(&self) -> usize {
        let revisions = self.known.values().flat_map(BTreeMap::values);
        revisions.map(|revision| n_bytes(&revision.entries)).sum()
    }
}

/// The keys of a config that a container has files or variables of, by name.
fn keys_of<'a>(container: &'a ContainerSpec, name: &'a str) -> impl Iterator<Item = &'a str> {
    let files = container
        .volumes
        .iter()
        .filter_map(move |volume| match &volume.source {
            VolumeSource::Config(files) if files.config == name => Some(files.items.keys()),
            VolumeSource::Config(_)
            | VolumeSource::HostPath { .. }
            | VolumeSource::Sandbox { .. }
            | VolumeSource::Group { .. }
            | VolumeSource::Tmpfs { .. }
            | VolumeSource::Secret { .. }
            | VolumeSource::Image(_) => None,
        });
    let variables = container.config_env.iter().filter_map(move |of| match of {
        ConfigVariables::One { config, key, .. } if config == name => Some(key.as_str()),
        ConfigVariables::One { .. } | ConfigVariables::All { .. } => None,
    });
    files.flatten().map(String::as_str).chain(variables)
}

fn n_bytes(entries: &BTreeMap<String, Vec<u8>>) -> usize {
    entries.iter().map(|(key, value)| key.len() + value.len()).sum()
}

impl Config {
    /// Checks all that does not depend on others.
    pub fn check(&self) -> Result<(), ConfigError> {
        let spec = |error: proffer_wire::ConvertError| ConfigError::Spec(error.to_string());
        config_name("name", &self.name).map_err(spec)?;
        let name = || self.name.clone();
        match (self.entries.len(), n_bytes(&self.entries)) {
            (n, _) if n > MAX_CONFIG_ENTRIES => Err(ConfigError::Entries { name: name(), n }),
            (_, n_bytes) if n_bytes > MAX_CONFIG_BYTES => Err(ConfigError::Large {
                name: name(),
                n_bytes,
            }),
            _ => Ok(()),
        }?;
        let mut keys = self.entries.keys();
        keys.try_for_each(|key| config_key("entries", key).map_err(spec))
    }
}

impl Services {
    /// Creates a config or changes it to match, and deploys the services whose tasks restart for it. The same again changes
    /// nothing.
    pub fn apply_config(
        &mut self,
        config: Config,
        cx: &mut Context<'_>,
    ) -> Result<AppliedConfig, ConfigError> {
        config.check()?;
        let Config {
            name,
            entries,
            secret,
        } = config;
        let latest = self.configs.latest(&name);
        let created = latest.is_none();
        if let Some((revision, before)) = latest {
            if before.secret != secret {
                let secret = before.secret;
                return Err(ConfigError::OtherKind { name, secret });
            }
            if *before.entries == entries {
                let deploys = Vec::new();
                return Ok(AppliedConfig {
                    created,
                    revision,
                    deploys,
                });
            }
        }
        self.check_keys(&name, &entries)?;
        if created && self.configs.known.len() >= MAX_CONFIGS {
            return Err(ConfigError::Full);
        }
        if self.configs.n_bytes().saturating_add(n_bytes(&entries)) > MAX_CONFIGS_BYTES {
            return Err(ConfigError::FullBytes);
        }
        let number = latest.map_or(0, |(number, _)| number) + 1;
        let revision = Revision {
            entries: Arc::new(entries),
            secret,
            changed: cx.now(),
        };
        self.keep_key(cx);
        cx.put(
            records::config_key(&name, number),
            records::config(&name, &revision),
        );
        let revisions = self.configs.known.entry(name.clone()).or_default();
        revisions.insert(number, revision);
        let deploys = self.deploy_with(&name, cx);
        self.forget_revisions(cx);
        self.state_demand(cx);
        Ok(AppliedConfig {
            created,
            revision: number,
            deploys,
        })
    }

    /// Forgets a config that nothing uses.
    pub fn delete_config(&mut self, name: &str, cx: &mut Context<'_>) -> Result<(), ConfigError> {
        if !self.configs.known.contains_key(name) {
            return Err(ConfigError::NoSuch(name.chars().take(80).collect()));
        }
        let uses = |service: &&Service| !service.deleting && service.needs_config(name);
        if let Some(service) = self.services.values().find(uses) {
            let (name, service) = (name.to_owned(), service.spec.name.clone());
            return Err(ConfigError::InUse { name, service });
        }
        for number in self.configs.known.remove(name).unwrap_or_default().into_keys() {
            cx.delete(records::config_key(name, number));
        }
        Ok(())
    }

    /// All configs by name, without values.
    #[must_use]
    pub fn list_configs(&self) -> Vec<ConfigView> {
        let names = self.configs.known.keys();
        let views = names.filter_map(|name| self.config_view(name));
        let mut views: Vec<_> = views.collect();
        for view in &mut views {
            view.config.entries.values_mut().for_each(Vec::clear);
        }
        views
    }

    /// One config, without the values of a secret.
    pub fn get_config(&self, name: &str) -> Result<ConfigView, ConfigError> {
        self.config_view(name)
            .ok_or_else(|| ConfigError::NoSuch(name.chars().take(80).collect()))
    }

    fn config_view(&self, name: &str) -> Option<ConfigView> {
        let (number, revision) = self.configs.latest(name)?;
        let value = |value: &Vec<u8>| {
            if revision.secret {
                Vec::new()
            } else {
                value.clone()
            }
        };
        let entries = revision.entries.iter();
        let uses = |service: &&Service| uses(&service.spec.task.container, name);
        Some(ConfigView {
            config: Config {
                name: name.to_owned(),
                entries: entries.map(|(key, of)| (key.clone(), value(of))).collect(),
                secret: revision.secret,
            },
            revision: number,
            changed: revision.changed,
            n_bytes: n_bytes(&revision.entries),
            used_by: self
                .services
                .values()
                .filter(uses)
                .map(|service| service.spec.name.clone())
                .collect(),
        })
    }

    /// What a task is to have that is not as its agent knows it, or why it has nothing to ask for.
    pub fn read_configs(
        &self,
        task_id: &str,
        token: &str,
        known: &BTreeMap<String, u64>,
    ) -> Result<Vec<ConfigContent>, String> {
        // One answer for what is wrong, and for what is not there: who guesses learns nothing.
        let refuse = || "the framework runs no such task, or the token is not its own".to_owned();
        if !self.configs.key.is_of(task_id, token) {
            return Err(refuse());
        }
        let version = self.version_of(task_id).ok_or_else(refuse)?;
        let mut contents = Vec::new();
        for used in &version.task.container.configs {
            let revisions = self.configs.known.get(&used.name);
            let found = match (used.on_change, version.configs.get(&used.name)) {
                (OnChange::Restart, Some(pinned)) => {
                    revisions.and_then(|revisions| revisions.get_key_value(pinned))
                }
                (OnChange::Restart | OnChange::Update | OnChange::Signal(_) | OnChange::Keep, _) => {
                    revisions.and_then(BTreeMap::last_key_value)
                }
            };
            let (number, revision) = found.ok_or_else(|| format!("there is no config `{}`", used.name))?;
            if known.get(&used.name) != Some(number) {
                contents.push(ConfigContent {
                    name: used.name.clone(),
                    revision: *number,
                    entries: Arc::clone(&revision.entries),
                });
            }
        }
        Ok(contents)
    }

    fn version_of(&self, task_id: &str) -> Option<&crate::version::Version> {
        let task_id = proffer_types::TaskId::new(task_id).ok()?;
        let parts = Parts::parse(&task_id)?;
        let service = self.services.get(parts.service)?;
        let slot = service.slots.get(&parts.slot)?;
        let instance = slot.at(slot.find(parts.start)?)?;
        service.versions.get(&instance.version)
    }

    /// Refuses to leave a service without a key that it uses.
    fn check_keys(&self, name: &str, entries: &BTreeMap<String, Vec<u8>>) -> Result<(), ConfigError> {
        for service in self.services.values().filter(|service| !service.deleting) {
            let missing = keys_of(&service.spec.task.container, name).find(|key| !entries.contains_key(*key));
            if let Some(key) = missing {
                let (name, key, service) = (name.to_owned(), key.to_owned(), service.spec.name.clone());
                return Err(ConfigError::KeyInUse { name, key, service });
            }
        }
        Ok(())
    }

    /// Makes a new version of each service whose tasks restart for it.
    fn deploy_with(&mut self, name: &str, cx: &mut Context<'_>) -> Vec<String> {
        let restarts = |service: &&Service| {
            let mut used = service.spec.task.container.configs.iter();
            !service.deleting && used.any(|used| used.name == name && used.on_change == OnChange::Restart)
        };
        let restarting = self.services.values().filter(restarts);
        let deploys: Vec<_> = restarting.map(|service| service.spec.name.clone()).collect();
        for service in &deploys {
            let shape = self.next_shape();
            if let Some(service) = self.services.get_mut(service) {
                let pins = self.configs.pins(&service.spec.task.container);
                service.change(service.spec.clone(), shape, pins, cx);
            }
        }
        deploys
    }

    /// Forgets revisions that are not the latest, and that no version has.
    pub(crate) fn forget_revisions(&mut self, cx: &mut Context<'_>) {
        let versions = self
            .services
            .values()
            .flat_map(|service| service.versions.values());
        let pinned: BTreeSet<(String, u64)> = versions
            .flat_map(|version| version.configs.clone().into_iter())
            .collect();
        for (name, revisions) in &mut self.configs.known {
            let latest = revisions.keys().last().copied();
            revisions.retain(|number, _| {
                let is_kept = Some(*number) == latest || pinned.contains(&(name.clone(), *number));
                if !is_kept {
                    cx.delete(records::config_key(name, *number));
                }
                is_kept
            });
        }
    }

    fn keep_key(&mut self, cx: &mut Context<'_>) {
        if !self.configs.is_key_kept {
            self.configs.is_key_kept = true;
            cx.put(
                records::TOKEN_KEY,
                records::token_key(self.configs.key.as_bytes()),
            );
        }
    }
}

fn uses(container: &ContainerSpec, name: &str) -> bool {
    container.configs.iter().any(|used| used.name == name)
}

impl Service {
    /// Whether it could not go on without a config: it has it now, or would have it again if it went back by itself.
    fn needs_config(&self, name: &str) -> bool {
        let running = self.slots.values().flat_map(|slot| slot.instances());
        let running = running.map(|(_, instance)| instance.version);
        let mut needed = running.chain(self.good).chain([self.version]);
        needed.any(|number| {
            let version = self.versions.get(&number);
            version.is_some_and(|version| uses(&version.task.container, name))
        })
    }
}

//! Configs: what the framework that launched a task configures it with.
//!
//! They are read through the masters' port, with the token that came with the task, and lie in memory, never on a disk. A task sees
//! its files as directories of this agent's host, so that they can be replaced while it runs. What has to be known to go on after
//! a restart of the agent lies beside the files.

mod files;
mod reader;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proffer_agent_core::ContainerId;
use proffer_container::{MountSource, VolumeMount};
use proffer_grpc::leader::Masters;
use proffer_types::container::{ConfigFiles, ConfigVariables, OnChange, Propagation, VolumeSource};
use proffer_types::{ContainerSpec, TaskId};
use proffer_wire::v1;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{debug, info, warn};

use self::files::{Memory, Record};
use self::reader::Reader;
use crate::containers::Containers;
use crate::provision::{Prepared, Progress, owner};

/// Between two questions for what has changed: people expect it within some seconds.
const INTERVAL: Duration = Duration::from_secs(2);
/// The most tasks of one question.
const MAX_ASKED: usize = 1_000;
/// How long a launch waits for a framework that does not answer: as long as one may take to come back elsewhere.
const PATIENCE: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(500);

/// All configs of one agent's tasks.
#[derive(Debug, Clone)]
pub(crate) struct Configs {
    reader: Reader,
    memory: Arc<Mutex<Memory>>,
}

impl Configs {
    /// `dir` is made when a task needs it.
    pub(crate) fn new(masters: Masters, dir: PathBuf) -> Self {
        Self {
            reader: Reader::new(masters),
            memory: Arc::new(Mutex::new(Memory::new(dir))),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // What is in memory is looked at anew by each call, so a thread that panicked left nothing half known.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the files and variables that a task wants.
    pub(crate) async fn prepare(
        &self,
        container_id: ContainerId,
        task_id: &TaskId,
        prepared: &mut Prepared,
        progress: &Progress,
    ) -> Result<(), String> {
        let spec = &prepared.config.spec;
        if spec.configs.is_empty() {
            return Ok(());
        }
        if spec.config_token.is_empty() {
            return Err("its framework says of no token with which its configs can be read".to_owned());
        }
        let contents = self.read(task_id, &spec.config_token, progress).await?;
        let spec = prepared.config.spec.clone();
        for (variable, value) in variables(&spec, &contents)? {
            prepared.config.spec.env.insert(variable, value);
        }
        let volumes = spec.volumes.iter().filter_map(|volume| match &volume.source {
            VolumeSource::Config(files) => Some((files.clone(), &volume.container_path)),
            VolumeSource::HostPath { .. }
            | VolumeSource::Sandbox { .. }
            | VolumeSource::Group { .. }
            | VolumeSource::Tmpfs { .. }
            | VolumeSource::Secret { .. }
            | VolumeSource::Image(_) => None,
        });
        let volumes: Vec<_> = volumes.collect();
        if volumes.is_empty() {
            return Ok(());
        }
        let record = Record {
            task_id: task_id.to_string(),
            token: spec.config_token.clone(),
            uses: spec.configs.iter().map(Into::into).collect(),
            volumes: volumes.iter().map(|(files, _)| files.into()).collect(),
            owner: owner::of(&prepared.config)?.map(Into::into),
        };
        let this = self.clone();
        let made =
            tokio::task::spawn_blocking(move || this.memory().enter(container_id, record, &contents)).await;
        let paths = made.unwrap_or_else(|error| Err(format!("its configs were not written: {error}")))?;
        for (path, (_, container_path)) in paths.into_iter().zip(volumes) {
            prepared.config.mounts.push(VolumeMount {
                source: MountSource::Bind {
                    path,
                    propagation: Propagation::Private,
                },
                container_path: container_path.into(),
                read_only: true,
            });
        }
        Ok(())
    }

    /// All configs of a task, by name.
    async fn read(&self, task_id: &TaskId, token: &str, progress: &Progress) -> Result<Contents, String> {
        let deadline = Instant::now() + PATIENCE;
        let mut asked = v1::TaskConfigs {
            task_id: task_id.to_string(),
            token: token.to_owned(),
            known: BTreeMap::new(),
        };
        let mut found = Contents::new();
        let fail = |why: &str| format!("its configs cannot be read: {why}");
        loop {
            // In parts, as large as messages may be, until there is nothing more.
            let error = match self.reader.read(vec![asked.clone()]).await {
                Ok(results) => match results.into_iter().next() {
                    Some(result) if !result.problem.is_empty() => return Err(fail(&result.problem)),
                    Some(result) if result.configs.is_empty() => return Ok(found),
                    Some(result) => {
                        let part = contents(result.configs)?;
                        let revisions = part
                            .iter()
                            .map(|(name, content)| (name.clone(), content.revision));
                        asked.known.extend(revisions);
                        found.extend(part);
                        None
                    }
                    None => Some("it answered with nothing".to_owned()),
                },
                Err(status) => Some(status.message().to_owned()),
            };
            if Instant::now() >= deadline {
                return Err(fail(error.as_deref().unwrap_or("there is always something new")));
            }
            if let Some(error) = error {
                progress.say(format!("waiting for its configs: {error}"));
                sleep(RETRY).await;
            }
        }
    }

    /// Forgets a container's. Of one that has none that is nothing.
    pub(crate) fn release(&self, container_id: ContainerId) {
        self.memory().release(container_id);
    }

    /// Takes up what an earlier agent left, and removes what belongs to no known container.
    pub(crate) fn recover(&self, known: &[ContainerId]) {
        self.memory().recover(known);
    }

    /// Replaces files as configs change, and tells tasks that want to hear of it.
    pub(crate) async fn follow(self, containers: Containers) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wrong = BTreeMap::new();
        loop {
            ticks.tick().await;
            let followed = self.memory().followed();
            wrong.retain(|id, _| followed.iter().any(|(container_id, _)| container_id == id));
            for chunk in followed.chunks(MAX_ASKED) {
                let asked = chunk.iter().map(|(_, asked)| asked.clone()).collect();
                let results = match self.reader.read(asked).await {
                    Ok(results) => results,
                    Err(status) => {
                        debug!(%status, "what changed of configs is not known");
                        break;
                    }
                };
                for ((container_id, asked), result) in chunk.iter().zip(results) {
                    let problem = self.take(*container_id, result, &containers).await.err();
                    if let Some(problem) = &problem
                        && wrong.get(container_id) != Some(problem)
                    {
                        warn!(%container_id, task = asked.task_id, problem, "the configs of a task stay as they are");
                    }
                    match problem {
                        Some(problem) => wrong.insert(*container_id, problem),
                        None => wrong.remove(container_id),
                    };
                }
            }
        }
    }

    /// Takes what has changed for a container.
    async fn take(
        &self,
        container_id: ContainerId,
        result: v1::TaskConfigsResult,
        containers: &Containers,
    ) -> Result<(), String> {
        if !result.problem.is_empty() {
            return Err(result.problem);
        }
        if result.configs.is_empty() {
            return Ok(());
        }
        let contents = contents(result.configs)?;
        let this = self.clone();
        let written = tokio::task::spawn_blocking(move || this.memory().replace(container_id, &contents));
        let changed = written
            .await
            .unwrap_or_else(|error| Err(format!("not written: {error}")))?;
        for (name, on_change) in changed {
            info!(%container_id, config = name, "a config of a running task is replaced");
            if let OnChange::Signal(signal) = on_change {
                containers.notify(container_id, signal);
            }
        }
        Ok(())
    }
}

/// What configs have, by name.
type Contents = BTreeMap<String, Content>;

#[derive(Clone, PartialEq, Eq)]
struct Content {
    revision: u64,
    entries: BTreeMap<String, Vec<u8>>,
}

/// Takes what a peer says; keys become names of files, so each is looked at.
fn contents(configs: Vec<v1::ConfigContent>) -> Result<Contents, String> {
    let one = |config: v1::ConfigContent| {
        let v1::ConfigContent {
            name,
            revision,
            entries,
        } = config;
        let mut keys = entries.keys();
        let checked = keys.try_for_each(|key| proffer_wire::container::config_key("entries", key));
        checked.map_err(|error| format!("the config `{}` has {error}", name.escape_debug()))?;
        Ok((name, Content { revision, entries }))
    };
    configs.into_iter().map(one).collect()
}

/// The variables that a container has from configs, in the order in which the later ones count.
fn variables(spec: &ContainerSpec, contents: &Contents) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    for of in &spec.config_env {
        let config = of.config();
        let content = contents
            .get(config)
            .ok_or_else(|| format!("the framework does not say what the config `{config}` has"))?;
        match of {
            ConfigVariables::All { prefix, .. } => {
                for (key, value) in content.entries.iter().filter(|(key, _)| is_variable(key)) {
                    let variable = format!("{prefix}{key}");
                    if !spec.env.contains_key(&variable) && !spec.secret_env.contains_key(&variable) {
                        variables.insert(variable, text(config, key, value)?);
                    }
                }
            }
            ConfigVariables::One { .. } => {}
        }
    }
    for of in &spec.config_env {
        if let ConfigVariables::One {
            config,
            key,
            variable,
        } = of
        {
            let value = contents.get(config).and_then(|content| content.entries.get(key));
            let value = value.ok_or_else(|| format!("the config `{config}` has no key `{key}`"))?;
            variables.insert(variable.clone(), text(config, key, value)?);
        }
    }
    Ok(variables)
}

/// What a shell takes for the name of a variable.
fn is_variable(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !key.starts_with(|c: char| c.is_ascii_digit())
}

/// The value may be secret, so no error quotes it.
fn text(config: &str, key: &str, value: &[u8]) -> Result<String, String> {
    let value = std::str::from_utf8(value)
        .ok()
        .filter(|value| !value.contains('\0'));
    value.map(str::to_owned).ok_or_else(|| {
        format!("the key `{key}` of the config `{config}` cannot be in a variable: it is no UTF-8 text without NUL")
    })
}

/// The file of a key, where the volume has one.
fn file_of<'a>(files: &'a ConfigFiles, key: &'a str) -> Option<&'a str> {
    match files.items.is_empty() {
        true => Some(key),
        false => files.items.get(key).map(String::as_str),
    }
}

#[cfg(test)]
mod tests;

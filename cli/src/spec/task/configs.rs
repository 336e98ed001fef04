//! Configs of the service framework: files, variables, and what becomes of a running task when they change.

use std::collections::BTreeMap;
use std::str::FromStr;

use proffer_types::container::{ConfigUse, ConfigVariables, OnChange, ReloadSignal, VolumeSource};
use serde::Deserialize;

use super::Volume;
use crate::spec::either::{from_text, text_or_fields};

/// `NAME/KEY`: one key of a config.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConfigKey {
    pub(crate) config: String,
    pub(crate) key: String,
}

from_text!(ConfigKey);

impl FromStr for ConfigKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((config, key)) if !config.is_empty() && !key.is_empty() => Ok(Self {
                config: config.to_owned(),
                key: key.to_owned(),
            }),
            Some(_) | None => Err(format!("`{text}` is not CONFIG/KEY")),
        }
    }
}

/// All keys of a config as variables: its name, or fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EnvFrom {
    pub(crate) config: String,
    pub(crate) prefix: String,
}

text_or_fields!(EnvFrom, EnvFromFields, "the name of a config, or its fields");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvFromFields {
    config: String,
    #[serde(default)]
    prefix: String,
}

impl FromStr for EnvFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (config, prefix) = (text.to_owned(), String::new());
        Ok(Self { config, prefix })
    }
}

impl TryFrom<EnvFromFields> for EnvFrom {
    type Error = String;

    fn try_from(EnvFromFields { config, prefix }: EnvFromFields) -> Result<Self, String> {
        Ok(Self { config, prefix })
    }
}

/// `restart`, `update`, `keep`, or a signal that makes a program read its files again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change(pub(crate) OnChange);

from_text!(Change);

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "restart" => OnChange::Restart,
            "update" => OnChange::Update,
            "keep" => OnChange::Keep,
            "SIGHUP" => OnChange::Signal(ReloadSignal::Hup),
            "SIGUSR1" => OnChange::Signal(ReloadSignal::Usr1),
            "SIGUSR2" => OnChange::Signal(ReloadSignal::Usr2),
            text => {
                return Err(format!(
                    "`{text}` is none of restart, update, keep, SIGHUP, SIGUSR1 and SIGUSR2"
                ));
            }
        }))
    }
}

/// Every config that is named somewhere, by name.
pub(super) fn uses(
    volumes: &[Volume],
    one: &BTreeMap<String, ConfigKey>,
    all: &[EnvFrom],
    on_change: &BTreeMap<String, Change>,
) -> Vec<ConfigUse> {
    let files = volumes.iter().filter_map(|volume| match &volume.0.source {
        VolumeSource::Config(files) => Some(&files.config),
        VolumeSource::HostPath { .. }
        | VolumeSource::Sandbox { .. }
        | VolumeSource::Group { .. }
        | VolumeSource::Tmpfs { .. }
        | VolumeSource::Secret { .. }
        | VolumeSource::Image(_) => None,
    });
    let variables = one.values().map(|of| &of.config);
    let variables = variables.chain(all.iter().map(|of| &of.config));
    let named = files.chain(variables).map(|name| (name, OnChange::default()));
    let said = on_change.iter().map(|(name, change)| (name, change.0));
    // What is said comes last, and counts.
    let uses: BTreeMap<_, _> = named.chain(said).collect();
    let uses = uses.into_iter().map(|(name, on_change)| ConfigUse {
        name: name.clone(),
        on_change,
    });
    uses.collect()
}

/// Variables from configs: those of all keys first, as single ones go before them.
pub(super) fn variables(one: &BTreeMap<String, ConfigKey>, all: &[EnvFrom]) -> Vec<ConfigVariables> {
    let all = all.iter().map(|of| ConfigVariables::All {
        config: of.config.clone(),
        prefix: of.prefix.clone(),
    });
    let one = one.iter().map(|(variable, of)| ConfigVariables::One {
        config: of.config.clone(),
        key: of.key.clone(),
        variable: variable.clone(),
    });
    all.chain(one).collect()
}

//! Configs of the framework: which a container uses, and what for.

use std::collections::BTreeSet;

use proffer_types::ContainerSpec;
use proffer_types::container::{
    ConfigFiles, ConfigUse, ConfigVariables, DEFAULT_CONFIG_MODE, OnChange, ReloadSignal, VolumeSource,
};
use proffer_types::discovery::ServiceName;

use super::names;
use crate::error::{At as _, ConvertError, quoted};
use crate::text::at_most;
use crate::v1;
use crate::v1::volume_spec as message;

/// The most configs of one container.
pub const MAX_CONFIG_USES: usize = 16;
/// The most sources of variables of one container, and of files of one volume.
const MAX_CONFIG_VARIABLES: usize = 64;
const MAX_CONFIG_ITEMS: usize = 256;
/// The longest key of a config, in bytes, as Kubernetes has it.
pub const MAX_CONFIG_KEY_BYTES: usize = 253;
/// The longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 128;

/// Refuses what is no key of a config: it is a file's name, and those that begin with `..` are the agent's own.
pub fn config_key(field: &str, key: &str) -> Result<(), ConvertError> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_key = (1..=MAX_CONFIG_KEY_BYTES).contains(&key.len())
        && key.chars().all(is_good)
        && key != "."
        && !key.starts_with("..");
    match is_key {
        true => Ok(()),
        false => Err(ConvertError::new(
            field,
            format_args!(
                "{} must be 1 to {MAX_CONFIG_KEY_BYTES} letters, digits, `.`, `_` and `-`, and not begin with `..`",
                quoted(key)
            ),
        )),
    }
}

/// Refuses what is no name of a config: it is written as that of a service.
pub fn config_name(field: &str, name: &str) -> Result<(), ConvertError> {
    let full = name.parse().map(|name: ServiceName| name.full());
    match full.as_deref() == Ok(name) {
        true => Ok(()),
        false => Err(ConvertError::new(
            field,
            format_args!(
                "{} must be one label of a DNS name, or two, NAME.NAMESPACE",
                quoted(name)
            ),
        )),
    }
}

pub(super) fn uses(messages: Vec<v1::ConfigUse>) -> Result<Vec<ConfigUse>, ConvertError> {
    at_most("configs", messages.len(), MAX_CONFIG_USES, "configs")?;
    let mut names = BTreeSet::new();
    let mut one = |message: v1::ConfigUse| {
        let used = ConfigUse::try_from(message)?;
        match names.insert(used.name.clone()) {
            true => Ok(used),
            false => Err(ConvertError::new(
                "name",
                format_args!("{} is there twice", quoted(&used.name)),
            )),
        }
    };
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(index, message)| one(message).at_item("configs", index))
        .collect()
}

impl TryFrom<v1::ConfigUse> for ConfigUse {
    type Error = ConvertError;

    fn try_from(message: v1::ConfigUse) -> Result<Self, ConvertError> {
        let on_change = on_change(message.on_change)?;
        config_name("name", &message.name)?;
        let name = message.name;
        Ok(Self { name, on_change })
    }
}

fn on_change(number: i32) -> Result<OnChange, ConvertError> {
    match v1::ConfigChange::try_from(number) {
        Ok(v1::ConfigChange::Unspecified | v1::ConfigChange::Restart) => Ok(OnChange::Restart),
        Ok(v1::ConfigChange::Update) => Ok(OnChange::Update),
        Ok(v1::ConfigChange::Sighup) => Ok(OnChange::Signal(ReloadSignal::Hup)),
        Ok(v1::ConfigChange::Sigusr1) => Ok(OnChange::Signal(ReloadSignal::Usr1)),
        Ok(v1::ConfigChange::Sigusr2) => Ok(OnChange::Signal(ReloadSignal::Usr2)),
        Ok(v1::ConfigChange::Keep) => Ok(OnChange::Keep),
        Err(_) => Err(ConvertError::unknown_number("on_change", number)),
    }
}

pub(super) fn variables(messages: Vec<v1::ConfigVariables>) -> Result<Vec<ConfigVariables>, ConvertError> {
    at_most("config_env", messages.len(), MAX_CONFIG_VARIABLES, "sources")?;
    let one = |message: v1::ConfigVariables| {
        let v1::ConfigVariables {
            config,
            key,
            variable,
        } = message;
        if variable.contains(['=', '\0']) {
            let problem = format!("{} is not the name of a variable", quoted(&variable));
            return Err(ConvertError::new("variable", problem));
        }
        if key.is_empty() {
            let prefix = variable;
            return Ok(ConfigVariables::All { config, prefix });
        }
        config_key("key", &key)?;
        match variable.is_empty() {
            true => Err(ConvertError::missing("variable")),
            false => Ok(ConfigVariables::One {
                config,
                key,
                variable,
            }),
        }
    };
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(index, message)| one(message).at_item("config_env", index))
        .collect()
}

impl TryFrom<message::ConfigFiles> for ConfigFiles {
    type Error = ConvertError;

    fn try_from(message: message::ConfigFiles) -> Result<Self, ConvertError> {
        at_most("items", message.items.len(), MAX_CONFIG_ITEMS, "keys")?;
        let mut files = BTreeSet::new();
        for (key, file) in &message.items {
            config_key("items", key)?;
            config_key("items", file)?;
            if !files.insert(file) {
                let problem = format!("two keys are in the file {}", quoted(file));
                return Err(ConvertError::new("items", problem));
            }
        }
        let mode = match message.mode {
            0 => DEFAULT_CONFIG_MODE,
            mode if mode <= 0o777 => mode,
            mode => {
                let problem = format!("{mode:#o} is not 1 to 0777");
                return Err(ConvertError::new("mode", problem));
            }
        };
        Ok(Self {
            config: message.config,
            items: message.items,
            mode,
        })
    }
}

/// Refuses files and variables of configs that the container does not use, variables that are there twice, and a token without
/// a use.
pub(super) fn check(spec: &ContainerSpec) -> Result<(), ConvertError> {
    let is_used = |name: &str| spec.configs.iter().any(|used| used.name == name);
    let not_used = |name: &str| {
        let problem = format!("{} is not among the container's configs", quoted(name));
        ConvertError::new("config", problem)
    };
    for (index, volume) in spec.volumes.iter().enumerate() {
        if let VolumeSource::Config(files) = &volume.source
            && !is_used(&files.config)
        {
            return Err(not_used(&files.config)).at_item("volumes", index);
        }
    }
    let mut variables = BTreeSet::new();
    for (index, of) in spec.config_env.iter().enumerate() {
        if !is_used(of.config()) {
            return Err(not_used(of.config())).at_item("config_env", index);
        }
        if let ConfigVariables::One { variable, .. } = of {
            let is_said = spec.env.contains_key(variable) || spec.secret_env.contains_key(variable);
            if is_said || !variables.insert(variable) {
                let problem = format!("{} is there twice", quoted(variable));
                return Err(ConvertError::new("variable", problem)).at_item("config_env", index);
            }
        }
    }
    at_most("config_token", spec.config_token.len(), MAX_TOKEN_BYTES, "bytes")?;
    match spec.config_token.is_empty() {
        true => Ok(()),
        false if spec.configs.is_empty() => {
            Err(ConvertError::new("config_token", "is there without configs"))
        }
        false => names::object("config_token", &spec.config_token),
    }
}

impl From<&ConfigUse> for v1::ConfigUse {
    fn from(used: &ConfigUse) -> Self {
        let on_change = match used.on_change {
            OnChange::Restart => v1::ConfigChange::Unspecified,
            OnChange::Update => v1::ConfigChange::Update,
            OnChange::Signal(ReloadSignal::Hup) => v1::ConfigChange::Sighup,
            OnChange::Signal(ReloadSignal::Usr1) => v1::ConfigChange::Sigusr1,
            OnChange::Signal(ReloadSignal::Usr2) => v1::ConfigChange::Sigusr2,
            OnChange::Keep => v1::ConfigChange::Keep,
        };
        Self {
            name: used.name.clone(),
            on_change: on_change.into(),
        }
    }
}

impl From<&ConfigVariables> for v1::ConfigVariables {
    fn from(of: &ConfigVariables) -> Self {
        let (config, key, variable) = match of {
            ConfigVariables::One {
                config,
                key,
                variable,
            } => (config, key.clone(), variable),
            ConfigVariables::All { config, prefix } => (config, String::new(), prefix),
        };
        Self {
            config: config.clone(),
            key,
            variable: variable.clone(),
        }
    }
}

impl From<&ConfigFiles> for message::ConfigFiles {
    fn from(files: &ConfigFiles) -> Self {
        Self {
            config: files.config.clone(),
            items: files.items.clone(),
            mode: match files.mode {
                DEFAULT_CONFIG_MODE => 0,
                mode => mode,
            },
        }
    }
}

//! Configs of the framework that a container has files and variables of.

/// A config that is used, and what becomes of a running task when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigUse {
    /// `NAME`, or `NAME.NAMESPACE`, as of a service.
    pub name: String,
    pub on_change: OnChange,
}

/// What becomes of a running task when a config changes that it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnChange {
    /// A version of its service has the config as it was when the version was made; a change is a new version.
    #[default]
    Restart,
    /// Its files are replaced.
    Update,
    /// Its files are replaced, then the task gets that signal.
    Signal(ReloadSignal),
    /// Nothing: the next container has it.
    Keep,
}

/// A signal that tells a program to read its files again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadSignal {
    Hup,
    Usr1,
    Usr2,
}

impl OnChange {
    /// Whether a running task sees changes.
    #[must_use]
    pub fn is_followed(self) -> bool {
        matches!(self, Self::Update | Self::Signal(_))
    }
}

/// Variables from a config that the container uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigVariables {
    /// One variable, from one key.
    One {
        config: String,
        key: String,
        variable: String,
    },
    /// Each key that can be the name of a variable, after the prefix. What the container says itself goes before it.
    All { config: String, prefix: String },
}

impl ConfigVariables {
    /// The config they are from.
    #[must_use]
    pub fn config(&self) -> &str {
        match self {
            Self::One { config, .. } | Self::All { config, .. } => config,
        }
    }
}

//! Configs as messages.

use proffer_wire::{ConvertError, v1};

use crate::configs::{AppliedConfig, Config, ConfigContent, ConfigView};

impl From<v1::Config> for Config {
    /// What makes it wrong, [`Config::check`] says.
    fn from(message: v1::Config) -> Self {
        Self {
            name: message.name,
            entries: message.entries,
            secret: message.secret,
        }
    }
}

impl Config {
    /// Of a request.
    pub fn from_message(message: Option<v1::Config>) -> Result<Self, ConvertError> {
        message
            .map(Into::into)
            .ok_or_else(|| ConvertError::new("config", "is missing"))
    }
}

impl From<ConfigView> for v1::ConfigView {
    fn from(view: ConfigView) -> Self {
        Self {
            config: Some(v1::Config {
                name: view.config.name,
                entries: view.config.entries,
                secret: view.config.secret,
            }),
            revision: view.revision,
            changed_ms: view.changed.0,
            n_bytes: view.n_bytes as u64,
            used_by: view.used_by,
        }
    }
}

impl From<AppliedConfig> for v1::ApplyConfigResponse {
    fn from(applied: AppliedConfig) -> Self {
        Self {
            created: applied.created,
            revision: applied.revision,
            deploys: applied.deploys,
        }
    }
}

impl From<ConfigContent> for v1::ConfigContent {
    fn from(content: ConfigContent) -> Self {
        Self {
            name: content.name,
            revision: content.revision,
            entries: (*content.entries).clone(),
        }
    }
}

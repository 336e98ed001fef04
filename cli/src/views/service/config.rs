//! Configs and secrets.

use proffer_wire::v1;
use serde::Serialize;

use super::super::text::ago;
use crate::output::{Answer, Column, Row, left, render, right};

/// One config or secret, without its values.
#[derive(Debug, Serialize)]
pub(crate) struct ConfigView {
    name: String,
    secret: bool,
    revision: u64,
    changed_ms: u64,
    /// Of keys and values.
    bytes: u64,
    keys: Vec<String>,
    used_by: Vec<String>,
}

impl From<v1::ConfigView> for ConfigView {
    fn from(view: v1::ConfigView) -> Self {
        let config = view.config.unwrap_or_default();
        Self {
            name: config.name,
            secret: config.secret,
            revision: view.revision,
            changed_ms: view.changed_ms,
            bytes: view.n_bytes,
            keys: config.entries.into_keys().collect(),
            used_by: view.used_by,
        }
    }
}

impl ConfigView {
    fn kind(&self) -> &'static str {
        if self.secret { "secret" } else { "config" }
    }
}

impl Row for ConfigView {
    const COLUMNS: &'static [Column] = &[
        left("NAME"),
        left("KIND"),
        right("REVISION"),
        left("CHANGED"),
        right("KEYS"),
        right("BYTES"),
        left("USED BY"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.kind().to_owned(),
            self.revision.to_string(),
            ago(self.changed_ms),
            self.keys.len().to_string(),
            self.bytes.to_string(),
            self.used_by.join(", "),
        ]
    }
}

impl Answer for ConfigView {
    fn text(&self, width: usize) -> String {
        let keys: Vec<_> = self.keys.iter().map(|key| vec![key.clone()]).collect();
        let used_by = match self.used_by.is_empty() {
            true => "nobody".to_owned(),
            false => self.used_by.join(", "),
        };
        format!(
            "{} {}  revision {}, changed {}, {} bytes, used by {used_by}\n{}",
            self.kind(),
            self.name,
            self.revision,
            ago(self.changed_ms),
            self.bytes,
            render(&[left("KEY")], &keys, width),
        )
    }
}

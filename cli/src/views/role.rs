//! Roles.

use std::collections::BTreeMap;

use proffer_wire::v1::list_roles_response::Role;
use serde::Serialize;
use serde_json::Value;

use super::text::{bundle, bundle_json};
use crate::output::{Column, Row, left, right};

/// One role.
#[derive(Debug, Serialize)]
pub(crate) struct RoleView {
    name: String,
    weight: f64,
    n_frameworks: u32,
    allocated: BTreeMap<String, Value>,
    #[serde(skip)]
    text: String,
}

impl From<Role> for RoleView {
    fn from(role: Role) -> Self {
        Self {
            allocated: bundle_json(role.allocated.as_ref()),
            text: bundle(role.allocated.as_ref()),
            name: role.name,
            weight: role.weight,
            n_frameworks: role.n_frameworks,
        }
    }
}

impl Row for RoleView {
    const COLUMNS: &'static [Column] = &[
        left("ROLE"),
        right("WEIGHT"),
        right("FRAMEWORKS"),
        left("ALLOCATED"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.weight.to_string(),
            self.n_frameworks.to_string(),
            self.text.clone(),
        ]
    }
}

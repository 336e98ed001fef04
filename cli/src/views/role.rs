//! Roles.

use std::collections::BTreeMap;

use proffer_wire::v1::list_roles_response::Role;
use serde::Serialize;
use serde_json::Value;

use super::text::{bundle, bundle_json, limits, limits_json, percent};
use crate::output::{Column, Row, left, right};

/// One role.
#[derive(Debug, Serialize)]
pub(crate) struct RoleView {
    name: String,
    weight: f64,
    priority: i32,
    n_frameworks: u32,
    dominant_share_permille: u32,
    guarantee: BTreeMap<String, Value>,
    limit: BTreeMap<String, Value>,
    consumed: BTreeMap<String, Value>,
    allocated: BTreeMap<String, Value>,
    #[serde(skip)]
    guarantee_text: String,
    #[serde(skip)]
    limit_text: String,
    #[serde(skip)]
    consumed_text: String,
}

impl From<Role> for RoleView {
    fn from(role: Role) -> Self {
        let quota = role.quota.unwrap_or_default();
        Self {
            guarantee: bundle_json(quota.guarantee.as_ref()),
            guarantee_text: bundle(quota.guarantee.as_ref()),
            limit: limits_json(quota.limits.as_ref()),
            limit_text: limits(quota.limits.as_ref()),
            consumed: bundle_json(role.consumed.as_ref()),
            consumed_text: bundle(role.consumed.as_ref()),
            allocated: bundle_json(role.allocated.as_ref()),
            name: role.name,
            weight: role.weight,
            priority: role.priority,
            n_frameworks: role.n_frameworks,
            dominant_share_permille: role.dominant_share_permille,
        }
    }
}

impl Row for RoleView {
    const COLUMNS: &'static [Column] = &[
        left("ROLE"),
        right("WEIGHT"),
        right("PRIORITY"),
        right("FRAMEWORKS"),
        right("SHARE"),
        left("GUARANTEE").if_any(),
        left("LIMIT").if_any(),
        left("CONSUMED"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.weight.to_string(),
            self.priority.to_string(),
            self.n_frameworks.to_string(),
            percent(self.dominant_share_permille),
            self.guarantee_text.clone(),
            self.limit_text.clone(),
            self.consumed_text.clone(),
        ]
    }
}

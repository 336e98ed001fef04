//! Offers.

use std::collections::BTreeMap;

use proffer_wire::v1::Offer;
use serde::Serialize;
use serde_json::Value;

use super::text::{bundle, bundle_json};
use crate::output::{Column, Row, left};

/// One outstanding offer.
#[derive(Debug, Serialize)]
pub(crate) struct OfferView {
    offer_id: String,
    framework_id: String,
    agent_id: String,
    hostname: String,
    role: String,
    resources: BTreeMap<String, Value>,
    #[serde(skip)]
    text: String,
}

impl From<Offer> for OfferView {
    fn from(offer: Offer) -> Self {
        Self {
            resources: bundle_json(offer.resources.as_ref()),
            text: bundle(offer.resources.as_ref()),
            offer_id: offer.offer_id,
            framework_id: offer.framework_id,
            agent_id: offer.agent_id,
            hostname: offer.hostname,
            role: offer.role,
        }
    }
}

impl Row for OfferView {
    const COLUMNS: &'static [Column] = &[
        left("OFFER"),
        left("FRAMEWORK"),
        left("ROLE"),
        left("AGENT"),
        left("HOST"),
        left("RESOURCES"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.offer_id.clone(),
            self.framework_id.clone(),
            self.role.clone(),
            self.agent_id.clone(),
            self.hostname.clone(),
            self.text.clone(),
        ]
    }
}

//! Offers.

use std::collections::BTreeMap;
use std::fmt;

use proffer_wire::v1::{self, Offer};
use serde::Serialize;
use serde_json::Value;

use super::maintenance::UnavailabilityView;
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
    shapes: Vec<ShapeView>,
    gang: Option<GangView>,
    unavailability: Option<UnavailabilityView>,
    #[serde(skip)]
    text: String,
}

/// How many tasks of one stated shape an offer has room for.
#[derive(Debug, Serialize)]
struct ShapeView {
    shape_id: u64,
    count: u32,
}

impl From<v1::ShapeCount> for ShapeView {
    fn from(shape: v1::ShapeCount) -> Self {
        Self {
            shape_id: shape.shape_id,
            count: shape.count,
        }
    }
}

/// The bundle of offers that one is part of.
#[derive(Debug, Serialize)]
struct GangView {
    gang_id: u64,
    n_offers: u32,
}

impl From<v1::OfferGang> for GangView {
    fn from(gang: v1::OfferGang) -> Self {
        Self {
            gang_id: gang.gang_id,
            n_offers: gang.n_offers,
        }
    }
}

impl fmt::Display for GangView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, n) = (self.gang_id, self.n_offers);
        write!(f, "{id}, of {n} offer{}", if n == 1 { "" } else { "s" })
    }
}

impl From<Offer> for OfferView {
    fn from(offer: Offer) -> Self {
        Self {
            resources: bundle_json(offer.resources.as_ref()),
            text: bundle(offer.resources.as_ref()),
            shapes: offer.shapes.into_iter().map(ShapeView::from).collect(),
            gang: offer.gang.map(GangView::from),
            unavailability: offer.unavailability.map(UnavailabilityView::from),
            offer_id: offer.offer_id,
            framework_id: offer.framework_id,
            agent_id: offer.agent_id,
            hostname: offer.hostname,
            role: offer.role,
        }
    }
}

impl OfferView {
    /// Tasks of each shape: `3 of shape 1`.
    fn shapes_text(&self) -> String {
        let shapes = self.shapes.iter();
        let texts: Vec<_> = shapes
            .map(|shape| format!("{} of shape {}", shape.count, shape.shape_id))
            .collect();
        texts.join(", ")
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
        left("SHAPES").if_any(),
        left("GANG").if_any(),
        left("UNAVAILABLE").if_any(),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.offer_id.clone(),
            self.framework_id.clone(),
            self.role.clone(),
            self.agent_id.clone(),
            self.hostname.clone(),
            self.text.clone(),
            self.shapes_text(),
            self.gang.as_ref().map(GangView::to_string).unwrap_or_default(),
            self.unavailability
                .as_ref()
                .map(UnavailabilityView::to_string)
                .unwrap_or_default(),
        ]
    }
}

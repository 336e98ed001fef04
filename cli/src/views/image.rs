//! Images of an agent.

use proffer_types::resources::format::format_size;
use proffer_wire::v1;
use serde::Serialize;

use super::text::ago;
use crate::output::{Column, Row, left, right};

/// So many digits of an id tell images of one agent apart.
const SHORT_ID: usize = "sha256:".len() + 12;

/// One image.
#[derive(Debug, Serialize)]
pub(crate) struct ImageView {
    id: String,
    names: Vec<String>,
    layers: u32,
    bytes: u64,
    last_used_ms: u64,
    containers: u32,
}

impl From<v1::Image> for ImageView {
    fn from(image: v1::Image) -> Self {
        let v1::Image {
            id,
            names,
            layers,
            bytes,
            last_used_ms,
            containers,
        } = image;
        Self {
            id,
            names,
            layers,
            bytes,
            last_used_ms,
            containers,
        }
    }
}

impl Row for ImageView {
    const COLUMNS: &'static [Column] = &[
        left("IMAGE"),
        left("NAMES"),
        right("LAYERS"),
        right("SIZE"),
        left("LAST USED"),
        right("CONTAINERS"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.chars().take(SHORT_ID).collect(),
            self.names.join(", "),
            self.layers.to_string(),
            format_size(self.bytes),
            ago(self.last_used_ms),
            self.containers.to_string(),
        ]
    }
}

//! `image`: which image a task runs in.

use std::str::FromStr;

use proffer_types::container::{ImageSpec, PullPolicy};
use proffer_wire::{ConvertError, v1};
use serde::Deserialize;

use crate::spec::either::text_or_fields;

/// An image: its reference, or that and when it is asked for again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Image(pub(crate) ImageSpec);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    reference: String,
    #[serde(default)]
    pull: Pull,
}

/// When an image is looked up at its source again.
#[derive(Debug, Clone, Copy, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pull {
    /// When the agent does not have it
    #[default]
    #[value(name = "missing")]
    Missing,
    /// At every launch
    Always,
    /// Not at all
    Never,
}

text_or_fields!(
    Image,
    Fields,
    "a reference, such as nginx:1.27, or fields, such as {reference: nginx, pull: always}"
);

impl Image {
    /// The same image, looked up at other times.
    pub(crate) fn pulled(mut self, pull: Pull) -> Self {
        self.0.pull = match pull {
            Pull::Missing => PullPolicy::IfMissing,
            Pull::Always => PullPolicy::Always,
            Pull::Never => PullPolicy::Never,
        };
        self
    }
}

impl FromStr for Image {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let message = v1::ImageSpec {
            reference: text.to_owned(),
            ..v1::ImageSpec::default()
        };
        let image = message.try_into().map(Self);
        image.map_err(|error: ConvertError| error.to_string())
    }
}

impl TryFrom<Fields> for Image {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let image: Self = fields.reference.parse()?;
        Ok(image.pulled(fields.pull))
    }
}

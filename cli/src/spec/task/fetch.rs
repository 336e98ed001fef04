//! `fetch`: files a task wants in its sandbox before it starts.

use std::str::FromStr;

use proffer_types::container::Fetch;
use proffer_wire::{ConvertError, v1};
use serde::Deserialize;

use crate::spec::either::text_or_fields;

/// One file or archive.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fetched(pub(crate) Fetch);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    uri: String,
    #[serde(default)]
    sha256: String,
    #[serde(default)]
    destination: String,
    #[serde(default)]
    executable: bool,
    #[serde(default)]
    extract: bool,
    #[serde(default)]
    cache: bool,
}

text_or_fields!(
    Fetched,
    Fields,
    "a URI, or fields, such as {uri: \"https://..\", sha256: .., extract: true}"
);

impl FromStr for Fetched {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        checked(v1::Fetch {
            uri: text.to_owned(),
            ..v1::Fetch::default()
        })
    }
}

impl TryFrom<Fields> for Fetched {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        checked(v1::Fetch {
            uri: fields.uri,
            sha256: fields.sha256,
            destination: fields.destination,
            executable: fields.executable,
            extract: fields.extract,
            cache: fields.cache,
        })
    }
}

fn checked(message: v1::Fetch) -> Result<Fetched, String> {
    let fetch = message.try_into().map(Fetched);
    fetch.map_err(|error: ConvertError| error.to_string())
}

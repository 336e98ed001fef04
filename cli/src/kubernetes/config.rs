//! `ConfigMap` and `Secret`: both become configs, of one space of names.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proffer_wire::container::{config_key, config_name};
use proffer_wire::v1;

use super::Reading;
use super::fields::{Fields, Item};
use super::metadata::Metadata;
use super::tree::Wrong;

type Entries = BTreeMap<String, Vec<u8>>;

/// Reads the rest of a ConfigMap.
pub(super) fn config_map(object: &mut Fields<'_>, metadata: &Metadata) -> Result<v1::Config, Wrong> {
    let mut entries = Entries::new();
    add(&mut entries, object.get("data"), |item| {
        Ok(item.text()?.into_bytes())
    })?;
    add(&mut entries, object.get("binaryData"), decoded)?;
    not_immutable(object)?;
    config(metadata, entries, false)
}

/// Reads the rest of a Secret.
pub(super) fn secret(
    object: &mut Fields<'_>,
    metadata: &Metadata,
    reading: &mut Reading,
) -> Result<v1::Config, Wrong> {
    let mut entries = Entries::new();
    add(&mut entries, object.get("data"), decoded)?;
    // As in Kubernetes, it goes before `data`.
    let mut texts = Entries::new();
    add(&mut texts, object.get("stringData"), |item| {
        Ok(item.text()?.into_bytes())
    })?;
    entries.append(&mut texts);
    if let Some(item) = object.get("type")
        && item.text()? != "Opaque"
    {
        reading.warn(
            &item,
            "the type of a secret is not kept, nor what it demands checked",
        );
    }
    not_immutable(object)?;
    config(metadata, entries, true)
}

fn not_immutable(object: &mut Fields<'_>) -> Result<(), Wrong> {
    object.only(
        "immutable",
        &["false"],
        "; a version of a service keeps what it was made with",
    )
}

fn config(metadata: &Metadata, entries: Entries, secret: bool) -> Result<v1::Config, Wrong> {
    let name = metadata.full_name();
    let named = config_name("name", &name);
    named.map_err(|error| {
        let (place, problem) = (metadata.place, error.to_string());
        Wrong { place, problem }
    })?;
    Ok(v1::Config {
        name,
        entries,
        secret,
    })
}

fn add(
    entries: &mut Entries,
    map: Option<Item<'_>>,
    value: impl Fn(&Item<'_>) -> Result<Vec<u8>, Wrong>,
) -> Result<(), Wrong> {
    for (key, item) in map.map(|map| map.entries()).transpose()?.unwrap_or_default() {
        config_key("key", key).map_err(|error| item.wrong(&error.to_string()))?;
        if entries.insert(key.to_owned(), value(&item)?).is_some() {
            return Err(item.wrong("this key is there twice"));
        }
    }
    Ok(())
}

/// What is decoded may be secret, so it is not quoted.
fn decoded(item: &Item<'_>) -> Result<Vec<u8>, Wrong> {
    let text = item.text()?;
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let decoded = STANDARD.decode(text);
    decoded.map_err(|_| item.wrong("is not base64; a Secret takes plain texts as `stringData`"))
}

/// How a container calls the object: its name, and that it has to be there.
pub(super) fn reference(
    fields: &mut Fields<'_>,
    name: &'static str,
    namespace: &str,
) -> Result<String, Wrong> {
    let item = fields.need(name)?;
    fields.only("optional", &["false"], "; what a pod refers to has to be there")?;
    let full = crate::spec::full_name(item.text()?, Some(namespace));
    config_name("name", &full).map_err(|error| item.wrong(&error.to_string()))?;
    Ok(full)
}

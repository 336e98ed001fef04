//! `metadata`: what an object is called, in which namespace, and its labels.

use std::collections::BTreeMap;

use proffer_types::discovery::DEFAULT_NAMESPACE;

use super::Reading;
use super::fields::{Fields, Item, quoted};
use super::tree::{Place, Wrong};
use crate::spec::full_name;

/// The longest label of a DNS name.
const MAX_LABEL: usize = 63;
/// The longest name of a label, with its prefix.
const MAX_KEY: usize = 253 + 1 + 63;

/// The most labels of a service, and of what selects it.
const MAX_LABELS: usize = 64;

/// What an object is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) labels: BTreeMap<String, String>,
}

impl Metadata {
    /// `NAME`, or `NAME.NAMESPACE` outside the default one.
    pub(super) fn full_name(&self) -> String {
        full_name(self.name.clone(), Some(&self.namespace))
    }
}

/// Reads `metadata` of an object; `given` is the namespace of the command.
pub(super) fn metadata(
    object: &mut Fields<'_>,
    given: Option<&str>,
    reading: &mut Reading,
) -> Result<Metadata, Wrong> {
    let mut fields = object.need("metadata")?.fields()?;
    let name = fields.need("name")?;
    let place = name.place();
    let namespace = match (fields.get("namespace"), given) {
        (Some(item), given) => {
            let namespace = dns_label(&item)?;
            if let Some(given) = given.filter(|given| *given != namespace) {
                return Err(item.wrong(&format!(
                    "`{namespace}` is another namespace than `{given}`, which the command names"
                )));
            }
            namespace
        }
        (None, Some(given)) => given.to_owned(),
        (None, None) => DEFAULT_NAMESPACE.to_owned(),
    };
    let labels = fields.map("labels", |item| labels(&item))?.unwrap_or_default();
    if let Some(item) = fields.get("annotations")
        && !item.text_map()?.is_empty()
    {
        reading.warn(&item, "annotations are not kept");
    }
    fields.refuse("creationTimestamp", "is set by Kubernetes; leave it out")?;
    let name = dns_label(&name)?;
    fields.done()?;
    Ok(Metadata {
        place,
        name,
        namespace,
        labels,
    })
}

/// Whether a text is one label of a DNS name, in lower case.
pub(crate) fn is_dns_label(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=MAX_LABEL).contains(&text.len())
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text.chars().all(|c| edge(c) || c == '-')
}

pub(super) fn dns_label(item: &Item<'_>) -> Result<String, Wrong> {
    let text = item.text()?;
    if !is_dns_label(&text) {
        return Err(item.wrong(&format!(
            "`{}` is not one label of a DNS name: 1 to {MAX_LABEL} lower-case letters, digits and `-`, the first and last not `-`",
            quoted(&text)
        )));
    }
    Ok(text)
}

/// Labels, or what is to be equal to them.
pub(super) fn labels(item: &Item<'_>) -> Result<BTreeMap<String, String>, Wrong> {
    let mut labels = BTreeMap::new();
    for (key, value) in item.entries()? {
        if labels.len() == MAX_LABELS {
            return Err(value.wrong(&format!("at most {MAX_LABELS} are taken")));
        }
        let text = value.text()?;
        let (prefix, name) = key.rsplit_once('/').unwrap_or(("a", key));
        let is_key = !prefix.is_empty() && is_label_text(name) && key.len() <= MAX_KEY;
        let prefix_is_dns = prefix
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
        if !is_key || !prefix_is_dns {
            return Err(value.wrong("is not the name of a label: letters, digits, `-`, `_` and `.`, at most 63, perhaps after a DNS name and `/`"));
        }
        if !text.is_empty() && !is_label_text(&text) {
            return Err(value.wrong(&format!(
                "`{}` is not the value of a label: letters, digits, `-`, `_` and `.`, at most 63",
                quoted(&text)
            )));
        }
        labels.insert(key.to_owned(), text);
    }
    Ok(labels)
}

fn is_label_text(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    (1..=MAX_LABEL).contains(&text.len())
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text.chars().all(|c| edge(c) || "-_.".contains(c))
}

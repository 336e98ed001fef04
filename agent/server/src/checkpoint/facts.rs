//! What the operator said of the agent at its last start, to compare the next one with.

use std::fs;

use proffer_types::{Attribute, FaultDomain, Resources};
use proffer_wire::{ConvertError, v1};
use prost::Message;
use tracing::warn;

use super::{Checkpoints, file};
use crate::AgentError;
use crate::reconfiguration::Facts;

#[derive(Clone, PartialEq, Message)]
struct FactsMessage {
    #[prost(string, tag = "1")]
    hostname: String,
    #[prost(string, tag = "2")]
    address: String,
    /// `region/zone`; empty for none.
    #[prost(string, tag = "3")]
    domain: String,
    /// `name:value`.
    #[prost(string, repeated, tag = "4")]
    attributes: Vec<String>,
    #[prost(message, optional, tag = "5")]
    stated: Option<v1::Resources>,
    #[prost(message, optional, tag = "6")]
    total: Option<v1::Resources>,
}

impl Checkpoints {
    /// Those of the last start, where there are tasks that were placed by them. A file that cannot be read stops nobody:
    /// there is nothing to hold against what is said now.
    pub(crate) fn recover_facts(&self) -> Option<Facts> {
        let tasks = fs::read_dir(self.data_dir.tasks())
            .into_iter()
            .flatten()
            .flatten();
        let mut containers = tasks.filter_map(|entry| super::container_id(&entry.path()));
        containers.next()?;
        let path = self.data_dir.facts();
        let facts = match file::read(&path) {
            Ok(bytes) => decode(&bytes).map_err(|error| error.to_string()),
            Err(file::ReadError::Missing) => return None,
            Err(error) => Err(error.to_string()),
        };
        facts
            .inspect_err(|error| {
                warn!(path = %path.display(), error, "cannot tell what the agent was started with before");
            })
            .ok()
    }

    pub(crate) fn save_facts(&self, facts: &Facts) -> Result<(), AgentError> {
        let path = self.data_dir.facts();
        let written = file::write(&path, &encode(facts), file::Durability::Synced);
        written.map_err(|source| AgentError::SaveFacts { path, source })
    }
}

fn encode(facts: &Facts) -> Vec<u8> {
    let domain = facts.domain.as_ref();
    let attributes = facts.attributes.iter();
    FactsMessage {
        hostname: facts.hostname.clone(),
        address: facts.address.clone(),
        domain: domain.map_or_else(String::new, |at| format!("{}/{}", at.region, at.zone)),
        attributes: attributes
            .map(|attribute| format!("{}:{}", attribute.name, attribute.value))
            .collect(),
        stated: Some((&facts.stated).into()),
        total: Some((&facts.total).into()),
    }
    .encode_to_vec()
}

fn decode(bytes: &[u8]) -> Result<Facts, Box<dyn std::error::Error>> {
    let message = FactsMessage::decode(bytes)?;
    let resources = |found: Option<v1::Resources>| -> Result<Resources, ConvertError> {
        Resources::try_from(found.unwrap_or_default())
    };
    let attributes = message.attributes.iter().map(|text| {
        let (name, value) = text.split_once(':').ok_or("an attribute has no value")?;
        Ok::<_, &str>(Attribute {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    });
    let domain = message.domain.split_once('/').map(|(region, zone)| FaultDomain {
        region: region.to_owned(),
        zone: zone.to_owned(),
    });
    Ok(Facts {
        attributes: attributes.collect::<Result<_, _>>()?,
        hostname: message.hostname,
        address: message.address,
        domain,
        stated: resources(message.stated)?,
        total: resources(message.total)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_as_they_were_written() {
        let facts = Facts {
            hostname: "h".to_owned(),
            address: "10.0.0.1:5051".to_owned(),
            domain: Some(FaultDomain {
                region: "eu".to_owned(),
                zone: "eu-1".to_owned(),
            }),
            attributes: vec![Attribute {
                name: "rack".to_owned(),
                value: "r:1".to_owned(),
            }],
            stated: "cpus(prod):2".parse().unwrap(),
            total: "mem:1GiB;ports:[1-9];cpus(prod):2".parse().unwrap(),
        };
        assert_eq!(decode(&encode(&facts)).unwrap(), facts);
    }
}

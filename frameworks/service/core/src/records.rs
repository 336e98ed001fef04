//! The durable records, and how they are read back.
//!
//! | key | value |
//! |---|---|
//! | `service/<name>` | a `ServiceRecord` |
//! | `version/<name>/<number, 20 digits>` | a `VersionRecord` |
//! | `replica/<name>/<slot, 5 digits>` | an `InstanceRecord` and a `SlotRecord`, once the slot was started |
//! | `virtual/<name>` | a `VirtualService` |
//! | `address/<name>` | an `AddressRecord`: the address of a virtual service, or of a service that is exposed |
//! | `policy/<name>` | a `NetworkPolicy` |
//! | `scaling/<name>` | the log of decisions of a service that scales by itself, once there was one |
//! | `config/<name>/<revision, 20 digits>` | a `ConfigRecord` |
//! | `token_key` | what tokens of tasks are made with, once there was a config: 32 bytes |
//! | `start_floor` | a `FloorRecord`: the greatest start number of all deleted services |
//!
//! What is read is what was written, exactly; fields are only ever added, under new numbers.

mod slot;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

use proffer_session::RecoverError;
use proffer_types::Timestamp;
use proffer_types::policy::NetworkPolicy;
use proffer_wire::v1;
use prost::Message;

use crate::autoscale::Log;
use crate::configs::{Key, Revision};
use crate::discovery::VirtualService;
use crate::service::{Kept, Service};
use crate::slot::Slot;
use crate::spec::ServiceSpec;
use crate::version::{Outcome, Version};

pub(crate) use self::slot::write as slot;
use self::version::DeploymentRecord;
pub(crate) use self::version::write as version;

const SERVICE_PREFIX: &str = "service/";
const VERSION_PREFIX: &str = "version/";
const SCALING_PREFIX: &str = "scaling/";
const REPLICA_PREFIX: &str = "replica/";
const VIRTUAL_PREFIX: &str = "virtual/";
const ADDRESS_PREFIX: &str = "address/";
const POLICY_PREFIX: &str = "policy/";
const CONFIG_PREFIX: &str = "config/";
pub(crate) const TOKEN_KEY: &str = "token_key";
pub(crate) const FLOOR_KEY: &str = "start_floor";

/// Fields 1 to 3 were the spec, field by field.
#[derive(Clone, PartialEq, Message)]
struct ServiceRecord {
    #[prost(uint64, tag = "4")]
    version: u64,
    #[prost(bool, tag = "5")]
    deleting: bool,
    #[prost(uint64, tag = "6")]
    start_floor: u64,
    /// The shape of the only version, as long as there were no records of versions.
    #[prost(uint64, tag = "7")]
    number: u64,
    #[prost(message, optional, tag = "8")]
    spec: Option<v1::ServiceSpec>,
    #[prost(uint64, optional, tag = "9")]
    good: Option<u64>,
    #[prost(message, optional, tag = "10")]
    deployment: Option<DeploymentRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct FloorRecord {
    #[prost(uint64, tag = "1")]
    start: u64,
}

#[derive(Clone, PartialEq, Message)]
struct AddressRecord {
    #[prost(fixed32, tag = "1")]
    ipv4: u32,
}

#[derive(Clone, PartialEq, Message)]
struct ConfigRecord {
    #[prost(message, optional, tag = "1")]
    config: Option<v1::Config>,
    #[prost(uint64, tag = "2")]
    changed_ms: u64,
}

/// What the records say.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) start_floor: u64,
    pub(crate) virtuals: BTreeMap<String, VirtualService>,
    pub(crate) addresses: BTreeMap<String, Ipv4Addr>,
    pub(crate) policies: BTreeMap<String, NetworkPolicy>,
    /// What was decided of the number of replicas, by service.
    pub(crate) logs: BTreeMap<String, Log>,
    /// By name and number.
    pub(crate) configs: BTreeMap<String, BTreeMap<u64, Revision>>,
    pub(crate) token_key: Option<Key>,
}

pub(crate) fn service_key(name: &str) -> String {
    format!("{SERVICE_PREFIX}{name}")
}

pub(crate) fn version_key(name: &str, number: u64) -> String {
    format!("{VERSION_PREFIX}{name}/{number:020}")
}

pub(crate) fn scaling_key(name: &str) -> String {
    format!("{SCALING_PREFIX}{name}")
}

pub(crate) fn slot_key(name: &str, slot: u32) -> String {
    format!("{REPLICA_PREFIX}{name}/{slot:05}")
}

pub(crate) fn virtual_key(name: &str) -> String {
    format!("{VIRTUAL_PREFIX}{name}")
}

pub(crate) fn address_key(name: &str) -> String {
    format!("{ADDRESS_PREFIX}{name}")
}

pub(crate) fn policy_key(name: &str) -> String {
    format!("{POLICY_PREFIX}{name}")
}

pub(crate) fn policy(of: &NetworkPolicy) -> Vec<u8> {
    v1::NetworkPolicy::from(of).encode_to_vec()
}

pub(crate) fn config_key(name: &str, number: u64) -> String {
    format!("{CONFIG_PREFIX}{name}/{number:020}")
}

pub(crate) fn config(name: &str, revision: &Revision) -> Vec<u8> {
    let config = v1::Config {
        name: name.to_owned(),
        entries: (*revision.entries).clone(),
        secret: revision.secret,
    };
    let record = ConfigRecord {
        config: Some(config),
        changed_ms: revision.changed.0,
    };
    record.encode_to_vec()
}

pub(crate) fn token_key(key: &[u8; 32]) -> Vec<u8> {
    key.to_vec()
}

pub(crate) fn virtual_service(of: &VirtualService) -> Vec<u8> {
    v1::VirtualService::from(of).encode_to_vec()
}

pub(crate) fn address(address: Ipv4Addr) -> Vec<u8> {
    let ipv4 = address.to_bits();
    AddressRecord { ipv4 }.encode_to_vec()
}

pub(crate) fn service(service: &Service) -> Vec<u8> {
    let record = ServiceRecord {
        spec: Some((&service.spec).into()),
        version: service.version,
        deleting: service.deleting,
        start_floor: service.start_floor,
        number: 0,
        good: service.good,
        deployment: service.deployment.as_ref().map(Into::into),
    };
    record.encode_to_vec()
}

pub(crate) fn floor(start: u64) -> Vec<u8> {
    FloorRecord { start }.encode_to_vec()
}

/// Reads all records, in any order.
pub(crate) fn read(records: &[(String, Vec<u8>)]) -> Result<Recovered, RecoverError> {
    let mut slots: BTreeMap<&str, BTreeMap<_, _>> = BTreeMap::new();
    let mut versions: BTreeMap<&str, BTreeMap<_, _>> = BTreeMap::new();
    let mut services = Vec::new();
    let mut recovered = Recovered::default();
    for (key, value) in records {
        if let Some(name) = key.strip_prefix(SERVICE_PREFIX) {
            let record = ServiceRecord::decode(&**value).map_err(|error| RecoverError::new(key, error))?;
            services.push((key, name, record));
        } else if let Some((name, number)) = split(key, VERSION_PREFIX) {
            let version = version::read(number, value).map_err(|why| RecoverError::new(key, why))?;
            versions.entry(name).or_default().insert(number, version);
        } else if let Some((name, number)) = split(key, REPLICA_PREFIX) {
            let slot = slot::read(number, value).map_err(|why| RecoverError::new(key, why))?;
            slots.entry(name).or_default().insert(number, slot);
        } else if let Some(name) = key.strip_prefix(SCALING_PREFIX) {
            let log = Log::read(value).map_err(|error| RecoverError::new(key, error))?;
            recovered.logs.insert(name.to_owned(), log);
        } else if let Some((name, number)) = split(key, CONFIG_PREFIX) {
            let revision = revision(value).map_err(|error| RecoverError::new(key, error))?;
            let revisions = recovered.configs.entry(name.to_owned()).or_default();
            revisions.insert(number, revision);
        } else if key == TOKEN_KEY {
            let bytes = <[u8; 32]>::try_from(&**value);
            let bytes = bytes.map_err(|_| RecoverError::new(key, "is not 32 bytes"))?;
            recovered.token_key = Some(Key::new(bytes));
        } else if key == FLOOR_KEY {
            let record = FloorRecord::decode(&**value).map_err(|error| RecoverError::new(key, error))?;
            recovered.start_floor = record.start;
        } else if let Some(name) = key.strip_prefix(VIRTUAL_PREFIX) {
            let message =
                v1::VirtualService::decode(&**value).map_err(|error| RecoverError::new(key, error))?;
            let of = VirtualService::try_from(message).map_err(|error| RecoverError::new(key, error))?;
            recovered.virtuals.insert(name.to_owned(), of);
        } else if let Some(name) = key.strip_prefix(POLICY_PREFIX) {
            let message =
                v1::NetworkPolicy::decode(&**value).map_err(|error| RecoverError::new(key, error))?;
            let of = NetworkPolicy::try_from(message).map_err(|error| RecoverError::new(key, error))?;
            recovered.policies.insert(name.to_owned(), of);
        } else if let Some(name) = key.strip_prefix(ADDRESS_PREFIX) {
            let record = AddressRecord::decode(&**value).map_err(|error| RecoverError::new(key, error))?;
            let address = Ipv4Addr::from_bits(record.ipv4);
            recovered.addresses.insert(name.to_owned(), address);
        } else {
            return Err(RecoverError::new(
                key,
                "no such record; is it of a newer version?",
            ));
        }
    }
    for (key, name, record) in services {
        let slots = slots.remove(name).unwrap_or_default();
        let versions = versions.remove(name).unwrap_or_default();
        let instances = slots.values().flat_map(Slot::instances);
        let in_use: BTreeSet<u64> = instances.map(|(_, instance)| instance.version).collect();
        let kept = kept(record, versions, &in_use).map_err(|why| RecoverError::new(key, why))?;
        recovered
            .services
            .insert(name.to_owned(), Service::recover(kept, slots));
    }
    if let Some((name, _)) = slots.first_key_value() {
        let key = service_key(name);
        return Err(RecoverError::new(
            key,
            "it is missing, but its replicas are there",
        ));
    }
    Ok(recovered)
}

/// What is durable of a service. Of one that was written before there were records of versions only the last is known: what
/// still runs an earlier one is replaced.
fn kept(
    record: ServiceRecord,
    mut versions: BTreeMap<u64, Version>,
    in_use: &BTreeSet<u64>,
) -> Result<Kept, String> {
    let spec = record.spec.ok_or("it has no spec")?;
    let spec = ServiceSpec::try_from(spec).map_err(|error| error.to_string())?;
    let mut good = record.good;
    if versions.is_empty() {
        let mut only = Version::new(
            record.version,
            record.number,
            &spec,
            BTreeMap::new(),
            Timestamp(0),
        );
        only.outcome = Outcome::Good;
        for number in in_use {
            let outcome = Outcome::Superseded;
            let number = *number;
            versions.insert(
                number,
                Version {
                    number,
                    outcome,
                    ..only.clone()
                },
            );
        }
        versions.insert(record.version, only);
        good = Some(record.version);
    }
    let mut needed = in_use.iter().chain([&record.version]);
    if let Some(number) = needed.find(|number| !versions.contains_key(number)) {
        return Err(format!("there is no record of its version {number}"));
    }
    Ok(Kept {
        spec,
        version: record.version,
        versions,
        good,
        deployment: record.deployment.map(Into::into),
        deleting: record.deleting,
        start_floor: record.start_floor,
    })
}

fn revision(value: &[u8]) -> Result<Revision, prost::DecodeError> {
    let record = ConfigRecord::decode(value)?;
    let config = record.config.unwrap_or_default();
    Ok(Revision {
        entries: Arc::new(config.entries),
        secret: config.secret,
        changed: Timestamp(record.changed_ms),
    })
}

fn split<'a, T: FromStr>(key: &'a str, prefix: &str) -> Option<(&'a str, T)> {
    let (name, number) = key.strip_prefix(prefix)?.split_once('/')?;
    Some((name, number.parse().ok()?))
}

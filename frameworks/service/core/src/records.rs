//! The durable records, and how they are read back.
//!
//! | key | value |
//! |---|---|
//! | `service/<name>` | a `ServiceRecord` |
//! | `replica/<name>/<slot, 5 digits>` | a `ReplicaRecord`, once the slot was started |
//! | `start_floor` | a `FloorRecord`: the greatest start number of all deleted services |
//!
//! What is read is what was written, exactly; fields are only ever added, under new numbers.

mod replica;

use std::collections::BTreeMap;

use proffer_session::RecoverError;
use proffer_wire::v1;
use prost::Message;

use crate::service::{Kept, Service};

pub(crate) use self::replica::write as replica;

const SERVICE_PREFIX: &str = "service/";
const REPLICA_PREFIX: &str = "replica/";
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
    #[prost(uint64, tag = "7")]
    number: u64,
    #[prost(message, optional, tag = "8")]
    spec: Option<v1::ServiceSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct FloorRecord {
    #[prost(uint64, tag = "1")]
    start: u64,
}

/// What the records say.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) start_floor: u64,
}

pub(crate) fn service_key(name: &str) -> String {
    format!("{SERVICE_PREFIX}{name}")
}

pub(crate) fn replica_key(name: &str, slot: u32) -> String {
    format!("{REPLICA_PREFIX}{name}/{slot:05}")
}

pub(crate) fn service(service: &Service) -> Vec<u8> {
    let record = ServiceRecord {
        spec: Some((&service.spec).into()),
        version: service.version,
        deleting: service.deleting,
        start_floor: service.start_floor,
        number: service.number,
    };
    record.encode_to_vec()
}

pub(crate) fn floor(start: u64) -> Vec<u8> {
    FloorRecord { start }.encode_to_vec()
}

/// Reads all records, in any order.
pub(crate) fn read(records: &[(String, Vec<u8>)]) -> Result<Recovered, RecoverError> {
    let mut replicas: BTreeMap<&str, BTreeMap<_, _>> = BTreeMap::new();
    let mut services = Vec::new();
    let mut start_floor = 0;
    for (key, value) in records {
        if let Some(name) = key.strip_prefix(SERVICE_PREFIX) {
            let record = ServiceRecord::decode(&**value).map_err(|error| RecoverError::new(key, error))?;
            services.push((key, name, record));
        } else if let Some((name, slot)) = split_replica(key) {
            let replica = replica::read(slot, value).map_err(|why| RecoverError::new(key, why))?;
            replicas.entry(name).or_default().insert(slot, replica);
        } else if key == FLOOR_KEY {
            let record = FloorRecord::decode(&**value).map_err(|error| RecoverError::new(key, error))?;
            start_floor = record.start;
        } else {
            return Err(RecoverError::new(
                key,
                "no such record; is it of a newer version?",
            ));
        }
    }
    let mut recovered = Recovered {
        start_floor,
        ..Recovered::default()
    };
    for (key, name, record) in services {
        let replicas = replicas.remove(name).unwrap_or_default();
        let spec = record
            .spec
            .ok_or_else(|| RecoverError::new(key, "it has no spec"))?;
        let spec = spec.try_into().map_err(|error| RecoverError::new(key, error))?;
        let kept = Kept {
            number: record.number,
            version: record.version,
            deleting: record.deleting,
            start_floor: record.start_floor,
        };
        let service = Service::recover(spec, kept, replicas);
        recovered.services.insert(name.to_owned(), service);
    }
    if let Some((name, _)) = replicas.first_key_value() {
        let key = service_key(name);
        return Err(RecoverError::new(
            key,
            "it is missing, but its replicas are there",
        ));
    }
    Ok(recovered)
}

fn split_replica(key: &str) -> Option<(&str, u32)> {
    let (name, slot) = key.strip_prefix(REPLICA_PREFIX)?.split_once('/')?;
    Some((name, slot.parse().ok()?))
}

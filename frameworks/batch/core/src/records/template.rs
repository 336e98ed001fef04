//! Durable records of templates. Their runs are jobs.

use proffer_session::RecoverError;
use proffer_types::Timestamp;
use proffer_wire::v1;
use prost::Message;

use super::{Record, decode};
use crate::template::TemplateJob;

pub(super) const TEMPLATES: &str = "batch/template/";

#[derive(Clone, PartialEq, Message)]
struct TemplateRecord {
    #[prost(uint64, tag = "1")]
    submitted_ms: u64,
    #[prost(message, optional, tag = "2")]
    spec: Option<v1::JobSpec>,
    #[prost(uint64, optional, tag = "3")]
    cancelled_ms: Option<u64>,
}

pub(crate) fn template(job: &TemplateJob) -> (String, Vec<u8>) {
    let record = TemplateRecord {
        submitted_ms: job.submitted.0,
        spec: Some(job.spec.as_ref().into()),
        cancelled_ms: job.cancelled.map(|cancelled| cancelled.0),
    };
    (template_key(job.number), record.encode_to_vec())
}

pub(crate) fn template_key(number: u64) -> String {
    format!("{TEMPLATES}{number:020}")
}

/// Understands one record, by what follows the prefix of its key.
pub(super) fn read(key: &str, number: &str, value: &[u8]) -> Result<Record, RecoverError> {
    let record = decode::<TemplateRecord>(key, value)?;
    let spec = record
        .spec
        .ok_or_else(|| RecoverError::new(key, "it has no spec"))?;
    Ok(Record::Template {
        number: number.parse().map_err(|error| RecoverError::new(key, error))?,
        spec: spec.try_into().map_err(|error| RecoverError::new(key, error))?,
        submitted: Timestamp(record.submitted_ms),
        cancelled: record.cancelled_ms.map(Timestamp),
    })
}

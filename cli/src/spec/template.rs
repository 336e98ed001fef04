//! What a job takes that is dispatched: `parameters: { day: { default: today }, region: { required: true } }`, `payload: optional`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use proffer_wire::v1;
use serde::Deserialize;

use super::Whole;

/// One parameter.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParameterFile {
    #[serde(default)]
    required: bool,
    #[serde(default)]
    default: String,
    #[serde(default)]
    description: String,
}

impl From<ParameterFile> for v1::JobParameter {
    fn from(file: ParameterFile) -> Self {
        Self {
            required: file.required,
            default: file.default,
            description: file.description,
        }
    }
}

/// Whether a run takes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PayloadFile {
    None,
    Optional,
    Required,
}

impl From<PayloadFile> for v1::JobPayload {
    fn from(payload: PayloadFile) -> Self {
        match payload {
            PayloadFile::None => Self::None,
            PayloadFile::Optional => Self::Optional,
            PayloadFile::Required => Self::Required,
        }
    }
}

/// What the fields of a job file say together.
pub(super) fn template(
    parameters: Option<BTreeMap<String, ParameterFile>>,
    payload: Option<PayloadFile>,
    history: Option<Whole<NonZeroU32>>,
) -> v1::JobTemplate {
    let parameters = parameters.unwrap_or_default().into_iter();
    v1::JobTemplate {
        parameters: parameters
            .map(|(name, parameter)| (name, parameter.into()))
            .collect(),
        payload: payload.map_or(v1::JobPayload::None, Into::into).into(),
        history: history.map_or(0, |history| history.0.get()),
    }
}

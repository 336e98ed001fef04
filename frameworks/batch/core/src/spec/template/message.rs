//! Templates and what was dispatched as messages.

use proffer_wire::{ConvertError, v1};

use super::{Dispatch, Parameter, Payload, Template};

impl TryFrom<v1::JobTemplate> for Template {
    type Error = ConvertError;

    fn try_from(message: v1::JobTemplate) -> Result<Self, ConvertError> {
        let payload = v1::JobPayload::try_from(message.payload);
        let payload = match payload.map_err(|error| ConvertError::new("payload", error))? {
            v1::JobPayload::Unspecified | v1::JobPayload::None => Payload::None,
            v1::JobPayload::Optional => Payload::Optional,
            v1::JobPayload::Required => Payload::Required,
        };
        let parameters = message.parameters.into_iter();
        let parameters = parameters.map(|(name, parameter)| {
            let v1::JobParameter {
                required,
                default,
                description,
            } = parameter;
            let parameter = Parameter {
                required,
                default,
                description,
            };
            (name, parameter)
        });
        Ok(Self {
            parameters: parameters.collect(),
            payload,
            history: message.history,
        })
    }
}

impl From<&Template> for v1::JobTemplate {
    fn from(template: &Template) -> Self {
        let parameters = template.parameters.iter().map(|(name, parameter)| {
            let parameter = v1::JobParameter {
                required: parameter.required,
                default: parameter.default.clone(),
                description: parameter.description.clone(),
            };
            (name.clone(), parameter)
        });
        let payload = match template.payload {
            Payload::None => v1::JobPayload::None,
            Payload::Optional => v1::JobPayload::Optional,
            Payload::Required => v1::JobPayload::Required,
        };
        Self {
            parameters: parameters.collect(),
            payload: payload.into(),
            history: template.history,
        }
    }
}

impl From<v1::JobDispatch> for Dispatch {
    fn from(message: v1::JobDispatch) -> Self {
        let v1::JobDispatch {
            token,
            values,
            payload,
        } = message;
        Self {
            token,
            values,
            payload,
        }
    }
}

impl From<&Dispatch> for v1::JobDispatch {
    fn from(dispatch: &Dispatch) -> Self {
        Self {
            token: dispatch.token.clone(),
            values: dispatch.values.clone(),
            payload: dispatch.payload.clone(),
        }
    }
}

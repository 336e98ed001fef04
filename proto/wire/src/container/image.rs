//! Which image a task runs in.

use proffer_types::container::{ImageSpec, PullPolicy};

use super::names;
use crate::error::{At as _, ConvertError, quoted};
use crate::text::at_most;
use crate::v1;

/// The longest reference of an image in a registry, in bytes: 255 of a name, 128 of a tag, and a digest fit.
pub const MAX_IMAGE_REFERENCE_BYTES: usize = 512;

pub(super) fn optional(message: Option<v1::ImageSpec>) -> Result<Option<ImageSpec>, ConvertError> {
    message.map(TryInto::try_into).transpose().at("image")
}

impl TryFrom<v1::ImageSpec> for ImageSpec {
    type Error = ConvertError;

    fn try_from(message: v1::ImageSpec) -> Result<Self, ConvertError> {
        check_reference(&message.reference)?;
        Ok(Self {
            reference: message.reference,
            pull: match v1::PullPolicy::try_from(message.pull) {
                Ok(v1::PullPolicy::Unspecified | v1::PullPolicy::PullIfMissing) => PullPolicy::IfMissing,
                Ok(v1::PullPolicy::PullAlways) => PullPolicy::Always,
                Ok(v1::PullPolicy::PullNever) => PullPolicy::Never,
                Err(_) => return Err(ConvertError::unknown_number("pull", message.pull)),
            },
        })
    }
}

/// What any reference has in common; the agent parses it.
fn check_reference(reference: &str) -> Result<(), ConvertError> {
    let on_host = ["oci:", "oci-archive:"]
        .iter()
        .find_map(|kind| reference.strip_prefix(kind));
    if let Some(path) = on_host.filter(|rest| rest.starts_with('/')) {
        return names::absolute("reference", path);
    }
    at_most("reference", reference.len(), MAX_IMAGE_REFERENCE_BYTES, "bytes")?;
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '[' | ']');
    let first = reference.chars().next();
    match first.is_some_and(|c| c.is_ascii_alphanumeric() || c == '[') && reference.chars().all(allowed) {
        true => Ok(()),
        false => {
            let problem = format!("{} is not a reference of an image", quoted(reference));
            Err(ConvertError::new("reference", problem))
        }
    }
}

impl From<&ImageSpec> for v1::ImageSpec {
    fn from(image: &ImageSpec) -> Self {
        let pull = match image.pull {
            PullPolicy::IfMissing => v1::PullPolicy::Unspecified,
            PullPolicy::Always => v1::PullPolicy::PullAlways,
            PullPolicy::Never => v1::PullPolicy::PullNever,
        };
        Self {
            reference: image.reference.clone(),
            pull: pull.into(),
        }
    }
}

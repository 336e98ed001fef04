//! Volumes.

use std::collections::BTreeSet;

use proffer_types::container::{Propagation, VolumeSource, VolumeSpec};

use super::names;
use crate::error::{At as _, ConvertError, quoted};
use crate::text::at_most;
use crate::v1;
use crate::v1::volume_spec::{self as message, Source};

/// The most volumes of one task: each is a mount in its namespace, or several.
pub const MAX_VOLUMES: usize = 64;

pub(super) fn all(messages: Vec<v1::VolumeSpec>) -> Result<Vec<VolumeSpec>, ConvertError> {
    at_most("volumes", messages.len(), MAX_VOLUMES, "volumes")?;
    let mut paths = BTreeSet::new();
    let mut one = |message: v1::VolumeSpec| {
        let volume = VolumeSpec::try_from(message)?;
        match paths.insert(names::normal(&volume.container_path)) {
            true => Ok(volume),
            false => {
                let problem = format!("another volume is at {} too", quoted(&volume.container_path));
                Err(ConvertError::new("container_path", problem))
            }
        }
    };
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(index, message)| one(message).at_item("volumes", index))
        .collect()
}

impl TryFrom<v1::VolumeSpec> for VolumeSpec {
    type Error = ConvertError;

    fn try_from(message: v1::VolumeSpec) -> Result<Self, ConvertError> {
        names::absolute("container_path", &message.container_path)?;
        if names::normal(&message.container_path).is_empty() {
            return Err(ConvertError::new("container_path", "is the root"));
        }
        Ok(Self {
            source: source(message.source.ok_or_else(|| ConvertError::missing("source"))?)?,
            container_path: message.container_path,
            read_only: message.read_only,
        })
    }
}

fn source(source: Source) -> Result<VolumeSource, ConvertError> {
    match source {
        Source::HostPath(message) => {
            names::absolute("path", &message.path).at("host_path")?;
            Ok(VolumeSource::HostPath {
                propagation: propagation(message.propagation).at("host_path")?,
                path: message.path,
            })
        }
        Source::Sandbox(message) => {
            names::relative("path", &message.path).at("sandbox")?;
            Ok(VolumeSource::Sandbox { path: message.path })
        }
        Source::Group(message) => {
            names::object("name", &message.name).at("group")?;
            Ok(VolumeSource::Group { name: message.name })
        }
        Source::Tmpfs(message) => match message.size {
            Some(0) => Err(ConvertError::new("size", "is 0").under("tmpfs")),
            size => Ok(VolumeSource::Tmpfs { size }),
        },
        Source::Secret(message) => {
            names::object("name", &message.name).at("secret")?;
            Ok(VolumeSource::Secret { name: message.name })
        }
        Source::Image(message) => Ok(VolumeSource::Image(message.try_into().at("image")?)),
        Source::Config(message) => Ok(VolumeSource::Config(message.try_into().at("config")?)),
    }
}

fn propagation(number: i32) -> Result<Propagation, ConvertError> {
    match v1::Propagation::try_from(number) {
        Ok(v1::Propagation::Unspecified | v1::Propagation::Private) => Ok(Propagation::Private),
        Ok(v1::Propagation::HostToContainer) => Ok(Propagation::HostToContainer),
        Ok(v1::Propagation::Bidirectional) => Ok(Propagation::Bidirectional),
        Err(_) => Err(ConvertError::unknown_number("propagation", number)),
    }
}

impl From<&VolumeSpec> for v1::VolumeSpec {
    fn from(volume: &VolumeSpec) -> Self {
        Self {
            container_path: volume.container_path.clone(),
            read_only: volume.read_only,
            source: Some(source_message(&volume.source)),
        }
    }
}

fn source_message(source: &VolumeSource) -> Source {
    match source {
        VolumeSource::HostPath { path, propagation } => {
            let propagation = match propagation {
                Propagation::Private => v1::Propagation::Unspecified,
                Propagation::HostToContainer => v1::Propagation::HostToContainer,
                Propagation::Bidirectional => v1::Propagation::Bidirectional,
            };
            Source::HostPath(message::HostPath {
                path: path.clone(),
                propagation: propagation.into(),
            })
        }
        VolumeSource::Sandbox { path } => Source::Sandbox(message::Sandbox { path: path.clone() }),
        VolumeSource::Group { name } => Source::Group(message::Group { name: name.clone() }),
        VolumeSource::Tmpfs { size } => Source::Tmpfs(message::Tmpfs { size: *size }),
        VolumeSource::Secret { name } => Source::Secret(message::Secret { name: name.clone() }),
        VolumeSource::Image(image) => Source::Image(image.into()),
        VolumeSource::Config(files) => Source::Config(files.into()),
    }
}

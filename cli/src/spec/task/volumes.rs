//! `volumes`: directories and files beside the root and the sandbox.

use std::collections::BTreeMap;
use std::str::FromStr;

use proffer_types::container::{ConfigFiles, DEFAULT_CONFIG_MODE, Propagation, VolumeSource, VolumeSpec};
use proffer_wire::{ConvertError, v1};
use serde::Deserialize;

use super::image::Image;
use crate::spec::Bytes;
use crate::spec::either::from_text;

/// One volume.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Fields")]
pub(crate) struct Volume(pub(crate) VolumeSpec);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    path: String,
    host: Option<String>,
    sandbox: Option<String>,
    group: Option<String>,
    tmpfs: Option<Size>,
    secret: Option<String>,
    config: Option<String>,
    #[serde(default)]
    items: BTreeMap<String, String>,
    mode: Option<Mode>,
    image: Option<Image>,
    #[serde(default)]
    read_only: bool,
    propagation: Option<Seen>,
}

/// Of a tmpfs: a size, or half of the task's memory.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Size(Option<u64>);

from_text!(Size);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "half" => Ok(Self(None)),
            text => match text.parse::<Bytes>() {
                Ok(bytes) => Ok(Self(Some(bytes.0))),
                Err(error) => Err(format!("{error}, or `half` for half of the task's memory")),
            },
        }
    }
}

/// Permissions of files, as chmod(1) writes them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mode(u32);

from_text!(Mode);

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // With a leading 0, so that nobody takes it for a decimal number.
        let digits = text.strip_prefix('0').filter(|digits| !digits.is_empty());
        let mode = digits.and_then(|digits| u32::from_str_radix(digits, 8).ok());
        let mode = mode.filter(|mode| (1..=0o777).contains(mode));
        mode.map(Self)
            .ok_or_else(|| format!("`{text}` is no mode such as \"0440\""))
    }
}

/// Whether mounts made later are seen on the other side.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Seen {
    Private,
    HostToContainer,
    Bidirectional,
}

impl TryFrom<Fields> for Volume {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let propagation = match fields.propagation {
            Some(_) if fields.host.is_none() => return Err("propagation is for host paths".to_owned()),
            None | Some(Seen::Private) => Propagation::Private,
            Some(Seen::HostToContainer) => Propagation::HostToContainer,
            Some(Seen::Bidirectional) => Propagation::Bidirectional,
        };
        if fields.config.is_none() && (fields.mode.is_some() || !fields.items.is_empty()) {
            return Err("items and mode are for configs".to_owned());
        }
        let (items, mode) = (
            fields.items,
            fields.mode.map_or(DEFAULT_CONFIG_MODE, |mode| mode.0),
        );
        let config = |config| VolumeSource::Config(ConfigFiles { config, items, mode });
        let sources = [
            fields
                .host
                .map(|path| VolumeSource::HostPath { path, propagation }),
            fields.sandbox.map(|path| VolumeSource::Sandbox { path }),
            fields.group.map(|name| VolumeSource::Group { name }),
            fields.tmpfs.map(|size| VolumeSource::Tmpfs { size: size.0 }),
            fields.secret.map(|name| VolumeSource::Secret { name }),
            fields.config.map(config),
            fields.image.map(|image| VolumeSource::Image(image.0)),
        ];
        let mut sources = sources.into_iter().flatten();
        match (sources.next(), sources.next()) {
            (Some(source), None) => Self::checked(fields.path, source, fields.read_only),
            (None, _) | (_, Some(_)) => {
                Err("a volume needs one of host, sandbox, group, tmpfs, secret, config and image".to_owned())
            }
        }
    }
}

impl Volume {
    /// A volume that the wire takes.
    pub(crate) fn checked(
        container_path: String,
        source: VolumeSource,
        read_only: bool,
    ) -> Result<Self, String> {
        let spec = VolumeSpec {
            container_path,
            source,
            read_only,
        };
        let checked = VolumeSpec::try_from(v1::VolumeSpec::from(&spec));
        checked.map(Self).map_err(|error: ConvertError| error.to_string())
    }

    /// `HOST:PATH[:ro]`, as Docker has it.
    pub(crate) fn host(text: &str) -> Result<Self, String> {
        let (text, read_only) = match text.strip_suffix(":ro") {
            Some(text) => (text, true),
            None => (text.strip_suffix(":rw").unwrap_or(text), false),
        };
        let (host, path) = text
            .split_once(':')
            // A colon in a path takes the long form of a file.
            .filter(|(host, path)| host.starts_with('/') && !path.contains(':'))
            .ok_or_else(|| {
                format!(
                    "`{text}` is not HOST:PATH or HOST:PATH:ro, with an absolute path of the agent's host"
                )
            })?;
        let source = VolumeSource::HostPath {
            path: host.to_owned(),
            propagation: Propagation::Private,
        };
        Self::checked(path.to_owned(), source, read_only)
    }

    /// `PATH[:SIZE]`.
    pub(crate) fn tmpfs(text: &str) -> Result<Self, String> {
        let (path, size) = match text.split_once(':') {
            Some((path, size)) => (path, size.parse()?),
            None => (text, Size(None)),
        };
        Self::checked(path.to_owned(), VolumeSource::Tmpfs { size: size.0 }, false)
    }

    /// `NAME:PATH`.
    pub(crate) fn secret(text: &str) -> Result<Self, String> {
        let (name, path) = text
            .split_once(':')
            .ok_or_else(|| format!("`{text}` is not NAME:PATH"))?;
        let source = VolumeSource::Secret {
            name: name.to_owned(),
        };
        Self::checked(path.to_owned(), source, true)
    }
}

//! `capabilities`, `seccomp`, `user_namespace`, `devices`: what a task may do beyond running.

use std::str::FromStr;

use proffer_types::container::{Capability, DeviceAccess, DeviceSpec, Seccomp, UserNamespace};
use proffer_wire::{ConvertError, v1};
use serde::Deserialize;

use crate::spec::either::from_text;

/// Capabilities beside the default ones, and those to do without.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capabilities {
    #[serde(default)]
    pub(crate) add: Vec<CapabilityName>,
    /// `ALL` is all of the default ones.
    #[serde(default)]
    pub(crate) drop: Vec<CapabilityName>,
}

/// A capability by name, or `ALL`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum CapabilityName {
    One(Capability),
    All,
}

impl FromStr for CapabilityName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text.eq_ignore_ascii_case("all"), Capability::from_name(text)) {
            (true, _) => Ok(Self::All),
            (false, Some(capability)) => Ok(Self::One(capability)),
            (false, None) => Err(format!("`{text}` is not a capability, such as NET_ADMIN")),
        }
    }
}

/// Without repetitions; `ALL` is replaced by what it stands for and is not said beside it.
pub(super) fn listed(named: &[CapabilityName], all: &[Capability], beside: &[Capability]) -> Vec<Capability> {
    let mut listed: Vec<_> = named
        .iter()
        .flat_map(|named| match named {
            CapabilityName::One(capability) => vec![*capability],
            CapabilityName::All => all.iter().filter(|one| !beside.contains(one)).copied().collect(),
        })
        .collect();
    listed.sort();
    listed.dedup();
    listed
}

/// `unconfined`, or the name of a profile.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeccompChoice(pub(crate) Seccomp);

impl FromStr for SeccompChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "default" => Seccomp::Default,
            "unconfined" => Seccomp::Unconfined,
            name => Seccomp::Profile(name.to_owned()),
        }))
    }
}

/// Whose user ids a task has.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UserIds {
    /// Its own: root in the task is nobody outside
    Private,
    /// The host's
    Host,
}

impl From<UserIds> for UserNamespace {
    fn from(ids: UserIds) -> Self {
        match ids {
            UserIds::Private => Self::Private,
            UserIds::Host => Self::Host,
        }
    }
}

/// One device of the host, such as `/dev/fuse:rw`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Device(pub(crate) DeviceSpec);

impl FromStr for Device {
    type Err = String;

    /// Reads `PATH` or `PATH:rwm`; without letters it is read and written.
    fn from_str(text: &str) -> Result<Self, String> {
        let (path, letters) = text.rsplit_once(':').unwrap_or((text, "rw"));
        if letters.is_empty() || !letters.chars().all(|letter| "rwm".contains(letter)) {
            return Err(format!("`{text}` is not PATH or PATH:rwm, such as /dev/fuse:rw"));
        }
        let spec = DeviceSpec {
            path: path.to_owned(),
            access: DeviceAccess {
                read: letters.contains('r'),
                write: letters.contains('w'),
                mknod: letters.contains('m'),
            },
        };
        let checked = DeviceSpec::try_from(v1::DeviceSpec::from(&spec));
        checked.map(Self).map_err(|error: ConvertError| error.to_string())
    }
}

from_text!(CapabilityName, SeccompChoice, Device);

//! What a task may do beyond running.

use std::collections::BTreeSet;

use proffer_types::container::{Capability, DeviceAccess, DeviceSpec, Seccomp, Security, UserNamespace};

use super::names;
use crate::error::{At as _, ConvertError, quoted};
use crate::text::at_most;
use crate::v1;

/// The most devices of one task: each is an instruction or two of the program that guards them.
pub const MAX_DEVICES: usize = 64;

impl TryFrom<v1::Security> for Security {
    type Error = ConvertError;

    fn try_from(message: v1::Security) -> Result<Self, ConvertError> {
        let add = capabilities("add_capabilities", &message.add_capabilities)?;
        let drop = capabilities("drop_capabilities", &message.drop_capabilities)?;
        if let Some(both) = add.iter().find(|capability| drop.contains(capability)) {
            let problem = format!("{} is added too", both.as_str());
            return Err(ConvertError::new("drop_capabilities", problem));
        }
        Ok(Self {
            add_capabilities: add,
            drop_capabilities: drop,
            may_gain_privileges: message.may_gain_privileges,
            seccomp: seccomp(message.seccomp)?,
            user_namespace: match v1::UserNamespace::try_from(message.user_namespace) {
                Ok(v1::UserNamespace::Unspecified | v1::UserNamespace::Private) => UserNamespace::Private,
                Ok(v1::UserNamespace::Host) => UserNamespace::Host,
                Err(_) => {
                    return Err(ConvertError::unknown_number(
                        "user_namespace",
                        message.user_namespace,
                    ));
                }
            },
            read_only_root: message.read_only_root,
            devices: devices(message.devices)?,
        })
    }
}

fn capabilities(field: &str, texts: &[String]) -> Result<Vec<Capability>, ConvertError> {
    at_most(field, texts.len(), Capability::ALL.len(), "capabilities")?;
    let mut seen = BTreeSet::new();
    let one = |(index, text): (usize, &String)| {
        let refuse = |why: &str| {
            let problem = format!("{} {why}", quoted(text));
            ConvertError::new(&format!("{field}[{index}]"), problem)
        };
        let capability = Capability::from_name(text).ok_or_else(|| refuse("is not a capability"))?;
        match seen.insert(capability) {
            true => Ok(capability),
            false => Err(refuse("is there twice")),
        }
    };
    texts.iter().enumerate().map(one).collect()
}

fn seccomp(message: Option<v1::security::Seccomp>) -> Result<Seccomp, ConvertError> {
    match message {
        None | Some(v1::security::Seccomp::SeccompUnconfined(false)) => Ok(Seccomp::Default),
        Some(v1::security::Seccomp::SeccompUnconfined(true)) => Ok(Seccomp::Unconfined),
        Some(v1::security::Seccomp::SeccompProfile(name)) => {
            names::object("seccomp_profile", &name)?;
            Ok(Seccomp::Profile(name))
        }
    }
}

fn devices(messages: Vec<v1::DeviceSpec>) -> Result<Vec<DeviceSpec>, ConvertError> {
    at_most("devices", messages.len(), MAX_DEVICES, "devices")?;
    let mut paths = BTreeSet::new();
    let mut one = |message: v1::DeviceSpec| {
        let device = DeviceSpec::try_from(message)?;
        match paths.insert(names::normal(&device.path)) {
            true => Ok(device),
            false => {
                let problem = format!("{} is there twice", quoted(&device.path));
                Err(ConvertError::new("path", problem))
            }
        }
    };
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(index, message)| one(message).at_item("devices", index))
        .collect()
}

impl TryFrom<v1::DeviceSpec> for DeviceSpec {
    type Error = ConvertError;

    fn try_from(message: v1::DeviceSpec) -> Result<Self, ConvertError> {
        names::absolute("path", &message.path)?;
        let access = DeviceAccess {
            read: message.read,
            write: message.write,
            mknod: message.mknod,
        };
        match access.read || access.write || access.mknod {
            true => Ok(Self {
                path: message.path,
                access,
            }),
            false => Err(ConvertError::new(
                "read",
                "neither this nor another access is asked for",
            )),
        }
    }
}

impl From<&Security> for v1::Security {
    fn from(security: &Security) -> Self {
        let names = |capabilities: &[Capability]| {
            let names = capabilities.iter().map(|one| one.as_str().to_owned());
            names.collect()
        };
        Self {
            add_capabilities: names(&security.add_capabilities),
            drop_capabilities: names(&security.drop_capabilities),
            may_gain_privileges: security.may_gain_privileges,
            seccomp: match &security.seccomp {
                Seccomp::Default => None,
                Seccomp::Unconfined => Some(v1::security::Seccomp::SeccompUnconfined(true)),
                Seccomp::Profile(name) => Some(v1::security::Seccomp::SeccompProfile(name.clone())),
            },
            user_namespace: match security.user_namespace {
                UserNamespace::Private => v1::UserNamespace::Unspecified.into(),
                UserNamespace::Host => v1::UserNamespace::Host.into(),
            },
            read_only_root: security.read_only_root,
            devices: security.devices.iter().map(Into::into).collect(),
        }
    }
}

impl From<&DeviceSpec> for v1::DeviceSpec {
    fn from(device: &DeviceSpec) -> Self {
        Self {
            path: device.path.clone(),
            read: device.access.read,
            write: device.access.write,
            mknod: device.access.mknod,
        }
    }
}

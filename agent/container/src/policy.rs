//! What an operator lets tasks have beyond running: the bound of every field of a spec that reaches beyond the task.
//!
//! Nothing, by default. A spec that asks for more is refused whole; nothing of it is left out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proffer_types::ContainerSpec;
use proffer_types::container::{Capability, Seccomp, UserNamespace};
use thiserror::Error;

/// What tasks may have on an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Capabilities that may be added to [`Capability::DEFAULT`].
    pub capabilities: BTreeSet<Capability>,
    /// Devices that may be used, and directories whose devices may.
    pub devices: Vec<PathBuf>,
    /// Whether tasks may do without the filter of system calls, without user ids of their own, and gain privileges.
    pub unconfined: bool,
    /// The names of seccomp profiles.
    pub profiles: BTreeSet<String>,
}

/// What a spec may not ask for; says which flag of the agent would let it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    #[error("capability {} is not one that the agent's operator allows (--allow-capabilities)", .0.as_str())]
    Capability(Capability),
    #[error("device `{0}` is not one that the agent's operator allows (--allow-device)")]
    Device(String),
    #[error("{0} is not allowed by the agent's operator (--allow-unconfined)")]
    Unconfined(&'static str),
    #[error("the agent has no seccomp profile `{0}` (--seccomp-profiles)")]
    Profile(String),
}

impl Policy {
    /// Whether a task may have all it asks for.
    pub fn check(&self, spec: &ContainerSpec) -> Result<(), Refused> {
        let security = &spec.security;
        let may_have =
            |one: &&Capability| Capability::DEFAULT.contains(one) || self.capabilities.contains(one);
        if let Some(refused) = security.add_capabilities.iter().find(|one| !may_have(one)) {
            return Err(Refused::Capability(*refused));
        }
        for device in &security.devices {
            if !self.has_device(&device.path) {
                return Err(Refused::Device(device.path.escape_debug().to_string()));
            }
        }
        let loose = [
            (security.may_gain_privileges, "gaining privileges"),
            (
                security.user_namespace == UserNamespace::Host,
                "having the host's user ids",
            ),
            (
                security.seccomp == Seccomp::Unconfined,
                "doing without a seccomp filter",
            ),
        ];
        if let Some((_, what)) = loose.iter().find(|(wanted, _)| *wanted && !self.unconfined) {
            return Err(Refused::Unconfined(what));
        }
        match &security.seccomp {
            Seccomp::Profile(name) if !self.profiles.contains(name) => {
                Err(Refused::Profile(name.escape_debug().to_string()))
            }
            Seccomp::Default | Seccomp::Unconfined | Seccomp::Profile(_) => Ok(()),
        }
    }

    /// Whether a path of a device is allowed as it is written: `..` could lead anywhere.
    fn has_device(&self, path: &str) -> bool {
        let is_plain = !path.split('/').any(|part| matches!(part, "." | ".."));
        is_plain
            && self
                .devices
                .iter()
                .any(|allowed| Path::new(path).starts_with(allowed))
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proffer_types::container::{DeviceAccess, DeviceSpec, Security};

    use super::*;

    fn policy() -> Policy {
        Policy {
            capabilities: BTreeSet::from([Capability::SysNice]),
            devices: vec!["/dev/dri".into()],
            unconfined: false,
            profiles: BTreeSet::from(["strict".to_owned()]),
        }
    }

    fn check(policy: &Policy, change: impl FnOnce(&mut Security)) -> Result<(), Refused> {
        let mut spec = ContainerSpec::default();
        change(&mut spec.security);
        policy.check(&spec)
    }

    fn device(path: &str) -> Vec<DeviceSpec> {
        let access = DeviceAccess {
            read: true,
            write: false,
            mknod: false,
        };
        vec![DeviceSpec {
            path: path.to_owned(),
            access,
        }]
    }

    #[test]
    fn what_is_allowed_may_be_asked_for() {
        let allowed = check(&policy(), |wanted| {
            wanted.add_capabilities = vec![Capability::SysNice, Capability::Chown];
            wanted.drop_capabilities = vec![Capability::NetRaw];
            wanted.devices = device("/dev/dri/card0");
            wanted.seccomp = Seccomp::Profile("strict".into());
        });
        assert_eq!(allowed, Ok(()));
        let mut loose = policy();
        loose.unconfined = true;
        let allowed = check(&loose, |wanted| {
            wanted.may_gain_privileges = true;
            wanted.user_namespace = UserNamespace::Host;
            wanted.seccomp = Seccomp::Unconfined;
        });
        assert_eq!(allowed, Ok(()));
    }

    #[test]
    fn what_is_not_allowed_is_refused_with_the_flag_that_would_allow_it() {
        let refused = |change: fn(&mut Security)| format!("{}\n", check(&policy(), change).unwrap_err());
        let refusals = [
            refused(|wanted| wanted.add_capabilities = vec![Capability::SysAdmin]),
            refused(|wanted| wanted.devices = device("/dev/sda")),
            refused(|wanted| wanted.devices = device("/dev/dri/../sda")),
            refused(|wanted| wanted.devices = device("/dev/drive")),
            refused(|wanted| wanted.may_gain_privileges = true),
            refused(|wanted| wanted.user_namespace = UserNamespace::Host),
            refused(|wanted| wanted.seccomp = Seccomp::Unconfined),
            refused(|wanted| wanted.seccomp = Seccomp::Profile("../x".into())),
        ];
        expect![[r#"
            capability SYS_ADMIN is not one that the agent's operator allows (--allow-capabilities)
            device `/dev/sda` is not one that the agent's operator allows (--allow-device)
            device `/dev/dri/../sda` is not one that the agent's operator allows (--allow-device)
            device `/dev/drive` is not one that the agent's operator allows (--allow-device)
            gaining privileges is not allowed by the agent's operator (--allow-unconfined)
            having the host's user ids is not allowed by the agent's operator (--allow-unconfined)
            doing without a seccomp filter is not allowed by the agent's operator (--allow-unconfined)
            the agent has no seccomp profile `../x` (--seccomp-profiles)
        "#]]
        .assert_eq(&refusals.concat());
    }
}

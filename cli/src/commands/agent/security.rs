//! The flags of what tasks may do beyond running.

use std::path::PathBuf;

use clap::Args;
use proffer_agent::{IdMap, SecurityPolicy};
use proffer_types::container::Capability;

/// What tasks may do beyond running.
#[derive(Debug, Args)]
pub(super) struct SecurityArgs {
    /// The host's ids that tasks have as their own 0, 1, ..: the first, and how many. Nobody else should have one of them.
    /// Absent means 1879048192:65536 or, for an agent without root, all that its user has in /etc/subuid
    #[arg(
        long,
        env = "PROFFER_ID_RANGE",
        value_parser = id_range,
        value_name = "FIRST:COUNT"
    )]
    id_range: Option<IdMap>,
    /// Capabilities that tasks may have beside the default ones, such as `SYS_NICE`, separated by commas
    #[arg(
        long,
        env = "PROFFER_ALLOW_CAPABILITIES",
        value_delimiter = ',',
        value_parser = capability,
        value_name = "CAPABILITY"
    )]
    allow_capabilities: Vec<Capability>,
    /// Devices that tasks may use, or directories whose devices they may, such as `/dev/dri`, separated by commas
    #[arg(
        long,
        env = "PROFFER_ALLOW_DEVICE",
        value_delimiter = ',',
        value_name = "PATH"
    )]
    allow_device: Vec<PathBuf>,
    /// Let tasks have no seccomp filter, the host's user ids, or set-user-id programs, if they ask for it
    #[arg(long, env = "PROFFER_ALLOW_UNCONFINED")]
    allow_unconfined: bool,
    /// A directory with a file NAME.json for each seccomp profile that tasks may ask for, as Docker takes them
    #[arg(long, env = "PROFFER_SECCOMP_PROFILES", value_name = "DIR")]
    seccomp_profiles: Option<PathBuf>,
}

impl SecurityArgs {
    pub(super) fn policy(self) -> SecurityPolicy {
        SecurityPolicy {
            id_map: self.id_range,
            capabilities: self.allow_capabilities.into_iter().collect(),
            devices: self.allow_device,
            unconfined: self.allow_unconfined,
            seccomp_profiles: self.seccomp_profiles,
        }
    }
}

fn capability(text: &str) -> Result<Capability, String> {
    Capability::from_name(text.trim())
        .ok_or_else(|| format!("`{text}` is no capability; see capabilities(7)"))
}

fn id_range(text: &str) -> Result<IdMap, String> {
    let numbers = text
        .split_once(':')
        .map(|(first, count)| (first.parse(), count.parse()));
    let Some((Ok(first), Ok(count))) = numbers else {
        return Err("it is not `first:count`, two numbers".to_owned());
    };
    let map = IdMap { first, count };
    match first > 0 && count > 0 && first.checked_add(count).is_some() {
        true => Ok(map),
        false => Err("it must not hold 0, nor more than there are".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_tasks_are_a_range_without_the_hosts_root() {
        assert_eq!(
            id_range("100000:65536"),
            Ok(IdMap {
                first: 100_000,
                count: 65536
            })
        );
        for bad in ["", "1", "0:1", "1:0", "4294967295:2", "a:b", "1:2:3"] {
            assert!(id_range(bad).is_err(), "{bad}");
        }
    }
}

//! Who a task is on this host, and what it may do: within what the operator allows.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use proffer_container::seccomp::{default_filter, profile_filter};
use proffer_container::{ContainerConfig, IdMap, Policy};
use proffer_types::container::{Seccomp, UserNamespace};

use crate::config::{DEFAULT_IDS, SecurityPolicy};
use crate::error::AgentError;

/// Docker's default profile has some 20 KiB.
const MAX_PROFILE_BYTES: u64 = 1 << 20;

/// The operator's word, and the filters, compiled once.
#[derive(Debug)]
pub(crate) struct Security {
    policy: Policy,
    id_map: IdMap,
    default: Vec<u8>,
    profiles: BTreeMap<String, Vec<u8>>,
}

impl Security {
    /// Compiles the filters.
    pub(crate) fn new(wanted: &SecurityPolicy) -> Result<Self, AgentError> {
        let profiles = match &wanted.seccomp_profiles {
            Some(dir) => profiles(dir)?,
            None => BTreeMap::new(),
        };
        let default = default_filter().map_err(|source| AgentError::Seccomp { source })?;
        Ok(Self {
            policy: Policy {
                capabilities: wanted.capabilities.clone(),
                devices: wanted.devices.clone(),
                unconfined: wanted.unconfined,
                profiles: profiles.keys().cloned().collect(),
            },
            id_map: wanted.id_map.unwrap_or(DEFAULT_IDS),
            default,
            profiles,
        })
    }

    /// Checks what the task asks for, and says who it is. Before anything is made for the task.
    pub(super) fn prepare(&self, config: &mut ContainerConfig) -> Result<(), String> {
        self.policy
            .check(&config.spec)
            .map_err(|refused| refused.to_string())?;
        let security = &config.spec.security;
        config.id_map = match security.user_namespace {
            UserNamespace::Private => Some(self.id_map),
            UserNamespace::Host => None,
        };
        config.seccomp = match &security.seccomp {
            Seccomp::Default => self.default.clone(),
            Seccomp::Unconfined => Vec::new(),
            // Checked to be there just now.
            Seccomp::Profile(name) => self.profiles.get(name).cloned().unwrap_or_default(),
        };
        Ok(())
    }
}

/// Every `NAME.json` of a directory.
fn profiles(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>, AgentError> {
    let refuse = |path: &Path, source: Box<dyn Error + Send + Sync>| AgentError::SeccompProfile {
        path: path.to_owned(),
        source,
    };
    let mut profiles = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(|source| refuse(dir, source.into()))? {
        let path = entry.map_err(|source| refuse(dir, source.into()))?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(".json"));
        if let Some(name) = name {
            let filter = profile(&path).map_err(|source| refuse(&path, source))?;
            profiles.insert(name.to_owned(), filter);
        }
    }
    Ok(profiles)
}

fn profile(path: &Path) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let mut json = String::new();
    let read = File::open(path)?
        .take(MAX_PROFILE_BYTES + 1)
        .read_to_string(&mut json)?;
    if u64::try_from(read)? > MAX_PROFILE_BYTES {
        return Err(format!("it is larger than {MAX_PROFILE_BYTES} bytes").into());
    }
    Ok(profile_filter(&json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_known_by_the_names_of_their_files_and_a_bad_one_stops_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        let none = r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#;
        fs::write(dir.path().join("none.json"), none).unwrap();
        fs::write(dir.path().join("README"), "profiles").unwrap();
        let found = profiles(dir.path()).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["none"]);
        fs::write(dir.path().join("bad.json"), "{").unwrap();
        let error = profiles(dir.path()).unwrap_err();
        assert!(error.to_string().contains("bad.json"), "{error}");
    }
}

//! Devices: `devices.allow` on v1; on v2 a BPF program of the payload's leaf.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use proffer_container::devices::DEFAULT_RULES;
use proffer_container::{Controller, DeviceRule, Version};

use super::bpf::Program;
use super::control::ControlError;
use super::detect::{Found, Top};

/// The means to deny devices.
#[derive(Debug)]
pub(super) enum Devices {
    None,
    V1,
    /// With the program of a container without devices of its own, so that it is checked by the kernel once.
    V2(Program),
}

/// Finds the means. v2 has no controller of that name: the program is found out by loading one.
pub(super) fn detect(found: &mut Found) -> Devices {
    if found.version == Version::V1 {
        let has_controller = found.controllers.contains_key(&Controller::Devices);
        return if has_controller {
            Devices::V1
        } else {
            Devices::None
        };
    }
    let Some(path) = found.controllers.values().next().map(|top| top.path.clone()) else {
        return Devices::None;
    };
    let Ok(program) = Program::load(&DEFAULT_RULES) else {
        return Devices::None;
    };
    let version = Version::V2;
    found
        .controllers
        .insert(Controller::Devices, Top { version, path });
    Devices::V2(program)
}

impl Devices {
    /// Denies the processes of a group every device but those of the rules.
    pub(super) fn allow(&self, group: &Path, rules: &[DeviceRule]) -> Result<(), ControlError> {
        match self {
            Self::None => Err(ControlError::Missing(Controller::Devices)),
            Self::V1 => allow_v1(group, rules),
            Self::V2(program) if rules == DEFAULT_RULES => attach(program, group),
            Self::V2(_) => {
                let loaded = Program::load(rules);
                let program =
                    loaded.map_err(|source| ControlError::Devices("load the device program", source))?;
                attach(&program, group)
            }
        }
    }
}

fn attach(program: &Program, group: &Path) -> Result<(), ControlError> {
    let attached = File::open(group).and_then(|group| program.attach(&group));
    attached.map_err(|source| ControlError::Devices("attach the device program", source))
}

fn allow_v1(group: &Path, rules: &[DeviceRule]) -> Result<(), ControlError> {
    let open = |file: &str| {
        let path = group.join(file);
        let opened = File::options().write(true).open(&path);
        opened.map_err(|source| ControlError::Access { path, source })
    };
    let failed = |what| move |source: io::Error| ControlError::Devices(what, source);
    open("devices.deny")?
        .write_all(b"a")
        .map_err(failed("deny devices"))?;
    let mut allow = open("devices.allow")?;
    for rule in rules {
        // The kernel takes one rule a write.
        let rule = rule.to_string();
        allow
            .write_all(rule.as_bytes())
            .map_err(failed("allow a device"))?;
    }
    confirm(group, rules)
}

/// The list must hold each rule; the kernel shows the access of several rules for one device as one.
fn confirm(group: &Path, rules: &[DeviceRule]) -> Result<(), ControlError> {
    let path = group.join("devices.list");
    let read = match fs::read_to_string(&path) {
        Ok(read) => read,
        Err(source) => return Err(ControlError::Access { path, source }),
    };
    let holds = |line: &str, rule: &str| {
        let (Some((device, access)), Some((of, needed))) = (line.rsplit_once(' '), rule.rsplit_once(' '))
        else {
            return false;
        };
        device == of && needed.chars().all(|letter| access.contains(letter))
    };
    let lacking = rules.iter().map(ToString::to_string);
    let mut lacking = lacking.filter(|rule| !read.lines().any(|line| holds(line, rule)));
    let all = read.lines().any(|line| line.starts_with("a "));
    match lacking.next().or_else(|| all.then(|| "deny a".to_owned())) {
        None => Ok(()),
        Some(wanted) => Err(ControlError::Different { path, wanted, read }),
    }
}

//! Whether a task or an agent may be what it says. Messages are for people: what is wrong, and the limit.

use std::collections::BTreeMap;

use proffer_types::{AgentInfo, Resources, TaskInfo};

use crate::limits::{
    MAX_COMMAND_BYTES, MAX_LABELS, MAX_LABELS_BYTES, MAX_NAME_BYTES, MAX_RANGES, MAX_RESOURCE_NAMES,
};

pub(crate) fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), String> {
    let bytes: usize = labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    if labels.len() > MAX_LABELS {
        return Err(format!(
            "{} labels are given, at most {MAX_LABELS} are allowed",
            labels.len()
        ));
    }
    if bytes > MAX_LABELS_BYTES {
        return Err(format!(
            "labels have {bytes} bytes, at most {MAX_LABELS_BYTES} are allowed"
        ));
    }
    Ok(())
}

fn check_resources(resources: &Resources) -> Result<(), String> {
    let n_names = resources.scalars().count() + resources.all_ranges().count();
    if n_names > MAX_RESOURCE_NAMES {
        return Err(format!(
            "{n_names} kinds of resources are given, at most {MAX_RESOURCE_NAMES} are allowed"
        ));
    }
    let mut ranges = resources.all_ranges();
    match ranges.find(|(_, ranges)| ranges.iter().count() > MAX_RANGES) {
        Some((name, _)) => Err(format!("`{name}` has more than {MAX_RANGES} ranges")),
        None => Ok(()),
    }
}

pub(crate) fn check_agent(info: &AgentInfo) -> Result<(), String> {
    let texts = info.attributes.iter().flat_map(|a| [&a.name, &a.value]);
    let texts = texts.chain([&info.hostname, &info.address, &info.version, &info.cgroups]);
    let mut texts = texts.map(String::len);
    if texts.any(|bytes| bytes > MAX_NAME_BYTES) {
        return Err(format!(
            "a text of the agent has more than {MAX_NAME_BYTES} bytes"
        ));
    }
    if info.attributes.len() > MAX_LABELS {
        return Err(format!("an agent has at most {MAX_LABELS} attributes"));
    }
    if info.resources.is_empty() {
        return Err("the agent has no resources".to_owned());
    }
    check_resources(&info.resources)
}

/// The form of a task; whether it fits its offer is checked apart.
pub(crate) fn check_task(info: &TaskInfo) -> Result<(), String> {
    if info.resources.is_empty() {
        return Err("the task asks for no resources".to_owned());
    }
    check_resources(&info.resources)?;
    if info.name.len() > MAX_NAME_BYTES {
        return Err(format!("the task's name has more than {MAX_NAME_BYTES} bytes"));
    }
    check_labels(&info.labels)?;
    let container = &info.container;
    if container.command.first().is_none_or(String::is_empty) {
        return Err("the command is empty".to_owned());
    }
    let environment = container.env.iter().flat_map(|(name, value)| [name, value]);
    let texts = container.command.iter().chain(environment);
    if texts.clone().any(|text| text.contains('\0')) {
        return Err("the command or its environment holds a NUL byte".to_owned());
    }
    if container
        .env
        .keys()
        .any(|name| name.is_empty() || name.contains('='))
    {
        return Err("the name of an environment variable is empty or holds `=`".to_owned());
    }
    let bytes: usize = texts.map(|text| text.len() + 1).sum();
    if bytes > MAX_COMMAND_BYTES {
        return Err(format!(
            "command and environment have {bytes} bytes, at most {MAX_COMMAND_BYTES} are allowed"
        ));
    }
    match &container.working_directory {
        Some(path) if !path.starts_with('/') || path.contains('\0') => Err(format!(
            "working directory `{}` is not absolute",
            path.escape_debug()
        )),
        _ => Ok(()),
    }
}

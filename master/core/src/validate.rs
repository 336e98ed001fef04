//! Whether a task or an agent may be what it says. Messages are for people: what is wrong, and the limit.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::constraint::MAX_CONSTRAINTS;
use proffer_types::demand::{MAX_GANG_TASKS, StatementRoom};
use proffer_types::{
    AgentInfo, ContainerSpec, GangId, Kind, Limit, OfferConstraints, OfferPreferences, ResourceName,
    Resources, Shape, TaskInfo,
};

use crate::limits::{
    MAX_COMMAND_BYTES, MAX_LABELS, MAX_LABELS_BYTES, MAX_MIN_ALLOCATABLE, MAX_NAME_BYTES, MAX_RANGES,
    MAX_RESOURCE_NAMES,
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
    let n_names = resources.scalars().count() + resources.all_ranges().count() + resources.all_sets().count();
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
    let domain = info
        .domain
        .iter()
        .flat_map(|domain| [&domain.region, &domain.zone]);
    if domain.map(String::len).any(|bytes| bytes > MAX_NAME_BYTES) {
        return Err(format!(
            "a part of the agent's fault domain has more than {MAX_NAME_BYTES} bytes"
        ));
    }
    check_total(&info.resources)
}

/// What an agent has in all.
pub(crate) fn check_total(total: &Resources) -> Result<(), String> {
    if total.is_empty() {
        return Err("the agent has no resources".to_owned());
    }
    check_resources(total)
}

pub(crate) fn check_preferences(preferences: &OfferPreferences) -> Result<(), String> {
    let minimums = preferences.min_allocatable.iter().flatten();
    if minimums.clone().count() > MAX_MIN_ALLOCATABLE {
        return Err(format!(
            "at most {MAX_MIN_ALLOCATABLE} alternatives of a smallest offer are allowed"
        ));
    }
    for minimum in minimums {
        check_resources(minimum)?;
        check_scalars("a smallest offer", minimum)?;
    }
    check_constraints(&preferences.constraints)
}

fn check_constraints(constraints: &OfferConstraints) -> Result<(), String> {
    let groups = &constraints.groups;
    let longest = groups.iter().map(Vec::len).max().unwrap_or(0);
    if groups.len().max(longest) > MAX_CONSTRAINTS {
        return Err(format!(
            "there are at most {MAX_CONSTRAINTS} groups of at most {MAX_CONSTRAINTS} constraints"
        ));
    }
    if groups.iter().any(Vec::is_empty) {
        return Err("a group of constraints is empty".to_owned());
    }
    Ok(())
}

fn check_scalars(what: &str, resources: &Resources) -> Result<(), String> {
    let plain = resources.all_ranges().next().is_none()
        && resources.all_sets().next().is_none()
        && !resources.has_kinds();
    if plain {
        return Ok(());
    }
    Err(format!("{what} must be of plain scalars, and is `{resources}`"))
}

/// The form of a stated demand.
pub(crate) fn check_shapes(shapes: &[Shape]) -> Result<(), String> {
    if !StatementRoom::default().take(shapes) {
        let n = shapes.len();
        return Err(format!("a demand of {n} shapes is more than one statement holds"));
    }
    let mut ids = BTreeSet::new();
    let mut gangs: BTreeMap<GangId, u64> = BTreeMap::new();
    for shape in shapes {
        let id = shape.id.0;
        if !ids.insert(id) {
            return Err(format!("shape {id} is stated twice"));
        }
        shape
            .check()
            .map_err(|error| format!("shape {id}: `{}` {error}", error.field()))?;
        check_resources(&shape.resources).map_err(|why| format!("shape {id}: {why}"))?;
        check_constraints(&shape.constraints).map_err(|why| format!("shape {id}: {why}"))?;
        if let Some(gang) = shape.gang {
            *gangs.entry(gang).or_default() += u64::from(shape.count);
        }
    }
    match gangs.iter().find(|(_, n)| **n > u64::from(MAX_GANG_TASKS)) {
        Some((gang, n)) => Err(format!(
            "gang {} has {n} tasks, at most {MAX_GANG_TASKS} are allowed",
            gang.0
        )),
        None => Ok(()),
    }
}

/// The form of a task; whether it fits its offer is checked apart.
pub(crate) fn check_task(info: &TaskInfo) -> Result<(), String> {
    if info.resources.is_empty() {
        return Err("the task asks for no resources".to_owned());
    }
    check_resources(&info.resources)?;
    check_revocable(&info.resources)?;
    check_limits(info)?;
    if info.name.len() > MAX_NAME_BYTES {
        return Err(format!("the task's name has more than {MAX_NAME_BYTES} bytes"));
    }
    check_labels(&info.labels)?;
    info.check_executor()?;
    match &info.executor {
        None => check_container(&info.container),
        Some(executor) => check_container(&executor.container),
    }
}

fn check_container(container: &ContainerSpec) -> Result<(), String> {
    // An image may say what to run; whether it does, its agent finds out.
    let says_nothing = container.command.is_empty() && container.image.is_none();
    if says_nothing || container.command.first().is_some_and(String::is_empty) {
        return Err("the command is empty".to_owned());
    }
    let environment = container.env.iter().flat_map(|(name, value)| [name, value]);
    let command = container.command.iter().chain(&container.arguments);
    let texts = command.chain(environment);
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

/// What may be taken back at any time cannot be half of what a task relies on.
fn check_revocable(resources: &Resources) -> Result<(), String> {
    let revocable = resources.of_kind(&Kind::revocable());
    let firm = resources.without_revocable();
    let both = revocable.scalars().find(|(name, _)| firm.scalar(name) > 0);
    match both {
        Some((name, _)) => Err(format!("`{name}` is asked for both revocable and not")),
        None => Ok(()),
    }
}

fn check_limits(info: &TaskInfo) -> Result<(), String> {
    let of = [
        (ResourceName::Cpus, info.limits.cpus, info.resources.cpu_millis()),
        (ResourceName::Mem, info.limits.mem, info.resources.mem_bytes()),
    ];
    for (name, limit, request) in of {
        if let Some(Limit::At(units)) = limit
            && units < request
        {
            return Err(format!("the limit of `{name}` is below what the task asks for"));
        }
    }
    Ok(())
}

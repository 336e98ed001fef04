//! `resources` of a container: what it asks for and what it may use.

use super::fields::{Fields, Item};
use super::limit_range::{Amounts, Asked, LimitRange, amounts};
use super::tree::Wrong;
use crate::spec::{Bytes, Cores, Limits, TaskSpec, UpTo};

/// Fills in resources and limits of a task.
pub(super) fn resources(
    container: &mut Fields<'_>,
    of: &Item<'_>,
    ranges: &[LimitRange],
    task: &mut TaskSpec,
) -> Result<(), Wrong> {
    let item = container.get("resources");
    let mut asked = Asked {
        place: item.as_ref().unwrap_or(of).place(),
        requests: Amounts::default(),
        limits: Amounts::default(),
    };
    if let Some(item) = &item {
        let mut fields = item.fields()?;
        let requests = fields.map("requests", |item| amounts(&item))?;
        let limits = fields.map("limits", |item| amounts(&item))?;
        fields.refuse("claims", "claims of devices are not supported")?;
        fields.done()?;
        asked.requests = requests.unwrap_or_default();
        asked.limits = limits.unwrap_or_default();
    }
    let at = item.as_ref().unwrap_or(of);
    let limits = asked.limits;
    let or_limit = |request: Option<u64>, limit: Option<u64>| request.or(limit);
    asked.requests.cpu = or_limit(asked.requests.cpu, limits.cpu);
    asked.requests.memory = or_limit(asked.requests.memory, limits.memory);
    asked.requests.storage = or_limit(asked.requests.storage, limits.storage);
    for range in ranges {
        range.fill(&mut asked);
    }
    for (name, request, limit) in [
        ("cpu", asked.requests.cpu, asked.limits.cpu),
        ("memory", asked.requests.memory, asked.limits.memory),
        ("ephemeral-storage", asked.requests.storage, asked.limits.storage),
    ] {
        if limit.is_some_and(|limit| request.is_some_and(|request| request > limit)) {
            return Err(at.wrong(&format!("the request of {name} is more than its limit")));
        }
        if request == Some(0) {
            return Err(at.wrong(&format!(
                "the request of {name} is 0; leave it out, or ask for some"
            )));
        }
    }
    for range in ranges {
        range.check(&asked)?;
    }
    task.cpus = asked.requests.cpu.map(Cores);
    task.mem = asked.requests.memory.map(Bytes);
    // Proffer ends what takes more disk than it asked for, so it asks for all that it may take.
    task.disk = asked.limits.storage.or(asked.requests.storage).map(Bytes);
    task.limits = Limits {
        cpus: Some(
            asked
                .limits
                .cpu
                .map_or(UpTo::Infinite, |limit| UpTo::At(Cores(limit))),
        ),
        mem: Some(
            asked
                .limits
                .memory
                .map_or(UpTo::Infinite, |limit| UpTo::At(Bytes(limit))),
        ),
    };
    Ok(())
}

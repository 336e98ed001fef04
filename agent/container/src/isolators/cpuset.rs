//! Cpuset: the cpus and memory nodes the payload may use.

use std::collections::BTreeSet;

use super::{Draft, require};
use crate::{ContainerConfig, Controller, HostFacts, Limit, PlanError, Set};

/// The most cpus a kernel is built for (`NR_CPUS`), so that no list of a task's grows beyond it.
const MAX_NUMBER: u32 = 8191;

/// Binds the payload to cpus and memory nodes, where the task says so.
pub(crate) fn limit(config: &ContainerConfig, host: &HostFacts, draft: &mut Draft) -> Result<(), PlanError> {
    let settings = &config.spec.cgroup;
    let extras = &host.extras;
    if let Some(text) = &settings.cpuset_cpus {
        require(host, Controller::Cpuset)?;
        draft.limit(Limit::Cpus(parse("cpu", text, &extras.cpus)?));
    }
    if let Some(text) = &settings.cpuset_mems {
        require(host, Controller::Cpuset)?;
        draft.limit(Limit::MemoryNodes(parse(
            "memory node",
            text,
            &extras.memory_nodes,
        )?));
    }
    Ok(())
}

fn parse(what: &'static str, text: &str, available: &BTreeSet<u32>) -> Result<Set, PlanError> {
    let numbers = Set::parse(text).ok_or_else(|| {
        let text = text.escape_debug().take(128).collect();
        PlanError::SetSyntax { what, text }
    })?;
    match numbers.0.difference(available).next() {
        None => Ok(numbers),
        Some(&number) => {
            let available = Set(available.clone()).to_string();
            Err(PlanError::NotInSet {
                what,
                number,
                available,
            })
        }
    }
}

impl Set {
    /// Reads the kernel's list format (cpuset(7)); `None` for anything else, and for an empty set.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = BTreeSet::new();
        for range in text.trim().split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            numbers.extend(first..=last);
        }
        Some(Self(numbers))
    }
}

/// Digits alone: `parse` would take a sign as well.
fn number(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number)?;
    (number <= MAX_NUMBER).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::Set;

    #[test]
    fn a_set_is_written_in_the_kernels_shortest_form() {
        let rewritten = |text| Set::parse(text).map(|set| set.to_string());
        for (text, expected) in [
            ("0", "0"),
            ("0-3,7\n", "0-3,7"),
            ("7,1,0,2", "0-2,7"),
            ("4-4,5-6,6", "4-6"),
        ] {
            assert_eq!(rewritten(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            ",",
            "3-1",
            "a",
            "+1",
            "-1",
            "1-",
            "0-4294967295",
            "8192",
            "1 2",
            "0-3:1/2",
        ] {
            assert_eq!(rewritten(text), None, "{text}");
        }
    }
}

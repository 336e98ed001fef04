//! What the members of a gang know of each other from the start, in their environment, as the ranks of MPI do.
//!
//! A member's rank is its place among those that start together: by the tasks of the job, then by index. Members that
//! finished before the gang started again are not among them.

use std::collections::BTreeMap;

use proffer_types::{AgentId, Offer, ResourceName, TaskInfo};

use crate::job::Place;

/// The longest list of addresses in one environment, in bytes: the kernel takes no longer string than 128 KiB
/// (execve(2)).
const MAX_LIST_BYTES: usize = 64 << 10;
/// The most that the lists of a gang add to its launch, in bytes; what the launch has beside them, and this, are in a message
/// of 4 MiB.
const MAX_LISTS_BYTES: usize = 1 << 20;

/// Tells each member its rank, how many there are, and where they are: the first one always, all where the list is not too
/// long for so many. `places` are those of the tasks.
pub(super) fn introduce(tasks: &mut [TaskInfo], places: &[Place], bundle: &[Offer]) {
    let hosts: BTreeMap<_, _> = bundle
        .iter()
        .map(|offer| (offer.agent_id.clone(), offer.hostname.as_str()))
        .collect();
    let mut members: Vec<_> = places.iter().zip(tasks).collect();
    members.sort_by_key(|(place, _)| **place);
    let addresses: Vec<_> = members.iter().map(|(_, task)| address(task, &hosts)).collect();
    let list = addresses.join(",");
    let n = members.len();
    let is_short = list.len() <= MAX_LIST_BYTES && list.len().saturating_mul(n) <= MAX_LISTS_BYTES;
    for (rank, (_, task)) in members.into_iter().enumerate() {
        let env = &mut task.container.env;
        env.insert("PROFFER_RANK".to_owned(), rank.to_string());
        env.insert("PROFFER_N".to_owned(), n.to_string());
        env.insert("PROFFER_LEADER".to_owned(), addresses[0].clone());
        if is_short {
            env.insert("PROFFER_PEERS".to_owned(), list.clone());
        }
    }
}

/// The name of the host, and the first of the ports the task was given there, if it asked for any.
fn address(task: &TaskInfo, hosts: &BTreeMap<AgentId, &str>) -> String {
    let host = hosts.get(&task.agent_id).copied().unwrap_or_default();
    let ports = task.resources.ranges(&ResourceName::Ports);
    match ports.and_then(|ports| ports.iter().next()) {
        Some(first) => format!("{host}:{}", first.0),
        None => host.to_owned(),
    }
}

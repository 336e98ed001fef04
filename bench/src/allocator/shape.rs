//! The clusters of Mesos's allocator benchmarks: agents and frameworks by number, sizes as there.

use proffer_types::resources::KindError;
use proffer_types::{AgentId, FrameworkId, Kind, MasterId, Ranges, ResourceName, Resources, Role, TaskId};

use super::subject::{Running, Subject};

/// All ids are of one leadership.
const MASTER: u32 = 0xbe9c4;
const MIB: u64 = 1 << 20;

/// So many cores in thousandths, and mebibytes of memory and disk.
pub(super) fn bundle(cpu_millis: u64, mem_mib: u64, disk_mib: u64) -> Resources {
    Resources::of(cpu_millis, mem_mib * MIB, disk_mib * MIB)
}

pub(super) fn agent(n: u64) -> AgentId {
    MasterId::from_random(MASTER).agent(n)
}

pub(super) fn framework(n: u64) -> FrameworkId {
    MasterId::from_random(MASTER).framework(n)
}

pub(super) fn role(name: &str) -> Role {
    Role::new(name).expect("the shapes name roles")
}

pub(super) fn task(n: u64) -> TaskId {
    TaskId::new(format!("task-{n}")).expect("a short text without slashes")
}

fn with_ports(resources: Resources, ports: impl IntoIterator<Item = (u64, u64)>) -> Resources {
    resources.with_ranges(ResourceName::Ports, Ranges::new(ports))
}

/// The agent of most shapes: cpus:24;mem:4096;disk:4096;ports:[31000-32000].
pub(super) fn large_agent() -> Resources {
    with_ports(bundle(24_000, 4096, 4096), [(31_000, 32_000)])
}

/// [31000-32000] in 16 ranges as Mesos's tests cut it: 15 single ports, every other one, and the rest.
fn fragmented() -> impl Iterator<Item = (u64, u64)> {
    let singles = (0..15).map(|n| (31_000 + 2 * n, 31_000 + 2 * n));
    singles.chain([(31_030, 32_000)])
}

/// What one framework holds of each agent: cpus:16, disk:1024, the fragmented ports, and so much memory.
pub(super) fn large_share(mem_mib: u64) -> Resources {
    with_ports(bundle(16_000, mem_mib, 1024), fragmented())
}

/// Adds frameworks of the role `*`, numbered from 0.
pub(super) fn add_frameworks(subject: &mut dyn Subject, n_frameworks: u64) {
    for n in 0..n_frameworks {
        subject.add_framework(&framework(n), &Role::default());
    }
}

/// A task of the `n`th framework in `*`.
pub(super) fn running(n: u64, of: u64, resources: &Resources) -> Running {
    Running {
        framework: framework(of),
        role: Role::default(),
        task: task(n),
        resources: resources.clone(),
    }
}

/// Adds agents, each partly held by one framework, in turn.
pub(super) fn add_agents(subject: &mut dyn Subject, n_agents: u64, n_frameworks: u64, held: &Resources) {
    let total = large_agent();
    for n in 0..n_agents {
        let held = running(n, n % n_frameworks, held);
        subject.add_agent(&agent(n), &total, &[held]);
    }
}

/// The agent of AddAndUpdateSlave: cpus:2;mem:1024;disk:4096;ports:[31000-32000].
pub(super) fn small_agent_with_ports() -> Resources {
    with_ports(bundle(2000, 1024, 4096), [(31_000, 32_000)])
}

/// What one framework holds of it.
pub(super) fn small_share() -> Resources {
    let ports = [
        (31_126, 31_510),
        (31_512, 31_623),
        (31_810, 31_852),
        (31_854, 31_964),
    ];
    with_ports(bundle(1000, 128, 1024), ports)
}

/// With 10 cores more that may be taken back.
pub(super) fn with_revocable_cpus(total: &Resources) -> Result<Resources, KindError> {
    let kind = Kind {
        revocable: true,
        ..Kind::default()
    };
    total.clone().with_kind(kind, bundle(10_000, 0, 0))
}

/// How many tasks fill an agent.
const TASKS_PER_AGENT: u64 = 10;

/// The tasks that fill the `n`th agent to the last byte: nine alike with a port each, and one with the rest.
pub(super) fn full_agent(n: u64, n_frameworks: u64) -> Vec<Running> {
    let one = bundle(2400, 409, 409);
    let mut left = large_agent();
    let mut tasks = Vec::new();
    for nth in 0..TASKS_PER_AGENT {
        let resources = match nth + 1 {
            TASKS_PER_AGENT => left.clone(),
            _ => with_ports(one.clone(), [(31_000 + nth, 31_000 + nth)]),
        };
        left.subtract(&resources);
        let id = n * TASKS_PER_AGENT + nth;
        tasks.push(running(id, id % n_frameworks, &resources));
    }
    tasks
}

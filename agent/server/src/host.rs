//! What this host has to offer, where the operator does not say.

mod network;

use std::path::Path;

use procfs::Current;
use proffer_container::{IdMap, Pool};
use proffer_types::{Kind, Ranges, ResourceName, Resources};

use crate::config::DEFAULT_IDS;
use crate::provision::OWN_DEVICE;
use crate::{AgentError, Config};

const GIB: u64 = 1 << 30;

/// Memory left to the host's own programs; half of it all where that is less than twice this.
const HOST_MEM_BYTES: u64 = GIB;

/// Disk left to the host; half of what is free where that is less than twice this.
const HOST_DISK_BYTES: u64 = 5 * GIB;

/// The ports of Mesos: below the kernel's ephemeral ones.
const DEFAULT_PORTS: (u64, u64) = (31_000, 32_000);

/// Where the kernel tells of network interfaces, and which of them carries the default route.
const NETWORK: &str = "/sys/class/net";
const ROUTES: &str = "/proc/net/route";

/// What this host offers before any operation: what the operator stated, completed with what is detected. `kept` is
/// what earlier operations changed.
pub(crate) fn resources(config: &Config, kept: &Resources, data_dir: &Path) -> Result<Resources, AgentError> {
    let stated = stated(&config.resources)?;
    let mut all = complete(stated, kept, data_dir, &config.cgroup_mount)?;
    all.add(&devices(&config.devices, stated)?);
    if !config.revocable.is_empty() {
        all = all
            .with_kind(Kind::revocable(), revocable(&config.revocable)?.clone())
            .map_err(proffer_agent_core::RestoreError::from)?;
    }
    Ok(all)
}

/// Refuses what only operations can make, and what has a flag of its own.
fn stated(resources: &Resources) -> Result<&Resources, AgentError> {
    let is_static = |kind: &Kind| kind.reservations.iter().all(|one| one.is_static);
    let bad = |(kind, _): &(&Kind, &Resources)| kind.revocable || kind.volume.is_some() || !is_static(kind);
    match resources.kinds().find(bad) {
        None => Ok(resources),
        Some((kind, _)) => {
            let what = match (&kind.volume, kind.revocable) {
                (Some(volume), _) => format!("volume `{}` can only be made by an operation", volume.id),
                (None, true) => "revocable resources have a flag of their own".to_owned(),
                (None, false) => "a dynamic reservation can only be made by an operation".to_owned(),
            };
            Err(AgentError::Stated(what))
        }
    }
}

/// The devices, one unit each. One that is not there is a mistake of the operator's, whom no task should tell.
fn devices(pool: &Pool, stated: &Resources) -> Result<Resources, AgentError> {
    let offered = pool.resources();
    if let Some((name, _)) = offered.scalars().find(|(name, _)| stated.scalar(name) > 0) {
        return Err(AgentError::Stated(format!(
            "`{name}` is the number of its devices"
        )));
    }
    for path in pool.paths() {
        proffer_linux::device(path, OWN_DEVICE)?;
    }
    Ok(offered)
}

/// Memory, disk and ports cannot be taken back from a task that goes on.
fn revocable(resources: &Resources) -> Result<&Resources, AgentError> {
    let only_cpus = Resources::of(resources.cpu_millis(), 0, 0);
    match *resources == only_cpus {
        true => Ok(resources),
        false => Err(AgentError::Stated(format!(
            "only plain cpus can be revocable, not `{resources}`"
        ))),
    }
}

fn complete(
    stated: &Resources,
    kept: &Resources,
    data_dir: &Path,
    cgroup_mount: &Path,
) -> Result<Resources, AgentError> {
    let mut all = stated.clone();
    if stated.cpu_millis() == 0 {
        all = all.with(ResourceName::Cpus, cpu_millis()?);
    }
    if stated.mem_bytes() == 0 {
        let bytes = mem_total_bytes()?.min(mem_limit_bytes(cgroup_mount));
        all = all.with(ResourceName::Mem, less_reserve(bytes, HOST_MEM_BYTES));
    }
    if stated.disk_bytes() == 0 {
        let free = proffer_linux::host::free_disk_bytes(data_dir).map_err(|source| AgentError::Detect {
            what: "free disk space",
            source: source.into(),
        })?;
        // What volumes hold already is not free, and theirs all the same.
        let disk = less_reserve(free, HOST_DISK_BYTES).max(kept.disk_bytes());
        all = all.with(ResourceName::Disk, disk);
    }
    if stated.net_mbps_millis() == 0 {
        let detected = network::speed_mbps(Path::new(ROUTES), Path::new(NETWORK)).unwrap_or(0);
        all = all.with(ResourceName::NetMbps, detected * ResourceName::NetMbps.units());
    }
    if stated.ranges(&ResourceName::Ports).is_none() {
        all = all.with_ranges(ResourceName::Ports, Ranges::new([DEFAULT_PORTS]));
    }
    Ok(all)
}

fn less_reserve(total: u64, reserve: u64) -> u64 {
    if total < 2 * reserve {
        total / 2
    } else {
        total - reserve
    }
}

/// Counts what the scheduler lets this process use: affinity and cgroup quota included.
fn cpu_millis() -> Result<u64, AgentError> {
    let n_cpus = std::thread::available_parallelism().map_err(|source| AgentError::Detect {
        what: "number of cpus",
        source: source.into(),
    })?;
    Ok(n_cpus.get() as u64 * 1000)
}

fn mem_total_bytes() -> Result<u64, AgentError> {
    let meminfo = procfs::Meminfo::current().map_err(|source| AgentError::Detect {
        what: "memory",
        source: source.into(),
    })?;
    Ok(meminfo.mem_total)
}

/// The least that the group an agent was given, or one above it, has of memory (cgroup v2).
fn mem_limit_bytes(group: &Path) -> u64 {
    let limit = |group: &Path| {
        std::fs::read_to_string(group.join("memory.max"))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    group.ancestors().filter_map(limit).min().unwrap_or(u64::MAX)
}

/// The ids of tasks: what the operator says, within those that a rootless agent has.
pub(crate) fn ids(stated: Option<IdMap>, rootless: Option<IdMap>) -> Result<IdMap, AgentError> {
    let Some(all) = rootless else {
        return Ok(stated.unwrap_or(DEFAULT_IDS));
    };
    let ids = stated.unwrap_or(all);
    let end = |map: IdMap| map.first.saturating_add(map.count);
    match ids.count > 0 && ids.first >= all.first && end(ids) <= end(all) {
        true => Ok(ids),
        false => Err(AgentError::IdRange { ids, all }),
    }
}

/// Tells one boot of this host from another.
pub(crate) fn boot_id() -> Result<String, AgentError> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let id = id.map_err(|source| AgentError::Detect {
        what: "boot id",
        source: source.into(),
    })?;
    Ok(id.trim().to_owned())
}

/// The host's own name; `localhost` when it has none.
pub(crate) fn name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keeps_its_reserve_or_half_of_what_it_has() {
        assert_eq!(less_reserve(24 * GIB, GIB), 23 * GIB);
        assert_eq!(less_reserve(GIB, GIB), GIB / 2);
    }

    fn config(resources: &str, revocable: &str) -> Config {
        let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        Config {
            resources: resources.parse().unwrap(),
            revocable: revocable.parse().unwrap(),
            ..Config::new(vec![], listen, "/".into())
        }
    }

    fn of(resources: &str, revocable: &str) -> Result<Resources, AgentError> {
        let kept = "disk(+prod):1PiB".parse().unwrap();
        super::resources(&config(resources, revocable), &kept, Path::new("/"))
    }

    #[test]
    fn what_is_stated_is_taken_and_the_rest_is_detected() {
        let all = of("cpus:0.5;disk:1GiB;net_mbps:7", "").unwrap();
        assert_eq!(all.cpu_millis(), 500);
        assert_eq!(all.disk_bytes(), GIB);
        assert!(all.mem_bytes() > 0);
        assert_eq!(all.net_mbps_millis(), 7000);
        assert_eq!(all.ranges(&ResourceName::Ports).map(Ranges::count), Some(1001));
    }

    #[test]
    fn memory_is_no_more_than_the_agents_groups_have() {
        let dir = tempfile::tempdir().unwrap();
        let group = dir.path().join("above/own");
        std::fs::create_dir_all(&group).unwrap();
        std::fs::write(group.join("memory.max"), "max\n").unwrap();
        assert_eq!(mem_limit_bytes(&group), u64::MAX);
        std::fs::write(dir.path().join("above/memory.max"), "4096\n").unwrap();
        assert_eq!(mem_limit_bytes(&group), 4096);
    }

    #[test]
    fn a_rootless_agents_tasks_have_ids_of_its_namespace_alone() {
        let map = |first, count| IdMap { first, count };
        assert_eq!(ids(None, None).unwrap(), DEFAULT_IDS);
        assert_eq!(ids(Some(map(7, 9)), None).unwrap(), map(7, 9));
        let all = Some(map(1, 65536));
        assert_eq!(ids(None, all).unwrap(), map(1, 65536));
        assert_eq!(ids(Some(map(1000, 64537)), all).unwrap(), map(1000, 64537));
        for bad in [map(1000, 64538), map(0, 10), map(1, u32::MAX)] {
            assert!(
                matches!(ids(Some(bad), all), Err(AgentError::IdRange { .. })),
                "{bad:?}"
            );
        }
        assert!(ids(None, Some(map(1, 0))).is_err());
    }

    #[test]
    fn a_name_with_a_static_reservation_is_stated_and_revocable_cpus_come_on_top() {
        let all = of("cpus(prod):2;mem:1GiB;disk:1GiB;net_mbps:1", "cpus:1").unwrap();
        assert_eq!(
            all.to_string(),
            "mem:1GiB;disk:1GiB;net_mbps:1;ports:[31000-32000];cpus{rev}:1;cpus(prod):2"
        );
    }

    #[test]
    fn a_device_is_offered_when_it_is_there_and_nothing_else_says_how_many() {
        let offered = |devices: &str, resources| {
            let devices = Pool::new([devices.parse().unwrap()]).unwrap();
            let config = Config {
                devices,
                ..config(resources, "")
            };
            super::resources(&config, &Resources::new(), Path::new("/"))
        };
        let nulls = ResourceName::new("nulls").unwrap();
        let all = offered("nulls=/dev/null,/dev/zero", "cpus:1").unwrap();
        assert_eq!(all.scalar(&nulls), 2000);
        let stated = offered("nulls=/dev/null", "nulls(prod):1");
        assert!(matches!(stated, Err(AgentError::Stated(_))), "{stated:?}");
        let missing = offered("nulls=/dev/no-such-device", "");
        assert!(matches!(missing, Err(AgentError::Device(_))), "{missing:?}");
    }

    #[test]
    fn disk_that_is_full_of_volumes_still_covers_them() {
        assert_eq!(of("", "").unwrap().disk_bytes(), 1 << 50);
    }

    #[test]
    fn what_flags_cannot_make_is_refused() {
        let bad = [
            ("cpus(+prod):1", ""),
            ("disk(prod)[v:/v]:1GiB", ""),
            ("cpus{rev}:1", ""),
            ("", "mem:1GiB"),
            ("", "cpus(prod):1"),
        ];
        for (resources, revocable) in bad {
            let refused = of(resources, revocable);
            assert!(matches!(refused, Err(AgentError::Stated(_))), "{refused:?}");
        }
    }
}

//! Mounts: the host's files, with the few file systems that show a namespace made anew for the container.

use std::path::PathBuf;

use super::Draft;
use crate::{HostFacts, InitStep, Mount, PayloadStep, Version};

/// Mounts `/proc` for the pid namespace, `/dev/shm` and `/dev/mqueue` for the ipc namespace, and covers the
/// host's cgroups: a task that runs as root could otherwise write itself a larger limit.
pub(crate) fn mount(host: &HostFacts, draft: &mut Draft) {
    draft.init.push(InitStep::MakeMountsPrivate);
    let own = [
        ("proc", "/proc", ""),
        ("tmpfs", "/dev/shm", "mode=1777"),
        ("mqueue", "/dev/mqueue", ""),
    ];
    let has = |target: &str| target == "/proc" || host.mount_points.contains(target);
    for (filesystem, target, options) in own.into_iter().filter(|(_, target, _)| has(target)) {
        draft.init.push(InitStep::Mount(Mount {
            filesystem,
            target: PathBuf::from(target),
            read_only: false,
            options,
        }));
    }
    // On v2 the payload may read its own limits there; on v1 there is nothing to see.
    let (filesystem, options) = match host.version {
        Version::V2 => ("cgroup2", ""),
        Version::V1 => ("tmpfs", "mode=0555"),
    };
    draft.payload.push(PayloadStep::Mount(Mount {
        filesystem,
        target: host.cgroup_mount.clone(),
        read_only: true,
        options,
    }));
}

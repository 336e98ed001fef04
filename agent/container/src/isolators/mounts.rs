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
    draft.payload.push(cover(host, "tmpfs", "mode=0555"));
    if host.version == Version::V2 {
        // The kernel refuses a file system on top of itself, but not with another in between.
        draft.payload.push(cover(host, "cgroup2", ""));
    }
}

/// Mounts over the host's cgroups. On v1 there is nothing to see then, on v2 the payload's own limits.
fn cover(host: &HostFacts, filesystem: &'static str, options: &'static str) -> PayloadStep {
    PayloadStep::Mount(Mount {
        filesystem,
        target: host.cgroup_mount.clone(),
        read_only: true,
        options,
    })
}

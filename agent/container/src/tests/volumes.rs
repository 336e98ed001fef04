//! Where volumes are bound, and where none may be.

use expect_test::expect;

use super::{bind, host, refused, task, text};
use crate::{Version, VolumeMount, plan};

#[test]
fn volumes_are_bound_before_the_payload_starts_and_outer_ones_first() {
    let mut config = task();
    let volume = |source: &str, path: &str| VolumeMount {
        source: bind(source),
        container_path: path.into(),
        read_only: false,
    };
    config.mounts = vec![volume("/v/inner", "/mnt/a/b/"), volume("/v/outer", "/mnt//a")];
    let plan = text(&plan(&config, &host(Version::V2)).unwrap());
    let is_attached = |line: &&str| line.contains("OpenTree") || line.contains("attach");
    let mounts = plan.lines().filter(is_attached);
    expect![[r#"
        init: OpenTree("/box")
        init: OpenTree("/tmp-of-box")
        init: OpenTree("/v/outer")
        init: OpenTree("/v/inner")
        init: attach 0 on /run/proffer/sandbox rw
        init: attach 1 on /tmp rw
        init: attach 2 on /mnt/a rw
        init: attach 3 on /mnt/a/b rw
    "#]]
    .assert_eq(&mounts.map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn a_volume_that_would_hide_what_a_task_must_find_is_refused() {
    let refusals = [
        "/",
        "//",
        "/proc",
        "/proc/1",
        "/dev/shm",
        "/sys/",
        "/a/../etc",
        "a",
        "/run",
    ]
    .map(|path| {
        let error = refused(|config, _| {
            config.mounts = vec![VolumeMount {
                source: bind("/v"),
                container_path: path.into(),
                read_only: false,
            }];
        });
        format!("{error}\n")
    });
    let twice = refused(|config, _| {
        let volume = VolumeMount {
            source: bind("/v"),
            container_path: "/mnt".into(),
            read_only: false,
        };
        config.mounts = vec![volume.clone(), volume];
    });
    expect![[r#"
        `/` cannot be the container path of a volume: it would hide every file there is
        `//` cannot be the container path of a volume: it would hide every file there is
        `/proc` cannot be the container path of a volume: it would hide what the kernel or the agent shows
        `/proc/1` cannot be the container path of a volume: it would hide what the kernel or the agent shows
        `/dev/shm` cannot be the container path of a volume: it would hide what the kernel or the agent shows
        `/sys/` cannot be the container path of a volume: it would hide what the kernel or the agent shows
        `/a/../etc` cannot be the container path of a volume: it has a part that is `.` or `..`
        the container path of a volume `a` is not an absolute path
        `/run` cannot be the container path of a volume: it would hide what the kernel or the agent shows
        `/mnt` cannot be the container path of a volume: it is the one of another volume
    "#]]
    .assert_eq(&format!("{}{twice}\n", refusals.concat()));
}

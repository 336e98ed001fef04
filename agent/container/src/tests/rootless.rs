//! What is planned otherwise for an agent that is root of a user namespace only.

use std::path::PathBuf;

use expect_test::expect;
use proffer_types::container::{Capability, DeviceAccess, Propagation};

use super::{host, refused, task, text};
use crate::{
    ContainerConfig, Controller, Device, HostFacts, IdMap, ImageRoot, MountSource, NetworkNamespace, Root,
    Version, VolumeMount, plan,
};

const IDS: IdMap = IdMap {
    first: 1,
    count: 65536,
};

fn rootless() -> HostFacts {
    let mut host = host(Version::V2);
    host.controllers.remove(&Controller::Devices);
    host.rootless = Some(IDS);
    host
}

fn fuse(access: DeviceAccess) -> Device {
    Device {
        path: "/dev/fuse".into(),
        is_block: false,
        major: 10,
        minor: 229,
        access,
    }
}

const BOTH: DeviceAccess = DeviceAccess {
    read: true,
    write: true,
    mknod: false,
};

/// The lines of each plan that the other one does not have.
fn difference(config: &ContainerConfig) -> String {
    let plans = [host(Version::V2), rootless()].map(|host| text(&plan(config, &host).unwrap()));
    let [root, rootless] = &plans;
    let without = |text: &str, other: &str, mark: &str| {
        let own = text
            .lines()
            .filter(|line| !other.lines().any(|theirs| theirs == *line));
        own.map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    without(root, rootless, "-") + &without(rootless, root, "+")
}

#[test]
fn without_root_devices_and_sysfs_are_shown_and_not_made() {
    let mut config = task();
    config.id_map = Some(IDS);
    config.devices = vec![fuse(BOTH)];
    expect![[r#"
        - agent: allow devices by 11 rules
        - init: mount sysfs on /sys ro
        - init: node /dev/null 1:3 666
        - init: node /dev/zero 1:5 666
        - init: node /dev/full 1:7 666
        - init: node /dev/random 1:8 666
        - init: node /dev/urandom 1:9 666
        - init: node /dev/tty 5:0 666
        - init: node /dev/fuse 10:229 666
        + init: OpenTree("/dev/null")
        + init: OpenTree("/dev/zero")
        + init: OpenTree("/dev/full")
        + init: OpenTree("/dev/random")
        + init: OpenTree("/dev/urandom")
        + init: OpenTree("/dev/tty")
        + init: OpenTree("/dev/fuse")
        + init: OpenTree("/sys")
        + init: attach 9 on /sys ro
        + init: attach 2 on /dev/null as a device
        + init: attach 3 on /dev/zero as a device
        + init: attach 4 on /dev/full as a device
        + init: attach 5 on /dev/random as a device
        + init: attach 6 on /dev/urandom as a device
        + init: attach 7 on /dev/tty as a device
        + init: attach 8 on /dev/fuse as a device
    "#]]
    .assert_eq(&difference(&config));
}

#[test]
fn without_root_the_layers_of_an_image_have_the_ids_of_tasks_already() {
    let mut config = task();
    config.id_map = Some(IDS);
    config.network = NetworkNamespace::New;
    config.root = Root::Image(ImageRoot {
        lower: vec!["/layers/1".into()],
        upper: None,
        mount_point: "/here".into(),
    });
    let difference = difference(&config);
    let of_image = difference.lines().filter(|line| !line.contains("/dev/"));
    expect![[r#"
        - agent: allow devices by 10 rules
        - init: MountRoot(MountRoot { layers: Layers { base: "/layers", names: ["1"], id_mapped: true, user_attributes: false }, mount_point: "/here", upper: None, owner: (1, 1) })
        - init: Write { path: "/proc/sys/net/ipv4/ping_group_range", value: "0 2147483647" }
        + init: MountRoot(MountRoot { layers: Layers { base: "/layers", names: ["1"], id_mapped: false, user_attributes: true }, mount_point: "/here", upper: None, owner: (1, 1) })
        + init: Write { path: "/proc/sys/net/ipv4/ping_group_range", value: "1 65536" }
    "#]].assert_eq(&of_image.map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn what_only_root_can_do_is_refused_and_never_left_out() {
    let refused = |change: fn(&mut ContainerConfig)| {
        refused(|config, host| {
            config.id_map = Some(IDS);
            *host = rootless();
            change(config);
        })
    };
    let refusals = [
        refused(|config| {
            config.mounts = vec![VolumeMount {
                source: MountSource::Bind {
                    path: "/srv".into(),
                    propagation: Propagation::Bidirectional,
                },
                container_path: PathBuf::from("/mnt"),
                read_only: false,
            }];
        }),
        refused(|config| {
            config.id_map = None;
            config.root = Root::Image(ImageRoot {
                lower: vec!["/layer".into()],
                upper: None,
                mount_point: "/here".into(),
            });
        }),
        refused(|config| {
            config.devices = vec![fuse(DeviceAccess { write: false, ..BOTH })];
        }),
        refused(|config| {
            config.devices = vec![fuse(DeviceAccess { mknod: true, ..BOTH })];
        }),
        refused(|config| config.spec.security.add_capabilities = vec![Capability::Mknod]),
    ];
    let text = refusals.map(|error| format!("{error}\n")).concat();
    expect![[r#"
        this agent is rootless, and cannot show the host what a task mounts
        this agent is rootless, and cannot give a task an image without a user namespace of its own
        this agent is rootless, and cannot let a task only read, or only write, a device: ask for both
        this agent is rootless, and cannot let a task make devices
        this agent is rootless, and cannot let a task make devices
    "#]]
    .assert_eq(&text);
}

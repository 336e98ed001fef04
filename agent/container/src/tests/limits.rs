//! What a task may set of its cgroup: the limits it becomes, and what is refused.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use proffer_types::Limit;
use proffer_types::container::{Capability, DeviceAccess, HugepageLimit, IoLimit};

use super::{check_limits, host, task, text};
use crate::{
    ContainerConfig, Controller, Device, DeviceNumber, Extras, HostFacts, PrepareStep, Version, plan,
};

/// A host that can do all that its version can.
fn able(version: Version) -> HostFacts {
    let is_v2 = version == Version::V2;
    HostFacts {
        extras: Extras {
            cpu_burst: true,
            memory_min: is_v2,
            memory_high: is_v2,
            io_weight: is_v2,
            io_bfq_weight: true,
            cpus: (0..4).collect(),
            memory_nodes: BTreeSet::from([0]),
            huge_page_sizes: BTreeSet::from([2 << 20]),
        },
        ..host(version)
    }
}

/// A task that asks for all that there is on both versions.
fn demanding() -> ContainerConfig {
    let mut config = task();
    let settings = &mut config.spec.cgroup;
    settings.cpu_burst_us = Some(25_000);
    settings.swap = Some(8 << 20);
    settings.io_weight = Some(500);
    settings.io = vec![IoLimit {
        path: "/data".into(),
        read_bps: 1 << 20,
        write_iops: 100,
        ..IoLimit::default()
    }];
    config.io_devices = vec![DeviceNumber { major: 8, minor: 0 }];
    let settings = &mut config.spec.cgroup;
    settings.cpuset_cpus = Some("3,0-1".into());
    settings.cpuset_mems = Some("0".into());
    settings.hugepages = vec![HugepageLimit {
        page_size: 2 << 20,
        limit: 4 << 20,
    }];
    config
}

#[test]
fn what_a_task_asks_for_is_set_on_v2() {
    let mut config = demanding();
    config.spec.cgroup.memory_min = Some(1 << 20);
    config.spec.cgroup.memory_high = Some(32 << 20);
    check_limits(
        &config,
        &able(Version::V2),
        &expect![[r#"
        CpuQuota { quota_us: 50000, period_us: 100000 }
        CpuBurst(25000)
        CpuWeight(20)
        Memory(67108864)
        Swap(8388608)
        MemoryLow(67108864)
        MemoryMin(1048576)
        MemoryHigh(33554432)
        OomGroup
        Pids(1024)
        IoWeight(500)
        IoBfqWeight(136)
        Io(IoRates { device: DeviceNumber { major: 8, minor: 0 }, read_bps: Some(1048576), write_bps: None, read_iops: None, write_iops: Some(100) })
        Cpus(Set({0, 1, 3}))
        MemoryNodes(Set({0}))
        HugePages { page_size: 2097152, bytes: 4194304 }
    "#]],
    );
}

#[test]
fn what_a_task_asks_for_is_set_on_v1() {
    check_limits(
        &demanding(),
        &able(Version::V1),
        &expect![[r#"
        CpuQuota { quota_us: 50000, period_us: 100000 }
        CpuBurst(25000)
        CpuShares(512)
        Memory(67108864)
        MemoryAndSwap(75497472)
        Pids(1024)
        IoBfqWeight(136)
        Io(IoRates { device: DeviceNumber { major: 8, minor: 0 }, read_bps: Some(1048576), write_bps: None, read_iops: None, write_iops: Some(100) })
        Cpus(Set({0, 1, 3}))
        MemoryNodes(Set({0}))
        HugePages { page_size: 2097152, bytes: 4194304 }
    "#]],
    );
}

#[test]
fn a_hierarchy_that_limits_nothing_is_not_entered() {
    let uses = |config: &ContainerConfig, version| {
        let plan = plan(config, &able(version)).unwrap();
        let used = Controller::ALL.into_iter().filter(|one| plan.uses(*one, version));
        used.map(Controller::as_str).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(uses(&task(), Version::V1), "cpu cpuacct memory pids devices");
    assert_eq!(uses(&task(), Version::V2), "cpu memory pids io devices");
    assert_eq!(
        uses(&demanding(), Version::V1),
        "cpu cpuacct memory pids io cpuset hugetlb devices"
    );
}

fn refusal(version: Version, change: impl FnOnce(&mut ContainerConfig, &mut HostFacts)) -> String {
    let (mut config, mut host) = (task(), able(version));
    change(&mut config, &mut host);
    plan(&config, &host).unwrap_err().to_string()
}

fn check_refusals(refusals: &[String], expected: &Expect) {
    expected.assert_eq(&(refusals.join("\n") + "\n"));
}

#[test]
fn what_a_host_lacks_is_named() {
    let lacks = |controller, change: fn(&mut ContainerConfig)| {
        refusal(Version::V2, |config, host| {
            host.controllers.remove(&controller);
            change(config);
        })
    };
    let bare = |version, change: fn(&mut ContainerConfig)| {
        refusal(version, |config, host| {
            host.extras = Extras::default();
            change(config);
        })
    };
    check_refusals(
        &[
            lacks(Controller::Io, |config| config.spec.cgroup.io_weight = Some(1)),
            lacks(Controller::Cpuset, |config| {
                config.spec.cgroup.cpuset_mems = Some("0".into())
            }),
            lacks(Controller::Hugetlb, |config| {
                let (page_size, limit) = (2 << 20, 0);
                config.spec.cgroup.hugepages = vec![HugepageLimit { page_size, limit }];
            }),
            lacks(Controller::Devices, |config| {
                config.spec.security.add_capabilities = vec![Capability::Mknod];
            }),
            lacks(Controller::Devices, |config| config.devices = vec![disk()]),
            bare(Version::V2, |config| config.spec.cgroup.cpu_burst_us = Some(1)),
            bare(Version::V2, |config| config.spec.cgroup.io_weight = Some(1)),
            bare(Version::V1, |config| config.spec.cgroup.memory_min = Some(1)),
            bare(Version::V1, |config| {
                config.spec.cgroup.memory_high = Some(1 << 20)
            }),
            refusal(Version::V2, |config, host| {
                host.swap_limit = false;
                host.has_swap = false;
                config.spec.cgroup.swap = Some(1 << 20);
            }),
        ],
        &expect![[r#"
            this host cannot limit io: its io cgroup controller is not available to the agent
            this host cannot limit cpuset: its cpuset cgroup controller is not available to the agent
            this host cannot limit hugetlb: its hugetlb cgroup controller is not available to the agent
            this host cannot limit devices: its devices cgroup controller is not available to the agent
            this host cannot limit devices: its devices cgroup controller is not available to the agent
            this host has no cpu burst: it needs Linux 5.14
            this host has no io weight: neither io.cost nor BFQ
            this host has no memory.min: it needs cgroup v2
            this host has no memory.high: it needs cgroup v2
            this host cannot limit swap: boot with `swapaccount=1`, or turn swap off (`swapoff -a`) and restart the agent
        "#]],
    );
}

#[test]
fn what_makes_no_limit_is_refused() {
    let refused = |change: fn(&mut ContainerConfig)| refusal(Version::V1, |config, _| change(config));
    fn io(config: &mut ContainerConfig, read_bps: [u64; 2]) {
        config.spec.cgroup.io = read_bps
            .map(|read_bps| IoLimit {
                path: "/data".into(),
                read_bps,
                ..IoLimit::default()
            })
            .to_vec();
    }
    check_refusals(
        &[
            refused(|config| config.spec.cgroup.cpu_burst_us = Some(50_001)),
            refused(|config| {
                config.spec.cgroup.cpu_burst_us = Some(1);
                config.limits.cpus = Some(Limit::Infinite);
            }),
            refused(|config| {
                config.spec.cgroup.swap = Some(1 << 20);
                config.limits.mem = Some(Limit::Infinite);
            }),
            refused(|config| config.spec.cgroup.io_weight = Some(0)),
            refused(|config| io(config, [1, 1])),
            refused(|config| {
                io(config, [1, 1]);
                config.io_devices = [DeviceNumber { major: 8, minor: 0 }; 2].to_vec();
            }),
            refused(|config| {
                io(config, [0, 1]);
                config.io_devices = [DeviceNumber { major: 8, minor: 0 }; 2].to_vec();
            }),
            refused(|config| config.spec.cgroup.cpuset_cpus = Some("0-".into())),
            refused(|config| config.spec.cgroup.cpuset_cpus = Some("2-9".into())),
            refused(|config| {
                let (page_size, limit) = (1 << 30, 1 << 30);
                config.spec.cgroup.hugepages = vec![HugepageLimit { page_size, limit }];
            }),
            refused(|config| {
                let (page_size, limit) = (2 << 20, 1 << 20);
                config.spec.cgroup.hugepages = vec![HugepageLimit { page_size, limit }];
            }),
            refused(|config| {
                let (page_size, limit) = (2 << 20, 2 << 20);
                config.spec.cgroup.hugepages = [HugepageLimit { page_size, limit }; 2].to_vec();
            }),
            refusal(Version::V2, |config, _| {
                config.spec.cgroup.memory_min = Some((64 << 20) + 1);
            }),
            refusal(Version::V2, |config, _| config.spec.cgroup.memory_high = Some(1)),
        ],
        &expect![[r#"
            cpu burst (microseconds) 50001 is outside of 0 to 50000
            cpu burst needs a limit of cpus: without one there is no quota to save
            swap cannot be limited by cgroup v1 where memory is not: give memory a limit
            io weight 0 is outside of 1 to 10000
            the device of the io limit of `/data` was not found
            the io limit of the device of `/data` is given twice
            the io limit of `/data` limits nothing
            `0-` is not a list of cpus such as `0-3,7`
            this host has no cpu 4: there are 0-3
            this host has no huge pages of 1073741824 B: there are 2097152 B
            a huge page limit of 1048576 B is no multiple of the page size 2097152 B
            the limit of huge pages of 2097152 B is given twice
            memory.min (bytes) 67108865 is outside of 0 to 67108864
            memory.high (bytes) 1 is outside of 4096 to 18446744073709551615
        "#]],
    );
}

fn disk() -> Device {
    let (read, write, mknod) = (true, false, false);
    Device {
        path: "/dev/sda".into(),
        is_block: true,
        major: 8,
        minor: 0,
        access: DeviceAccess { read, write, mknod },
    }
}

#[test]
fn a_task_may_use_its_own_devices_beside_those_of_all() {
    let mut config = task();
    config.devices = vec![disk()];
    let planned = plan(&config, &able(Version::V1)).unwrap();
    let rules = planned.prepare.iter().find_map(|step| {
        if let PrepareStep::AllowDevices(rules) = step {
            rules.last()
        } else {
            None
        }
    });
    assert_eq!(rules.unwrap().to_string(), "b 8:0 r");
    let mut bare = able(Version::V1);
    bare.controllers.remove(&Controller::Devices);
    assert!(!text(&plan(&task(), &bare).unwrap()).contains("allow devices"));
}

#[test]
fn a_container_that_lives_is_given_the_limits_of_other_resources_and_nothing_else() {
    let resized = |version| {
        let (config, resources) = (task(), "cpus:1.5;mem:96MiB".parse().unwrap());
        let limits = crate::resize(&config.container_id, &config.spec, &resources, &host(version));
        format!("{:?}\n", limits.unwrap())
    };
    expect![[r#"
        [CpuQuota { quota_us: 150000, period_us: 100000 }, CpuWeight(59), Memory(100663296), Swap(0), MemoryLow(100663296)]
        [CpuQuota { quota_us: 150000, period_us: 100000 }, CpuShares(1536), Memory(100663296), MemoryAndSwap(100663296)]
    "#]]
    .assert_eq(&(resized(Version::V2) + &resized(Version::V1)));
}

#[test]
fn an_executor_finds_the_directory_of_its_socket_which_it_cannot_change() {
    let mut config = task();
    config.executor = Some("/data/executor".into());
    let plan = plan(&config, &host(Version::V2)).unwrap();
    let attached = text(&plan);
    let steps = attached.lines().filter(|line| line.contains("executor"));
    expect![[r#"
        init: OpenTree("/data/executor")
        init: attach 2 on /run/proffer/executor ro"#]]
    .assert_eq(&steps.collect::<Vec<_>>().join("\n"));
}

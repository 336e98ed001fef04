//! Whole plans as text, and what a host must have for one.

use std::collections::BTreeSet;
use std::path::PathBuf;

use expect_test::{Expect, expect};
use proffer_types::{ContainerSpec, Resources};

use crate::{
    ContainerConfig, ContainerId, Controller, HostFacts, InitStep, LaunchPlan, Mount, PayloadStep, PlanError,
    PrepareStep, Version, plan,
};

fn host(version: Version) -> HostFacts {
    HostFacts {
        version,
        controllers: Controller::ALL.into_iter().collect(),
        swap_limit: true,
        has_swap: true,
        page_size: 4096,
        cgroup_mount: PathBuf::from("/sys/fs/cgroup"),
        mount_points: BTreeSet::from(["/dev/shm"]),
    }
}

fn task() -> ContainerConfig {
    ContainerConfig {
        container_id: ContainerId::new("c_1").unwrap(),
        spec: ContainerSpec {
            command: vec!["sort".into(), "-n".into()],
            ..ContainerSpec::default()
        },
        resources: Resources::of(500, 64 << 20, 0),
        sandbox: PathBuf::from("/box"),
        stdout: PathBuf::from("/box/stdout"),
        stderr: PathBuf::from("/box/stderr"),
        exit_file: PathBuf::from("/state/exit"),
        hostname: None,
    }
}

/// One step a line.
fn text(plan: &LaunchPlan) -> String {
    let prepare = plan.prepare.iter().map(|step| match step {
        PrepareStep::CreateDirectory(path) => format!("agent: mkdir {}", path.display()),
        PrepareStep::OpenFile { role, path } => format!("agent: open {} as {role:?}", path.display()),
        PrepareStep::CreateCgroup(leaf) => format!("agent: cgroup {}", leaf.as_str()),
        PrepareStep::SetLimit(limit) => format!("agent: limit {limit:?}"),
    });
    let init = plan.init.iter().map(|step| {
        if let InitStep::Mount(step) = step {
            format!("init: {}", mount(step))
        } else {
            format!("init: {step:?}")
        }
    });
    let payload = plan.payload.iter().map(|step| {
        if let PayloadStep::Mount(step) = step {
            format!("payload: {}", mount(step))
        } else if let PayloadStep::KeepCapabilities(kept) = step {
            format!("payload: keep {} capabilities", kept.len())
        } else {
            format!("payload: {step:?}")
        }
    });
    prepare
        .chain(init)
        .chain(payload)
        .map(|line| line + "\n")
        .collect()
}

fn mount(mount: &Mount) -> String {
    let access = if mount.read_only { "ro" } else { "rw" };
    format!(
        "mount {} on {} {access} {}",
        mount.filesystem,
        mount.target.display(),
        mount.options
    )
    .trim_end()
    .to_owned()
}

fn check(config: &ContainerConfig, host: &HostFacts, expected: &Expect) {
    expected.assert_eq(&text(&plan(config, host).unwrap()));
}

/// Only the limits of a plan.
fn check_limits(config: &ContainerConfig, host: &HostFacts, expected: &Expect) {
    let plan = text(&plan(config, host).unwrap());
    let limits = plan.lines().filter_map(|line| line.strip_prefix("agent: limit "));
    expected.assert_eq(&limits.map(|limit| format!("{limit}\n")).collect::<String>());
}

fn refused(change: impl FnOnce(&mut ContainerConfig, &mut HostFacts)) -> PlanError {
    let (mut config, mut host) = (task(), host(Version::V2));
    change(&mut config, &mut host);
    plan(&config, &host).unwrap_err()
}

#[test]
fn a_plan_for_cgroup_v2_limits_first_and_executes_last() {
    check(
        &task(),
        &host(Version::V2),
        &expect![[r#"
        agent: cgroup init
        agent: cgroup task
        agent: mkdir /box
        agent: open /box/stdout as Stdout
        agent: open /box/stderr as Stderr
        agent: open /state/exit as ExitRecord
        agent: limit CpuQuota { quota_us: 50000, period_us: 100000 }
        agent: limit CpuWeight(20)
        agent: limit Memory(67108864)
        agent: limit Swap(0)
        agent: limit OomGroup
        agent: limit Pids(1024)
        init: Enter { leaf: Init, namespaces: [Pid, Mount, Uts, Ipc] }
        init: ForbidDumping
        init: SetHostname("c-1")
        init: MakeMountsPrivate
        init: mount proc on /proc rw
        init: mount tmpfs on /dev/shm rw mode=1777
        payload: Enter { leaf: Task }
        payload: Unshare([Cgroup])
        payload: mount tmpfs on /sys/fs/cgroup ro mode=0555
        payload: mount cgroup2 on /sys/fs/cgroup ro
        payload: ChangeDirectory("/box")
        payload: keep 13 capabilities
        payload: NoNewPrivileges
        payload: Execute { argv: ["sort", "-n"], env: ["HOME=/box", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PROFFER_SANDBOX=/box", "PWD=/box"] }
    "#]],
    );
}

#[test]
fn a_plan_for_cgroup_v1_sets_the_same_limits_its_own_way() {
    check_limits(
        &task(),
        &host(Version::V1),
        &expect![[r#"
        CpuQuota { quota_us: 50000, period_us: 100000 }
        CpuShares(512)
        Memory(67108864)
        MemoryAndSwap(67108864)
        Pids(1024)
    "#]],
    );
}

#[test]
fn the_spec_decides_over_every_default() {
    let mut config = task();
    config.spec.pids_limit = Some(7);
    config.spec.working_directory = Some("/srv".into());
    config.spec.env.insert("PATH".into(), "/opt".into());
    config.hostname = Some("web-1".into());
    let plan = text(&plan(&config, &host(Version::V2)).unwrap());
    for line in [
        "agent: limit Pids(7)",
        "init: SetHostname(\"web-1\")",
        "payload: ChangeDirectory(\"/srv\")",
    ] {
        assert!(
            plan.lines().any(|found| found == line),
            "{line} is not in\n{plan}"
        );
    }
    assert!(
        plan.contains("\"PATH=/opt\"") && plan.contains("\"PWD=/srv\"") && plan.contains("\"HOME=/box\"")
    );
}

#[test]
fn the_weight_of_cpus_stays_in_the_kernels_range() {
    for (millis, expected) in [
        (
            10,
            expect![[r#"
            CpuQuota { quota_us: 1000, period_us: 100000 }
            CpuWeight(1)
            Memory(1073741824)
            Swap(0)
            OomGroup
            Pids(1024)
        "#]],
        ),
        (
            1000,
            expect![[r#"
            CpuQuota { quota_us: 100000, period_us: 100000 }
            CpuWeight(39)
            Memory(1073741824)
            Swap(0)
            OomGroup
            Pids(1024)
        "#]],
        ),
        (
            1_000_000,
            expect![[r#"
            CpuQuota { quota_us: 100000000, period_us: 100000 }
            CpuWeight(10000)
            Memory(1073741824)
            Swap(0)
            OomGroup
            Pids(1024)
        "#]],
        ),
    ] {
        let mut config = task();
        config.resources = Resources::of(millis, 1 << 30, 0);
        check_limits(&config, &host(Version::V2), &expected);
    }
}

#[test]
fn a_memory_limit_is_cut_to_whole_pages() {
    let mut config = task();
    config.resources = Resources::of(500, 100_000_000, 0);
    check_limits(
        &config,
        &host(Version::V1),
        &expect![[r#"
        CpuQuota { quota_us: 50000, period_us: 100000 }
        CpuShares(512)
        Memory(99999744)
        MemoryAndSwap(99999744)
        Pids(1024)
    "#]],
    );
}

#[test]
fn what_the_host_cannot_enforce_is_refused() {
    for controller in [Controller::Cpu, Controller::Memory, Controller::Pids] {
        let error = refused(|_, host| {
            host.controllers.remove(&controller);
        });
        assert_eq!(error, PlanError::ControllerMissing(controller));
    }
    let error = refused(|_, host| host.swap_limit = false);
    assert_eq!(error, PlanError::SwapNotLimitable);
    let mut without = host(Version::V2);
    (without.swap_limit, without.has_swap) = (false, false);
    check_limits(
        &task(),
        &without,
        &expect![[r#"
        CpuQuota { quota_us: 50000, period_us: 100000 }
        CpuWeight(20)
        Memory(67108864)
        OomGroup
        Pids(1024)
    "#]],
    );
}

#[test]
fn what_makes_no_container_is_refused() {
    let refusals = [
        refused(|config, _| config.spec.command.clear()),
        refused(|config, _| config.spec.command[1] = "a\0b".into()),
        refused(|config, _| {
            config.spec.env.insert("A=B".into(), String::new());
        }),
        refused(|config, _| config.spec.working_directory = Some("here".into())),
        refused(|config, _| config.sandbox = "box".into()),
        refused(|config, _| config.hostname = Some("a b".into())),
        refused(|config, _| config.spec.pids_limit = Some(0)),
        refused(|config, _| config.resources = Resources::of(9, 1 << 20, 0)),
        refused(|config, _| config.resources = Resources::of(10, 4095, 0)),
    ];
    let text = refusals
        .iter()
        .map(|error| format!("{error}\n"))
        .collect::<String>();
    expect![[r#"
        the command is empty
        the command contains a NUL byte: `a\0b`
        `A=B` cannot be the name of an environment variable
        the working directory `here` is not an absolute path
        the sandbox `box` is not an absolute path
        host name `a b` must be 1 to 64 letters, digits, `-` or `.`
        pids limit 0 allows no process at all, at least 1 is needed
        cpus 9m is less than the kernel can enforce, at least 10m (0.01 cpus) are needed
        mem 4095 B is less than the kernel can enforce, at least 4096 B are needed
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_container_id_is_a_safe_directory_name() {
    for good in ["a", "0b1c-f0002.task_1", &"x".repeat(128)] {
        assert!(ContainerId::new(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        ".",
        "..",
        ".a",
        "a/b",
        "a b",
        "cgroup.procs",
        "a\n",
        "ä",
        &"x".repeat(129),
    ] {
        assert!(ContainerId::new(bad).is_err(), "{bad}");
    }
}

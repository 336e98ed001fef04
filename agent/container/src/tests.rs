//! Whole plans as text, and what a host must have for one.

mod limits;
mod rootless;
mod volumes;

use std::path::PathBuf;

use expect_test::{Expect, expect};
use proffer_types::container::{Capability, Propagation};
use proffer_types::{ContainerSpec, Kind, Limits, Resources};

use crate::{
    ContainerConfig, ContainerId, Controller, Extras, Files, HostFacts, InitStep, LaunchPlan, Mount,
    MountSource, PayloadStep, PlanError, PrepareStep, RootStep, Version, plan,
};

pub(crate) fn host(version: Version) -> HostFacts {
    HostFacts {
        version,
        controllers: Controller::ALL.into_iter().collect(),
        swap_limit: true,
        has_swap: true,
        soft_limit: true,
        cpu_idle: true,
        extras: Extras::default(),
        mem_bytes: 16 << 30,
        page_size: 4096,
        cgroup_mount: PathBuf::from("/sys/fs/cgroup"),
        has_mqueue: true,
        has_time_namespace: true,
        rootless: None,
    }
}

pub(crate) fn task() -> ContainerConfig {
    let files = Files {
        sandbox: PathBuf::from("/box"),
        tmp: PathBuf::from("/tmp-of-box"),
        stdout: PathBuf::from("/box/stdout"),
        stderr: PathBuf::from("/box/stderr"),
        attach: PathBuf::from("/state/attach"),
        exit: PathBuf::from("/state/exit"),
    };
    let spec = ContainerSpec {
        command: vec!["sort".into(), "-n".into()],
        ..ContainerSpec::default()
    };
    let id = ContainerId::new("c_1").unwrap();
    ContainerConfig::new(id, spec, Resources::of(500, 64 << 20, 0), files)
}

fn bind(path: &str) -> MountSource {
    MountSource::Bind {
        path: path.into(),
        propagation: Propagation::Private,
    }
}

/// One step a line.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a step that is not shortened is shown as it is"
)]
fn text(plan: &LaunchPlan) -> String {
    let prepare = plan.prepare.iter().map(|step| match step {
        PrepareStep::CreateDirectory { path, mode, owner } => {
            format!("agent: mkdir {} {mode:o} {owner:?}", path.display())
        }
        PrepareStep::OpenFile { role, path } => format!("agent: open {} as {role:?}", path.display()),
        PrepareStep::OpenOutputDirectory(path) => format!("agent: open {} for output", path.display()),
        PrepareStep::Listen(path) => format!("agent: listen on {}", path.display()),
        PrepareStep::CreateCgroup(leaf) => format!("agent: cgroup {}", leaf.as_str()),
        PrepareStep::SetLimit(limit) => format!("agent: limit {limit:?}"),
        PrepareStep::AllowDevices(rules) => format!("agent: allow devices by {} rules", rules.len()),
    });
    let init = plan.init.iter().map(|step| match step {
        InitStep::Root(RootStep::Mount(step)) => format!("init: {}", mount(step)),
        InitStep::Root(RootStep::Attach(step)) => {
            let access = match (step.is_device, step.read_only) {
                (true, _) => "as a device",
                (false, true) => "ro",
                (false, false) => "rw",
            };
            format!("init: attach {} on {} {access}", step.tree, step.target.display())
        }
        InitStep::Root(RootStep::MakeNode(node)) => {
            format!(
                "init: node {} {}:{} {:o}",
                node.path.display(),
                node.major,
                node.minor,
                node.mode
            )
        }
        InitStep::Root(step) => format!("init: {step:?}"),
        step => format!("init: {step:?}"),
    });
    let names = |kept: &[Capability]| kept.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(" ");
    let payload = plan.payload.iter().map(|step| match step {
        PayloadStep::Mount(step) => format!("payload: {}", mount(step)),
        PayloadStep::BoundCapabilities(kept) if kept == Capability::DEFAULT => {
            "payload: bound capabilities to the default".to_owned()
        }
        PayloadStep::BoundCapabilities(kept) => format!("payload: bound capabilities to {}", names(kept)),
        PayloadStep::KeepCapabilities { permitted, ambient } => {
            let permitted = if permitted == Capability::DEFAULT {
                "the default".into()
            } else {
                names(permitted)
            };
            format!("payload: keep {permitted}; ambient {}", names(ambient))
                .trim_end()
                .to_owned()
        }
        step => format!("payload: {step:?}"),
    });
    prepare
        .chain(init)
        .chain(payload)
        .map(|line| line + "\n")
        .collect()
}

fn mount(mount: &Mount) -> String {
    let access = if mount.access.read_only { "ro" } else { "rw" };
    let options = mount
        .options
        .iter()
        .map(|(key, value)| format!(" {key}={value}"))
        .collect::<String>();
    format!(
        "mount {} on {} {access}{options}",
        mount.filesystem,
        mount.target.display()
    )
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
            agent: mkdir /box 755 (0, 0)
            agent: mkdir /tmp-of-box 1777 (0, 0)
            agent: open /box/stdout as Stdout
            agent: open /box/stderr as Stderr
            agent: open /state/exit as ExitRecord
            agent: open /box for output
            agent: limit CpuQuota { quota_us: 50000, period_us: 100000 }
            agent: limit CpuWeight(20)
            agent: limit Memory(67108864)
            agent: limit Swap(0)
            agent: limit MemoryLow(67108864)
            agent: limit OomGroup
            agent: limit Pids(1024)
            agent: allow devices by 10 rules
            init: OpenCgroup(Task)
            init: Enter { leaf: Init, namespaces: [Pid, Mount, Uts, Ipc] }
            init: ForbidDumping
            init: SetHostname("c-1")
            init: OpenTree("/box")
            init: OpenTree("/tmp-of-box")
            init: MakeMountsPrivate
            init: SealHost
            init: mount proc on /proc rw
            init: mount sysfs on /sys ro
            init: mount tmpfs on /dev rw mode=0755 size=65536
            init: node /dev/null 1:3 666
            init: node /dev/zero 1:5 666
            init: node /dev/full 1:7 666
            init: node /dev/random 1:8 666
            init: node /dev/urandom 1:9 666
            init: node /dev/tty 5:0 666
            init: MakeLink { path: "/dev/fd", target: "/proc/self/fd" }
            init: MakeLink { path: "/dev/stdin", target: "/proc/self/fd/0" }
            init: MakeLink { path: "/dev/stdout", target: "/proc/self/fd/1" }
            init: MakeLink { path: "/dev/stderr", target: "/proc/self/fd/2" }
            init: MakeLink { path: "/dev/ptmx", target: "pts/ptmx" }
            init: mount devpts on /dev/pts rw mode=0620 ptmxmode=0666 gid=5
            init: mount tmpfs on /dev/shm rw mode=1777
            init: mount mqueue on /dev/mqueue rw
            init: mount tmpfs on /run rw mode=0755 uid=0 gid=0 size=67108864
            init: MakeDirectory { path: "/run/proffer", mode: 493, owner: (0, 0) }
            init: MakeDirectory { path: "/run/lock", mode: 1023, owner: (0, 0) }
            init: attach 0 on /run/proffer/sandbox rw
            init: attach 1 on /tmp rw
            init: ReadOnly("/proc/bus")
            init: ReadOnly("/proc/fs")
            init: ReadOnly("/proc/irq")
            init: ReadOnly("/proc/sys")
            init: ReadOnly("/proc/sysrq-trigger")
            init: Cover("/proc/acpi")
            init: Cover("/proc/asound")
            init: Cover("/proc/interrupts")
            init: Cover("/proc/kcore")
            init: Cover("/proc/keys")
            init: Cover("/proc/latency_stats")
            init: Cover("/proc/sched_debug")
            init: Cover("/proc/scsi")
            init: Cover("/proc/timer_list")
            init: Cover("/sys/devices/virtual/powercap")
            init: Cover("/sys/firmware")
            init: Stdio { kind: Output, owner: (0, 0), logs: Logs { max_bytes: 10485760, files: 5 } }
            init: Unshare(Time)
            payload: Enter
            payload: Unshare([Cgroup])
            payload: mount cgroup2 on /sys/fs/cgroup ro
            payload: bound capabilities to the default
            payload: BecomeUser(User { uid: 0, gid: 0, groups: [] })
            payload: ChangeDirectory("/run/proffer/sandbox")
            payload: keep the default; ambient
            payload: NoNewPrivileges
            payload: Execute { argv: ["sort", "-n"], env: ["HOME=/run/proffer/sandbox", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PROFFER_SANDBOX=/run/proffer/sandbox", "PWD=/run/proffer/sandbox"] }
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
    assert!(plan.contains("\"PATH=/opt\"") && plan.contains("\"PWD=/srv\""));
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
                MemoryLow(1073741824)
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
                MemoryLow(1073741824)
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
                MemoryLow(1073741824)
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

fn limits(cpus: Option<proffer_types::Limit>, mem: Option<proffer_types::Limit>) -> Limits {
    Limits { cpus, mem }
}

#[test]
fn a_limit_beyond_the_request_bounds_and_the_request_ranks() {
    use proffer_types::Limit::{At, Infinite};
    let mut config = task();
    config.limits = limits(Some(At(2000)), Some(At(128 << 20)));
    check_limits(
        &config,
        &host(Version::V2),
        &expect![[r#"
        CpuQuota { quota_us: 200000, period_us: 100000 }
        CpuWeight(20)
        Memory(134217728)
        Swap(0)
        MemoryLow(67108864)
        OomGroup
        Pids(1024)
    "#]],
    );
    check_limits(
        &config,
        &host(Version::V1),
        &expect![[r#"
        CpuQuota { quota_us: 200000, period_us: 100000 }
        CpuShares(512)
        Memory(134217728)
        MemoryAndSwap(134217728)
        MemorySoft(67108864)
        Pids(1024)
    "#]],
    );
    config.limits = limits(Some(Infinite), Some(Infinite));
    check_limits(
        &config,
        &host(Version::V2),
        &expect![[r#"
        CpuWeight(20)
        MemoryLow(67108864)
        OomGroup
        Pids(1024)
    "#]],
    );
    check_limits(
        &config,
        &host(Version::V1),
        &expect![[r#"
        CpuShares(512)
        MemorySoft(67108864)
        Pids(1024)
    "#]],
    );
}

#[test]
fn a_task_that_may_exceed_its_memory_goes_first_and_the_sooner_the_less_it_asked_for() {
    use proffer_types::Limit::{At, Infinite};
    let score = |mem_bytes: u64, mem| {
        let mut config = task();
        (config.resources, config.limits) = (Resources::of(500, mem_bytes, 0), limits(None, mem));
        let plan = plan(&config, &host(Version::V2)).unwrap();
        plan.payload.into_iter().find_map(|step| {
            if let PayloadStep::OomScoreAdj(score) = step {
                Some(score)
            } else {
                None
            }
        })
    };
    assert_eq!(score(1 << 30, None), None);
    assert_eq!(score(1 << 30, Some(At(1 << 30))), None);
    assert_eq!(score(1 << 30, Some(At(2 << 30))), Some(938));
    assert_eq!(score(8 << 30, Some(Infinite)), Some(500));
    assert_eq!(score(1 << 20, Some(Infinite)), Some(999));
    assert_eq!(score(16 << 30, Some(Infinite)), Some(2));
}

#[test]
fn revocable_cpus_take_only_what_nobody_else_wants() {
    let mut config = task();
    let revocable = Resources::of(500, 0, 0);
    let memory = Resources::of(0, 64 << 20, 0);
    config.resources = memory.with_kind(Kind::revocable(), revocable).unwrap();
    check_limits(
        &config,
        &host(Version::V2),
        &expect![[r#"
        CpuQuota { quota_us: 50000, period_us: 100000 }
        CpuIdle
        Memory(67108864)
        Swap(0)
        MemoryLow(67108864)
        OomGroup
        Pids(1024)
    "#]],
    );
    let mut old = host(Version::V1);
    old.cpu_idle = false;
    check_limits(
        &config,
        &old,
        &expect![[r#"
        CpuQuota { quota_us: 50000, period_us: 100000 }
        CpuShares(2)
        Memory(67108864)
        MemoryAndSwap(67108864)
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
    let error = refused(|config, host| {
        config.limits.mem = Some(proffer_types::Limit::Infinite);
        host.soft_limit = false;
    });
    assert_eq!(error, PlanError::NoSoftLimit);
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
            MemoryLow(67108864)
            OomGroup
            Pids(1024)
        "#]],
    );
}

#[test]
fn what_makes_no_container_is_refused() {
    let refusals = [
        refused(|config, _| config.command.clear()),
        refused(|config, _| config.command[1] = "a\0b".into()),
        refused(|config, _| {
            config.spec.env.insert("A=B".into(), String::new());
        }),
        refused(|config, _| config.spec.working_directory = Some("here".into())),
        refused(|config, _| config.files.sandbox = "box".into()),
        refused(|config, _| config.hostname = Some("a b".into())),
        refused(|config, _| config.spec.pids_limit = Some(0)),
        refused(|config, _| config.resources = Resources::of(9, 1 << 20, 0)),
        refused(|config, _| config.resources = Resources::of(10, 4095, 0)),
        refused(|config, _| config.limits.cpus = Some(proffer_types::Limit::At(499))),
        refused(|config, _| config.limits.cpus = Some(proffer_types::Limit::At(1 << 33))),
        refused(|config, _| config.limits.mem = Some(proffer_types::Limit::At(0))),
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
        the cpus limit is less than the cpus that the task asks for
        a limit of 8589934592m cpus is more than the kernel can tell from none: ask for no limit
        the memory limit is less than the memory that the task asks for
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

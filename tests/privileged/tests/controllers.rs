//! What each controller limits and counts, on the kernel at hand.
//!
//! Run on this host, and by the last tests once more in guests with cgroup v2: one has what its kernel has, the other every
//! controller.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use proffer_container::{
    ContainerConfig, ContainerId, Controller, DEFAULT_PIDS_LIMIT, HostFacts, PlanError, Version, plan,
};
use proffer_linux::{UsageError, device, disk};
use proffer_privileged_tests::{Host, MEM_BYTES, eventually, guest, on_host, skip, task_group};
use proffer_types::container::{DeviceAccess, HugepageLimit, IoLimit};
use proffer_types::statistics::Statistics;
use proffer_types::{Resources, TaskExit};

const MIB: u64 = 1 << 20;

fn statistics(host: &Host, id: &ContainerId) -> Result<Statistics> {
    Ok(host.containerizer.statistics(id)?)
}

/// Whether the host has what a test is about; else says so, and checks that a task that asks for it is refused.
fn has(host: &Host, config: &ContainerConfig, is_there: impl Fn(&HostFacts) -> bool) -> Result<bool> {
    let facts = host.containerizer.host_facts();
    if is_there(facts) {
        return Ok(true);
    }
    let refused = plan(config, facts)
        .err()
        .context("planned what cannot be enforced")?;
    ensure!(
        matches!(
            refused,
            PlanError::ControllerMissing(_) | PlanError::FileMissing(_)
        ),
        "{refused:?}"
    );
    skip(&refused.to_string());
    Ok(false)
}

fn has_controller(host: &Host, config: &ContainerConfig, controller: Controller) -> Result<bool> {
    has(host, config, |facts| facts.controllers.contains(&controller))
}

/// The text of a file of the group of a container's payload.
fn read(host: &Host, id: &ContainerId, file: &str) -> Result<String> {
    let group = task_group(host, id, file)?;
    Ok(fs::read_to_string(group.join(file))?.trim().to_owned())
}

/// The name of a file in each version.
fn by_version<'a>(host: &Host, v2: &'a str, v1: &'a str) -> &'a str {
    match host.containerizer.host_facts().version {
        Version::V2 => v2,
        Version::V1 => v1,
    }
}

#[test]
fn a_running_task_is_counted_by_kind() -> Result<()> {
    on_host(|host| {
        // `tail` keeps what may be the last 4 MiB, and a fifth of a cpu is not enough for the loop.
        let script = "{ head -c 4M /dev/zero; sleep 100; } | tail -c 4M & while :; do :; done";
        let mut config = host.config("counted", &["sh", "-c", script]);
        config.resources = Resources::of(200, MEM_BYTES, 0);
        let container = host.launch(&config)?;
        // What is counted grows while it is read, in no order: one reading has to have all of it, not the first. A kernel that
        // samples at ticks sees user time late.
        let mut last = None;
        let found = eventually("memory and throttling", || {
            let found = statistics(host, &container.id)?;
            let (cpu, memory) = (found.cpu, found.memory);
            let is_throttled = cpu.throttled_us > 0 && cpu.n_throttled > 0;
            let is_run = cpu.usage_us > 0 && cpu.user_us > 0 && cpu.n_periods >= cpu.n_throttled;
            let is_held = memory.anon_bytes >= 2 * MIB && memory.anon_bytes <= memory.current_bytes;
            last = Some(found.clone());
            Ok((is_throttled && is_run && is_held && found.pids.current >= 3).then_some(found))
        })
        .with_context(|| format!("{last:?}"))?;
        let (memory, pids) = (found.memory, found.pids);
        ensure!(memory.current_bytes <= MEM_BYTES, "{memory:?}");
        ensure!(memory.limit_bytes == Some(MEM_BYTES), "{memory:?}");
        ensure!(memory.oom_kills == 0, "{memory:?}");
        ensure!(
            pids.current < 10 && (pids.limit, pids.refused) == (Some(DEFAULT_PIDS_LIMIT), 0),
            "{pids:?}"
        );
        ensure!(found.network.is_empty(), "{:?}", found.network);
        ensure!(found.timestamp.0 > 0);
        let has_pressure = host.containerizer.host_facts().version == Version::V2
            && fs::read_to_string("/proc/pressure/cpu").is_ok();
        ensure!(
            found.pressure.cpu.is_some() == has_pressure,
            "{:?}",
            found.pressure
        );
        if let Some(pressure) = found.pressure.cpu {
            ensure!(pressure.some_total_us > 0, "{pressure:?}");
        }
        host.containerizer.destroy(&container.id)?;
        let gone = host.containerizer.statistics(&container.id).err();
        ensure!(
            matches!(gone, Some(UsageError::Gone(_))),
            "a container that is gone has statistics: {gone:?}"
        );
        Ok(())
    })
}

#[test]
fn unused_quota_may_be_saved_up_to_the_burst() -> Result<()> {
    on_host(|host| {
        let mut config = host.config("burst", &["sleep", "100"]);
        config.spec.cgroup.cpu_burst_us = Some(20_000);
        if !has(host, &config, |facts| facts.extras.cpu_burst)? {
            return Ok(());
        }
        let container = host.launch(&config)?;
        let file = by_version(host, "cpu.max.burst", "cpu.cfs_burst_us");
        ensure!(read(host, &container.id, file)? == "20000");
        host.containerizer.destroy(&container.id)?;
        config.spec.cgroup.cpu_burst_us = Some(50_001);
        ensure!(
            host.plan(&config).is_err(),
            "a burst beyond the quota was planned"
        );
        Ok(())
    })
}

#[test]
fn a_task_above_memory_high_is_slowed_down_and_not_killed() -> Result<()> {
    on_host(|host| {
        let script = "{ head -c 16M /dev/zero; sleep 100; } | tail -c 16M";
        let mut config = host.config("high", &["sh", "-c", script]);
        config.spec.cgroup.memory_high = Some(8 * MIB);
        config.spec.cgroup.swap = Some(64 * MIB);
        if !has(host, &config, |facts| facts.extras.memory_high)? {
            return Ok(());
        }
        let container = host.launch(&config)?;
        eventually("memory.high to be exceeded", || {
            let events = read(host, &container.id, "memory.events")?;
            let high = events.lines().find_map(|line| line.strip_prefix("high "));
            Ok((high.context("no count")? != "0").then_some(()))
        })?;
        let counted = statistics(host, &container.id)?;
        host.containerizer.destroy(&container.id)?;
        ensure!(counted.memory.oom_kills == 0, "{counted:?}");
        Ok(())
    })
}

#[test]
fn memory_min_holds_from_the_payload_up_to_the_agents_root() -> Result<()> {
    on_host(|host| {
        let mut config = host.config("min", &["sleep", "100"]);
        config.spec.cgroup.memory_min = Some(4 * MIB);
        if !has(host, &config, |facts| facts.extras.memory_min)? {
            return Ok(());
        }
        let container = host.launch(&config)?;
        let leaf = task_group(host, &container.id, "memory.min")?;
        let min = |group: &Path| fs::read_to_string(group.join("memory.min"));
        for group in leaf.ancestors().take(3) {
            ensure!(min(group)? == format!("{}\n", 4 * MIB), "{}", group.display());
        }
        host.containerizer.destroy(&container.id)?;
        let root = host.cgroups().pop().context("no root")?;
        ensure!(min(&root)? == "0\n");
        Ok(())
    })
}

#[test]
fn a_task_may_swap_as_much_as_it_asked_for() -> Result<()> {
    on_host(|host| {
        let mut config = host.config(
            "swap",
            &["sh", "-c", "head -c 24M /dev/zero | tail -c 24M | wc -c"],
        );
        config.resources = Resources::of(1000, 16 * MIB, 0);
        config.spec.cgroup.swap = Some(48 * MIB);
        let facts = host.containerizer.host_facts();
        if !facts.swap_limit {
            ensure!(plan(&config, facts) == Err(PlanError::SwapNotLimitable));
            skip("this host cannot limit swap");
            return Ok(());
        }
        let mut sleeps = config.clone();
        sleeps.spec.command = ["sleep", "100"].map(str::to_owned).to_vec();
        sleeps.command.clone_from(&sleeps.spec.command);
        let container = host.launch(&sleeps)?;
        let file = by_version(host, "memory.swap.max", "memory.memsw.limit_in_bytes");
        let expected = if facts.version == Version::V2 { 48 } else { 64 } * MIB;
        ensure!(read(host, &container.id, file)? == expected.to_string());
        host.containerizer.destroy(&container.id)?;
        if !facts.has_swap {
            skip("this host has no swap to use");
            return Ok(());
        }
        let ended = host.run_config(&config)?.expect_code(0)?;
        ensure!(ended.stdout.trim() == (24 * MIB).to_string(), "{ended:?}");
        config.spec.cgroup.swap = None;
        let exit = host.run_config(&config)?.record.exit;
        ensure!(
            exit != TaskExit::Code(0),
            "swapped without having asked: {exit:?}"
        );
        Ok(())
    })
}

#[test]
fn a_task_runs_on_its_cpus_and_memory_nodes_only() -> Result<()> {
    on_host(|host| {
        let script = "grep -E '^(Cpus|Mems)_allowed_list' /proc/self/status";
        let mut config = host.config("cpuset", &["sh", "-c", script]);
        let cpus = &host.containerizer.host_facts().extras.cpus;
        let last = cpus.last().copied().unwrap_or(0);
        config.spec.cgroup.cpuset_cpus = Some(last.to_string());
        if !has_controller(host, &config, Controller::Cpuset)? {
            return Ok(());
        }
        let one = host.run_config(&config)?.expect_code(0)?.stdout;
        ensure!(one.contains(&format!("Cpus_allowed_list:\t{last}\n")), "{one}");
        config.spec.cgroup.cpuset_cpus = None;
        config.spec.cgroup.cpuset_mems = Some("0".to_owned());
        let all = host.run_config(&config)?.expect_code(0)?.stdout;
        ensure!(
            all.contains("Mems_allowed_list:\t0\n") && (all != one || cpus.len() == 1),
            "{all}"
        );
        config.spec.cgroup.cpuset_cpus = Some("8191".to_owned());
        let refused = plan(&config, host.containerizer.host_facts());
        ensure!(
            matches!(refused, Err(PlanError::NotInSet { number: 8191, .. })),
            "{refused:?}"
        );
        Ok(())
    })
}

#[test]
fn a_task_writes_to_a_disk_no_faster_than_its_limit_and_what_it_writes_is_counted() -> Result<()> {
    on_host(|host| {
        let Ok(number) = disk(host.dir.path()) else {
            skip("the directory of the tests is on no disk");
            return Ok(());
        };
        let write =
            "dd if=/dev/zero of=file bs=256k count=12 oflag=direct 2>/dev/null && echo up && exec sleep 100";
        let mut config = host.config("io", &["sh", "-c", write]);
        config.spec.cgroup.io = vec![IoLimit {
            path: host.dir.path().display().to_string(),
            write_bps: MIB,
            ..IoLimit::default()
        }];
        config.io_devices = vec![number];
        if !has_controller(host, &config, Controller::Io)? {
            return Ok(());
        }
        let started = std::time::Instant::now();
        let container = host.launch(&config)?;
        host.wait_output(&container, "up")?;
        let taken = started.elapsed();
        let counted = statistics(host, &container.id)?.io;
        let used = host.containerizer.usage(&container.id)?;
        host.containerizer.destroy(&container.id)?;
        // 3 MiB at 1 MiB a second, of which the kernel lets the first pass at once.
        ensure!(taken.as_millis() > 1800, "{taken:?}");
        let device = format!("{}:{}", number.major, number.minor);
        let written = counted.iter().find(|found| found.device == device);
        let written = written.with_context(|| format!("{device} is not in {counted:?}"))?;
        ensure!(
            written.write_bytes >= 3 * MIB && written.writes >= 12,
            "{written:?}"
        );
        let used = used.io.context("what it wrote is not in its usage")?;
        ensure!(used.write_bytes >= 3 * MIB && used.writes >= 12, "{used:?}");
        Ok(())
    })
}

#[test]
fn what_a_task_wrote_and_synced_is_in_its_usage_where_the_host_counts_it() -> Result<()> {
    on_host(|host| {
        let Ok(number) = disk(host.dir.path()) else {
            skip("the directory of the tests is on no disk");
            return Ok(());
        };
        let facts = host.containerizer.host_facts();
        // What v1's page cache writes back is nobody's.
        let how = by_version(host, "conv=fsync", "oflag=direct conv=fsync");
        let write = format!("exec dd if=/dev/zero of=file bs=256k count=32 {how}");
        let mut config = host.config("synced", &["sh", "-c", &write]);
        let has_io = facts.controllers.contains(&Controller::Io);
        if facts.version == Version::V1 || !has_io {
            let ended = host.run_config(&config)?.expect_code(0)?;
            ensure!(
                ended.usage.io.is_none(),
                "{:?} of a task without a limit",
                ended.usage
            );
        }
        if !has_io {
            skip("this host has no io controller");
            return Ok(());
        }
        if facts.version == Version::V1 {
            config.spec.cgroup.io = vec![IoLimit {
                path: host.dir.path().display().to_string(),
                write_bps: 1024 * MIB,
                ..IoLimit::default()
            }];
            config.io_devices = vec![number];
        }
        let used = host.run_config(&config)?.expect_code(0)?.usage.io;
        let used = used.context("it is not counted")?;
        ensure!(used.write_bytes >= 8 * MIB && used.writes > 0, "{used:?}");
        Ok(())
    })
}

#[test]
fn a_weight_of_io_is_set_where_containers_are_siblings() -> Result<()> {
    on_host(|host| {
        let mut config = host.config("weight", &["sleep", "100"]);
        config.spec.cgroup.io_weight = Some(1100);
        if !has(host, &config, |facts| {
            facts.extras.io_weight || facts.extras.io_bfq_weight
        })? {
            return Ok(());
        }
        let container = host.launch(&config)?;
        let extras = &host.containerizer.host_facts().extras;
        let bfq = by_version(host, "io.bfq.weight", "blkio.bfq.weight");
        let files = [
            (extras.io_weight, "io.weight", "1100"),
            (extras.io_bfq_weight, bfq, "190"),
        ];
        for (_, file, weight) in files.into_iter().filter(|(is_there, ..)| *is_there) {
            let groups = host
                .cgroups()
                .into_iter()
                .map(|root| root.join(container.id.as_str()));
            let mut files = groups.map(|group| group.join(file)).filter(|path| path.exists());
            let read = fs::read_to_string(files.next().context("no group of the container has it")?)?;
            ensure!(read.split_whitespace().last() == Some(weight), "{file}: {read}");
        }
        host.containerizer.destroy(&container.id)?;
        Ok(())
    })
}

#[test]
fn a_task_gets_no_more_huge_pages_than_its_limit() -> Result<()> {
    on_host(|host| {
        let page_size = 2 * MIB;
        let map = "import mmap, sys\n\
                   m = mmap.mmap(-1, 4 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)\n\
                   m[0] = 1; m[2 << 20] = 1";
        let mut config = host.config("huge", &["python3", "-c", map]);
        let limit = |pages: u64| {
            let limit = pages * page_size;
            vec![HugepageLimit { page_size, limit }]
        };
        config.spec.cgroup.hugepages = limit(2);
        if !has_controller(host, &config, Controller::Hugetlb)? {
            return Ok(());
        }
        let free = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")?;
        if free.trim().parse::<u64>()? < 2 {
            config.spec.command = ["sleep", "100"].map(str::to_owned).to_vec();
            config.command.clone_from(&config.spec.command);
            let container = host.launch(&config)?;
            ensure!(read(host, &container.id, "hugetlb.2MB.max")? == (2 * page_size).to_string());
            host.containerizer.destroy(&container.id)?;
            skip("this host keeps no huge pages to use");
            return Ok(());
        }
        host.run_config(&config)?.expect_code(0)?;
        config.spec.cgroup.hugepages = limit(1);
        let ended = host.run_config(&config)?;
        ensure!(ended.record.exit == TaskExit::Code(1), "{ended:?}");
        ensure!(
            ended.stderr.contains("Cannot allocate memory"),
            "{}",
            ended.stderr
        );
        Ok(())
    })
}

/// Whether a process of the host's, with all its rights, can open a device once it is in a group.
fn opens(group: &Path, mode: &str, path: &str) -> Result<bool> {
    let tasks = group.join("cgroup.procs");
    let script = format!("echo $$ >{} && exec true {mode} {path}", tasks.display());
    let status = Command::new("sh")
        .args(["-c", &script])
        .stderr(Stdio::null())
        .status()?;
    Ok(status.success())
}

#[test]
fn a_task_may_open_the_devices_it_has_and_no_other() -> Result<()> {
    on_host(|host| {
        let mut config = host.config("devices", &["sleep", "100"]);
        let read_only = DeviceAccess {
            read: true,
            write: false,
            mknod: false,
        };
        config.devices = vec![device(Path::new("/dev/kmsg"), read_only)?];
        if !has_controller(host, &config, Controller::Devices)? {
            return Ok(());
        }
        let may_open = |config: &ContainerConfig| -> Result<[bool; 4]> {
            let container = host.launch(config)?;
            let file = by_version(host, "cgroup.procs", "devices.list");
            let group = task_group(host, &container.id, file)?;
            let opened = [
                ("<", "/dev/zero"),
                (">", "/dev/null"),
                ("<", "/dev/kmsg"),
                (">", "/dev/kmsg"),
            ];
            let opened = opened.map(|(mode, path)| opens(&group, mode, path));
            host.containerizer.destroy(&container.id)?;
            let [a, b, c, d] = opened;
            Ok([a?, b?, c?, d?])
        };
        ensure!(may_open(&config)? == [true, true, true, false]);
        config.devices.clear();
        ensure!(may_open(&config)? == [true, true, false, false]);
        Ok(())
    })
}

#[test]
fn a_device_of_a_task_is_in_its_dev_and_no_other_tasks() -> Result<()> {
    on_host(|host| {
        // Reading the kernel's log takes a capability, writing nothing to it does not.
        let mut config = host.config("node", &["sh", "-c", "[ -c /dev/kmsg ] && : >/dev/kmsg"]);
        let access = DeviceAccess {
            read: false,
            write: true,
            mknod: false,
        };
        config.devices = vec![device(Path::new("/dev/kmsg"), access)?];
        if !has_controller(host, &config, Controller::Devices)? {
            return Ok(());
        }
        let ended = host.run_config(&config)?.expect_code(0)?;
        ensure!(ended.stderr.is_empty(), "{ended:?}");
        config.devices.clear();
        ensure!(host.run_config(&config)?.record.exit != TaskExit::Code(0));
        Ok(())
    })
}

#[test]
fn what_is_above_the_agents_root_is_handed_down_as_it_was_found() -> Result<()> {
    // On a host other agents come and go meanwhile.
    if !guest::is_inside() {
        return Ok(());
    }
    let handed_down = || fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control");
    let before = handed_down()?;
    on_host(|_| {
        ensure!(handed_down()? != before, "nothing was handed down: {before}");
        Ok(())
    })?;
    ensure!(handed_down()? == before, "{before} became {}", handed_down()?);
    Ok(())
}

#[test]
fn the_same_holds_in_a_guest_with_cgroup_v2() -> Result<()> {
    guest::run_tests(
        &std::env::current_exe()?,
        "the_same_holds_in_a_guest",
        Path::new(env!("CARGO_TARGET_TMPDIR")),
    )
}

#[test]
fn the_same_holds_in_a_guest_with_every_controller() -> Result<()> {
    guest::run_tests_with_every_controller(
        &std::env::current_exe()?,
        "the_same_holds_in_a_guest",
        Path::new(env!("CARGO_TARGET_TMPDIR")),
    )
}

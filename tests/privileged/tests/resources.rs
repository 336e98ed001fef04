//! What a container may use beyond what it asked for, what it yields to others, and the volumes it sees, on the kernel
//! at hand.
//!
//! Run on this host, and by the last test once more in a guest with cgroup v2.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use proffer_container::{ContainerConfig, MountSource, Version, VolumeMount};
use proffer_linux::LaunchError;
use proffer_privileged_tests::{Ended, Host, MEM_BYTES, entries, eventually, guest, on_host};
use proffer_types::container::Propagation;
use proffer_types::{Kind, Limit, Limits, Resources, TaskExit};

const SIGKILL: i32 = 9;
const MIB: u64 = 1 << 20;

const SPIN: &str = "while :; do :; done";

/// Cpu time over wall time, in thousandths.
fn permille(ended: &Ended) -> u64 {
    ended.usage.cpu_time_us * 1000 / ended.record.wall_time_us.max(1)
}

fn limits(cpus: Option<Limit>, mem: Option<Limit>) -> Limits {
    Limits { cpus, mem }
}

/// How often a busy host may keep a task from showing what it can have.
const ATTEMPTS: u32 = 10;

#[test]
fn a_task_may_use_idle_cpus_beyond_its_request_up_to_its_limit() -> Result<()> {
    on_host(|host| {
        for (name, limit) in [("to-limit", Limit::At(1000)), ("unlimited", Limit::Infinite)] {
            let mut config = host.config(name, &["timeout", "1", "sh", "-c", SPIN]);
            config.resources = Resources::of(200, MEM_BYTES, 0);
            config.limits = limits(Some(limit), None);
            let mut most = 0;
            for _ in 0..ATTEMPTS {
                most = most.max(permille(&host.run_config(&config)?));
                if most > 250 {
                    break;
                }
            }
            // Held to its request it would have 200, and a little from the first period.
            ensure!(most > 250, "{name}: {most}");
        }
        Ok(())
    })
}

#[test]
fn a_task_may_use_memory_beyond_its_request_up_to_its_limit() -> Result<()> {
    on_host(|host| {
        let mut config = host.config("hog", &["tail", "/dev/zero"]);
        config.resources = Resources::of(500, 16 * MIB, 0);
        config.limits = limits(None, Some(Limit::At(64 * MIB)));
        let ended = host.run_config(&config)?;
        ensure!(
            ended.record.exit == TaskExit::Signal(SIGKILL),
            "{:?}",
            ended.record
        );
        let peak = ended.usage.mem_peak_bytes;
        ensure!((32 * MIB..=64 * MIB).contains(&peak), "{peak}");

        let keeps = "head -c 48M /dev/zero | tail -c 48M | wc -c";
        let mut config = host.config("unlimited", &["sh", "-c", keeps]);
        config.resources = Resources::of(500, 16 * MIB, 0);
        config.limits = limits(None, Some(Limit::Infinite));
        let ended = host.run_config(&config)?.expect_code(0)?;
        ensure!(ended.usage.mem_peak_bytes >= 48 * MIB, "{:?}", ended.usage);
        Ok(())
    })
}

#[test]
fn only_a_task_that_may_exceed_its_request_goes_before_others() -> Result<()> {
    on_host(|host| {
        let mut config = host.config("score", &["cat", "/proc/self/oom_score_adj"]);
        ensure!(host.run_config(&config)?.expect_code(0)?.stdout == "0\n");
        config.limits = limits(None, Some(Limit::Infinite));
        let ended = host.run_config(&config)?.expect_code(0)?;
        let score: u32 = ended.stdout.trim().parse()?;
        ensure!((2..1000).contains(&score), "{score}");
        Ok(())
    })
}

#[test]
fn memory_asked_for_is_kept_for_a_container_while_it_is_there() -> Result<()> {
    on_host(|host| {
        if host.containerizer.host_facts().version == Version::V1 {
            return Ok(());
        }
        let kept = || -> Result<Vec<String>> {
            let groups = host.cgroups();
            let low = groups
                .iter()
                .map(|group| fs::read_to_string(group.join("memory.low")));
            Ok(low.collect::<Result<_, _>>()?)
        };
        let one = host.launch(&host.config("one", &["sleep", "100"]))?;
        let two = host.launch(&host.config("two", &["sleep", "100"]))?;
        ensure!(kept()? == [format!("{}\n", 2 * MEM_BYTES)], "{:?}", kept()?);
        host.containerizer.destroy(&one.id)?;
        ensure!(kept()? == [format!("{MEM_BYTES}\n")], "{:?}", kept()?);
        host.containerizer.destroy(&two.id)?;
        Ok(())
    })
}

#[test]
fn a_task_on_revocable_cpus_yields_to_one_that_is_not() -> Result<()> {
    on_host(|host| {
        // Both want all of one cpu.
        let spin = |name, command: &[&str]| {
            let mut config = host.config(name, &[&["taskset", "1"], command].concat());
            config.limits = limits(Some(Limit::At(1000)), None);
            config
        };
        let mut yields = spin("yields", &["sh", "-c", SPIN]);
        let (memory, cpus) = (Resources::of(0, MEM_BYTES, 0), Resources::of(500, 0, 0));
        yields.resources = memory.with_kind(Kind::revocable(), cpus)?;
        let yields = host.launch(&yields)?;
        let used = || -> Result<u64> { Ok(host.containerizer.usage(&yields.id)?.cpu_time_us) };
        eventually("the first to spin", || Ok((used()? > 50_000).then_some(())))?;
        let before = used()?;
        let ordinary = host.run_config(&spin("ordinary", &["timeout", "1", "sh", "-c", SPIN]))?;
        let (ordinary, yielded) = (ordinary.usage.cpu_time_us, used()? - before);
        host.containerizer.destroy(&yields.id)?;
        // Equals would have half each.
        ensure!(ordinary > 2 * yielded, "{ordinary} us and {yielded} us");
        Ok(())
    })
}

/// A volume's directory, and one for tasks to find it at.
fn volume(host: &Host) -> Result<(PathBuf, PathBuf)> {
    let (source, target) = (host.dir.path().join("volume"), host.dir.path().join("mnt"));
    fs::create_dir(&source)?;
    fs::create_dir(&target)?;
    Ok((source, target))
}

fn with_volume(
    host: &Host,
    name: &str,
    script: &str,
    (source, target): &(PathBuf, PathBuf),
) -> ContainerConfig {
    let script = format!("cd {} && {script}", target.display());
    let mut config = host.config(name, &["sh", "-c", &script]);
    config.mounts = vec![VolumeMount {
        source: MountSource::Bind {
            path: source.clone(),
            propagation: Propagation::Private,
        },
        container_path: target.clone(),
        read_only: false,
    }];
    config
}

#[test]
fn what_one_task_writes_to_a_volume_the_next_one_reads_and_the_host_has_no_part_of_it() -> Result<()> {
    on_host(|host| {
        let volume = volume(host)?;
        host.run_config(&with_volume(host, "writes", "echo data >file", &volume))?
            .expect_code(0)?;
        ensure!(entries(&volume.1)?.is_empty(), "the mount was seen on the host");
        let ended = host.run_config(&with_volume(host, "reads", "cat file", &volume))?;
        ensure!(ended.expect_code(0)?.stdout == "data\n");
        let flags = format!("grep ' {} ' /proc/self/mounts", volume.1.display());
        let ended = host.run_config(&with_volume(host, "flags", &flags, &volume))?;
        let stdout = ended.expect_code(0)?.stdout;
        ensure!(stdout.contains("nosuid") && stdout.contains("nodev"), "{stdout}");
        fs::remove_dir_all(&volume.0)?;
        Ok(())
    })
}

#[test]
fn two_tasks_see_a_shared_volume_at_once() -> Result<()> {
    on_host(|host| {
        let volume = volume(host)?;
        let script = |own: &str, other: &str| {
            format!("echo {own} >{own}; until [ -s {other} ]; do sleep 0.01; done; cat {other}")
        };
        let one = host.launch(&with_volume(host, "one", &script("a", "b"), &volume))?;
        let two = host.launch(&with_volume(host, "two", &script("b", "a"), &volume))?;
        ensure!(host.finish(&one)?.expect_code(0)?.stdout == "b\n");
        ensure!(host.finish(&two)?.expect_code(0)?.stdout == "a\n");
        Ok(())
    })
}

#[test]
fn a_volume_with_nowhere_to_go_is_a_launch_error_that_leaves_nothing() -> Result<()> {
    on_host(|host| {
        let source = host.dir.path().join("volume");
        fs::create_dir(&source)?;
        let target = PathBuf::from("/no/such/directory");
        let config = with_volume(host, "nowhere", "true", &(source.clone(), target));
        let error = host
            .containerizer
            .launch(&host.plan(&config)?)
            .err()
            .context("it was launched")?;
        let why =
            "cannot mount a volume on `/no/such/directory`, which this host must have, in the container";
        ensure!(
            matches!(error, LaunchError::Container { .. }) && error.to_string() == why,
            "{error}"
        );
        ensure!(host.containerizer.list()?.is_empty());
        ensure!(entries(host.dir.path())? == [source]);
        Ok(())
    })
}

#[test]
fn the_same_holds_in_a_guest_with_cgroup_v2() -> Result<()> {
    guest::run_tests(
        &std::env::current_exe()?,
        "the_same_holds_in_a_guest_with_cgroup_v2",
        Path::new(env!("CARGO_TARGET_TMPDIR")),
    )
}

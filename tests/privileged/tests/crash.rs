//! An agent that is killed at any step of a launch or a removal leaves nothing behind once the next one has started.
//!
//! A step is a system call, and the kill comes just before it: strace sees to that, so the agent has no part in it.
//! Namespaces need no look of their own: they live by processes and mounts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proffer_linux::Containerizer;
use proffer_privileged_tests::{
    DESTROYED, Host, LAUNCHING, eventually, guest, mounts_below, on_host, processes_of, skip,
};

/// System calls that change nothing but the agent itself: a kill before one is a kill before the next that does.
const HARMLESS: [&str; 30] = [
    "access",
    "brk",
    "close",
    "dup",
    "epoll_create1",
    "epoll_wait",
    "execve",
    "faccessat",
    "faccessat2",
    "fcntl",
    "fstat",
    "fstatfs",
    "futex",
    "getdents64",
    "getpid",
    "getrandom",
    "getuid",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "pread64",
    "readlink",
    "rt_sigaction",
    "rt_sigprocmask",
    "sigaltstack",
    "stat",
    "statx",
];

/// In a guest, where system calls are slow, every so manieth step is taken.
const GUEST_STRIDE: usize = 9;

/// How long after the start of a launch an agent is killed, in steps of which init has some of its own.
const DELAYS_US: [u64; 12] = [0, 300, 600, 900, 1200, 1600, 2000, 3000, 4000, 6000, 9000, 15_000];

/// A system call, and the how manieth of its kind it is in the agent's life.
type Step = (String, usize);

fn agent(host: &Host) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doomed-agent"));
    arguments(&mut command, host);
    command
}

fn arguments(command: &mut Command, host: &Host) {
    command
        .arg("--destroy")
        .arg(&host.config.cgroup_root)
        .arg(host.dir.path().join("survivor"))
        .args(["sleep", "1000"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
}

fn strace(host: &Host, options: &[&str], log: &Path) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-qq", "-o"])
        .arg(log)
        .args(options)
        .arg(env!("CARGO_BIN_EXE_doomed-agent"));
    arguments(&mut command, host);
    command
}

/// Every step from before the launch to after the removal, as one whole life has them.
fn steps(host: &Host) -> Result<Vec<Step>> {
    let log = host.dir.path().join("strace");
    let status = strace(host, &[], &log).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "{status}");
    let text = fs::read_to_string(&log)?;
    fs::remove_file(log)?;
    let (mut steps, mut counts, mut is_at_work) = (Vec::new(), BTreeMap::new(), false);
    for line in text.lines() {
        let Some((name, _)) = line.split_once('(') else {
            continue;
        };
        let count = counts.entry(name.to_owned()).or_insert(0);
        *count += 1;
        is_at_work |= line.contains(LAUNCHING);
        if is_at_work && !HARMLESS.contains(&name) {
            steps.push((name.to_owned(), *count));
        }
        if line.contains(DESTROYED) {
            break;
        }
    }
    ensure!(steps.len() > 40, "a whole life of {} steps", steps.len());
    Ok(steps)
}

/// What the next agent does at its start, for a container it knows nothing of; then nothing may be left.
fn recover(host: &Host, when: &str) -> Result<()> {
    let next = Containerizer::new(&host.config)?;
    for orphan in next.list()? {
        next.destroy(&orphan).with_context(|| format!("killed {when}"))?;
    }
    // What was started and is in no group yet cannot join one any more, and ends.
    let dir = host.dir.path();
    eventually("every process to be gone", || {
        let left = processes_of(dir);
        Ok(left.is_empty().then_some(()))
    })
    .with_context(|| format!("killed {when}: {:?} are left", processes_of(dir)))?;
    ensure!(next.list()?.is_empty(), "killed {when}: a container is left");
    let mounts = mounts_below(dir)?;
    ensure!(mounts.is_empty(), "killed {when}: {mounts:?}");
    let id = proffer_container::ContainerId::new("survivor")?;
    let groups = host.cgroups().into_iter().map(|root| root.join(id.as_str()));
    let groups = groups.filter(|group| group.exists()).collect::<Vec<_>>();
    ensure!(groups.is_empty(), "killed {when}: {groups:?}");
    match fs::remove_dir_all(dir.join("survivor")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[test]
fn an_agent_killed_before_any_step_of_launch_or_destroy_leaves_nothing_once_the_next_has_started()
-> Result<()> {
    on_host(|host| {
        if Command::new("strace").arg("-V").output().is_err() {
            skip("no strace: install the package strace");
            return Ok(());
        }
        let steps = steps(host)?;
        recover(host, "never")?;
        let log = host.dir.path().join("strace");
        let stride = if guest::is_inside() { GUEST_STRIDE } else { 1 };
        let mut n_killed = 0;
        for (name, count) in steps.iter().step_by(stride) {
            let inject = format!("inject={name}:signal=KILL:when={count}");
            let trace = format!("trace={name}");
            let options = ["-e", trace.as_str(), "-e", inject.as_str()];
            let status = strace(host, &options, &log).stdout(Stdio::null()).status()?;
            n_killed += usize::from(!status.success());
            recover(host, &format!("before {name} {count} of {}", steps.len()))?;
        }
        fs::remove_file(log)?;
        // No two lives are the same to the last call; but most must have met their end.
        let n_tried = steps.iter().step_by(stride).count();
        ensure!(
            n_killed * 10 >= n_tried * 9,
            "{n_killed} of {n_tried} were killed"
        );
        Ok(())
    })
}

#[test]
fn an_agent_killed_while_init_is_at_work_leaves_nothing_once_the_next_has_started() -> Result<()> {
    on_host(|host| {
        for delay in DELAYS_US {
            let mut agent = agent(host).stdout(Stdio::piped()).spawn()?;
            let mut first = [0; LAUNCHING.len()];
            let stdout = agent.stdout.as_mut().context("stdout is piped")?;
            std::io::Read::read_exact(stdout, &mut first)?;
            thread::sleep(Duration::from_micros(delay));
            agent.kill()?;
            agent.wait()?;
            recover(host, &format!("{delay} us after the start of a launch"))?;
        }
        Ok(())
    })
}

#[test]
fn the_same_holds_in_a_guest_with_cgroup_v2() -> Result<()> {
    guest::run_tests(
        &std::env::current_exe()?,
        "the_same_holds_in_a_guest",
        Path::new(env!("CARGO_TARGET_TMPDIR")),
    )
}

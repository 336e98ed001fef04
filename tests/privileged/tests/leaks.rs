//! A thousand containers come and go, and leave no process, mount, group, descriptor or byte of memory behind.
//!
//! Namespaces need no look of their own: they live by processes, mounts and descriptors.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use proffer_privileged_tests::{Host, guest, mounts_below, on_host, processes_of, status_line};

/// Rounds here, and in a guest, where they are slow.
const ROUNDS: u32 = 1000;
const GUEST_ROUNDS: u32 = 60;

/// Until then the allocator and the page tables grow to what a round needs.
const WARM_UP: u32 = 50;

/// The allocator's own slack. A leak of one block of 1 KiB a round would be four times as much.
const SLACK_KIB: u64 = 256;

/// What is counted is the process's, so no other test may run in it meanwhile.
static ALONE: Mutex<()> = Mutex::new(());

/// What the test's own process has of the kernel.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    n_descriptors: usize,
    n_mounts: usize,
    n_children: usize,
}

fn held() -> Result<Held> {
    let children = fs::read_dir("/proc/self/task")?.flatten().map(|task| {
        let children = fs::read_to_string(task.path().join("children"));
        children.unwrap_or_default().split_whitespace().count()
    });
    Ok(Held {
        n_descriptors: fs::read_dir("/proc/self/fd")?.count(),
        n_mounts: fs::read_to_string("/proc/self/mountinfo")?.lines().count(),
        n_children: children.sum(),
    })
}

/// Memory of this process that is no file's, in KiB.
fn anonymous_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status_line(&status, "RssAnon")?;
    let number = line.split(' ').next().context("no number")?;
    Ok(number.parse()?)
}

fn round(host: &Host, n: u32) -> Result<()> {
    // One that ends by itself and one that is killed, in turn.
    if n.is_multiple_of(2) {
        host.run_config(&host.config("round", &["true"]))?
            .expect_code(0)?;
    } else {
        let container = host.launch(&host.config("round", &["sleep", "1000"]))?;
        host.containerizer.destroy(&container.id)?;
        fs::remove_dir_all(&container.dir)?;
    }
    Ok(())
}

#[test]
fn a_thousand_rounds_of_launch_and_destroy_leave_nothing() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    on_host(|host| {
        let rounds = if guest::is_inside() { GUEST_ROUNDS } else { ROUNDS };
        for n in 0..WARM_UP {
            round(host, n)?;
        }
        let (before, memory) = (held()?, anonymous_kib()?);
        for n in 0..rounds {
            round(host, n)?;
        }
        let (after, grown) = (held()?, anonymous_kib()?.saturating_sub(memory));
        ensure!(before == after, "{before:?}, {after:?}");
        ensure!(grown <= SLACK_KIB, "grown by {grown} KiB");
        let left = processes_of(host.dir.path());
        ensure!(left.is_empty(), "{left:?}");
        let mounts = mounts_below(host.dir.path())?;
        ensure!(mounts.is_empty(), "{mounts:?}");
        for root in host.cgroups() {
            let groups = fs::read_dir(&root)?
                .flatten()
                .filter(|entry| entry.path().is_dir());
            ensure!(groups.count() == 0, "groups are left in {}", root.display());
        }
        Ok(())
    })
}

#[test]
fn the_same_holds_in_a_guest_with_cgroup_v2() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    guest::run_tests(
        &std::env::current_exe()?,
        "the_same_holds_in_a_guest",
        Path::new(env!("CARGO_TARGET_TMPDIR")),
    )
}

//! Containers that are frozen and go on, on the kernel at hand.
//!
//! Run on this host, and by the last test once more in a guest with cgroup v2.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use proffer_linux::{Containerizer, ExecError, ExecRequest};
use proffer_privileged_tests::{Container, Host, eventually, guest, is_alive, on_host, skip};
use proffer_types::TaskExit;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// Long enough for whoever runs to write something, even on a busy machine: what does not write then is frozen, or the test
/// proves too little, but does not fail.
const A_WHILE: Duration = Duration::from_millis(300);

/// Each adds a byte to a file of its own without end.
const COUNTERS: &str = "count() { while :; do printf . >> $1; done; }; trap 'exit 5' TERM; echo up; count a & count b & while :; do printf . >> c; done";

fn on_host_with_a_freezer(test: impl FnOnce(&Host) -> Result<()>) -> Result<()> {
    on_host(|host| match host.containerizer.can_freeze() {
        true => test(host),
        false => {
            skip("this kernel has no freezer");
            Ok(())
        }
    })
}

fn counting(host: &Host) -> Result<Container> {
    let container = host.launch(&host.config("counting", &["sh", "-c", COUNTERS]))?;
    advances(&container)?;
    Ok(container)
}

fn counts(container: &Container) -> [u64; 3] {
    ["a", "b", "c"].map(|name| {
        let file = container.dir.join("sandbox").join(name);
        fs::metadata(file).map_or(0, |file| file.len())
    })
}

/// Waits until every counter has counted.
fn advances(container: &Container) -> Result<()> {
    let before = counts(container);
    eventually("all counters to count", || {
        let now = counts(container);
        let all = before.iter().zip(&now).all(|(before, now)| now > before);
        Ok(all.then_some(()))
    })
}

fn freeze(host: &Host, container: &Container) -> Result<()> {
    host.containerizer.freeze(&container.id)?;
    eventually("the container to be frozen", || {
        Ok(host.containerizer.is_frozen(&container.id)?.then_some(()))
    })
}

fn stands_still(container: &Container) -> Result<()> {
    let before = counts(container);
    thread::sleep(A_WHILE);
    let after = counts(container);
    ensure!(before == after, "{before:?}, then {after:?}");
    Ok(())
}

#[test]
fn no_process_of_a_frozen_container_does_anything_until_it_is_thawed() -> Result<()> {
    on_host_with_a_freezer(|host| {
        let container = counting(host)?;
        for _ in 0..2 {
            ensure!(!host.containerizer.is_frozen(&container.id)?);
            freeze(host, &container)?;
            // Once more does no harm.
            freeze(host, &container)?;
            stands_still(&container)?;
            host.containerizer.thaw(&container.id)?;
            host.containerizer.thaw(&container.id)?;
            advances(&container)?;
        }
        host.containerizer.destroy(&container.id)?;
        // Of what is not there, nothing is asked.
        host.containerizer.thaw(&container.id)?;
        Ok(())
    })
}

#[test]
fn a_container_that_forks_all_the_time_is_frozen() -> Result<()> {
    on_host_with_a_freezer(|host| {
        let script = "echo up; while :; do (printf . >> a); (printf . >> b) & (printf . >> c); wait; done";
        let container = host.launch(&host.config("forks", &["sh", "-c", script]))?;
        advances(&container)?;
        freeze(host, &container)?;
        stands_still(&container)?;
        host.containerizer.thaw(&container.id)?;
        advances(&container)?;
        host.containerizer.destroy(&container.id)?;
        Ok(())
    })
}

#[test]
fn a_frozen_container_takes_no_command_and_one_that_runs_in_it_is_frozen_with_it() -> Result<()> {
    on_host_with_a_freezer(|host| {
        let script = "echo up; while :; do printf . >> a; printf . >> b; done";
        let container = host.launch(&host.config("exec", &["sh", "-c", script]))?;
        host.wait_output(&container, "up")?;
        let request = || ExecRequest {
            argv: ["sh", "-c", "while :; do printf . >> c; done"]
                .map(str::to_owned)
                .to_vec(),
            ..ExecRequest::default()
        };
        let exec = host.containerizer.exec(&container.id, request())?;
        advances(&container)?;
        freeze(host, &container)?;
        stands_still(&container)?;
        let refused = host.containerizer.exec(&container.id, request());
        ensure!(matches!(refused, Err(ExecError::Frozen)), "{refused:?}");
        host.containerizer.thaw(&container.id)?;
        advances(&container)?;
        drop(exec);
        host.containerizer.destroy(&container.id)?;
        Ok(())
    })
}

#[test]
fn a_container_that_is_thawed_to_be_killed_ends_as_it_wants_to() -> Result<()> {
    on_host_with_a_freezer(|host| {
        let container = counting(host)?;
        freeze(host, &container)?;
        // In either order: the signal waits for it.
        host.containerizer.signal(&container.id, SIGTERM)?;
        stands_still(&container)?;
        host.containerizer.thaw(&container.id)?;
        host.finish(&container)?.expect_code(5)?;

        let container = counting(host)?;
        freeze(host, &container)?;
        host.containerizer.thaw(&container.id)?;
        host.containerizer.signal(&container.id, SIGKILL)?;
        let exit = host.finish(&container)?.record.exit;
        ensure!(exit == TaskExit::Signal(SIGKILL), "{exit:?}");
        Ok(())
    })
}

#[test]
fn a_frozen_container_is_destroyed_as_any_other() -> Result<()> {
    on_host_with_a_freezer(|host| {
        let container = counting(host)?;
        freeze(host, &container)?;
        host.containerizer.destroy(&container.id)?;
        ensure!(!is_alive(container.launched.pid));
        Ok(())
    })
}

#[test]
fn another_agent_finds_a_container_frozen_and_thaws_it() -> Result<()> {
    on_host_with_a_freezer(|host| {
        let container = counting(host)?;
        freeze(host, &container)?;
        let next = Containerizer::new(&host.config)?;
        next.adopt(
            &container.id,
            container.launched.pid,
            container.launched.start_time,
        )?;
        ensure!(next.is_frozen(&container.id)?, "it was thawed with its agent");
        stands_still(&container)?;
        next.thaw(&container.id)?;
        advances(&container)?;
        next.destroy(&container.id)?;
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

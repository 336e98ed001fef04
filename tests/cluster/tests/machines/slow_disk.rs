//! Disks that take seconds for a write: who waits for one is slow, and not gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::wait_for;
use proffer_privileged_tests::guest::machine::Machine;
use proffer_privileged_tests::{say, skip};

use crate::site::{PATIENCE, Site};

/// Where Debian puts it.
const DMSETUP: &str = "/usr/sbin/dmsetup";

/// How long each write takes on the slow disk. What is synced takes several, one after the other: longer than the three
/// seconds after which master and agent take each other for silent.
pub(crate) const WRITE_MS: u32 = 2500;

/// How long a disk is looked at while it is slow.
pub(crate) const WHILE: Duration = Duration::from_secs(25);

const MASTER: &str = "10.78.0.11";
const AGENT: &str = "10.78.0.12";
const FRAMEWORKS: &str = "10.78.0.1";

/// Goes on until its file is there.
const WAIT: &str = "until test -e /tmp/runs/done; do sleep 0.2; done";

/// Whether no disk can be made slow here; says so.
pub(crate) fn is_impossible() -> bool {
    let is_missing = !std::path::Path::new(DMSETUP).exists();
    if is_missing {
        skip("no slow disk: install the package dmsetup");
    }
    is_missing
}

/// Its `/dev` is this host's.
fn setup() -> String {
    format!("DM_DEV_DIR=/run/dm {DMSETUP} --noudevsync --noudevrules")
}

fn table(ms: u32) -> String {
    format!("0 $(blockdev --getsz /run/disk) delay /run/disk 0 0 /run/disk 0 {ms}")
}

/// Puts what can delay writes between a machine and its disk.
pub(crate) fn lay(machine: &mut Machine) -> Result<()> {
    let modules = "/usr/lib/uml/modules/$(uname -r)/kernel/drivers/md";
    for line in [
        "mkdir -p /run/dm; export ROOT=$PWD; cd /; umount $ROOT".to_owned(),
        format!("insmod {modules}/dm-mod.ko && insmod {modules}/dm-delay.ko"),
        format!("{} create slow --table \"{}\"", setup(), table(0)),
        "mount -t ext4 /run/dm/mapper/slow $ROOT && cd $ROOT".to_owned(),
    ] {
        machine.sh(&line)?;
    }
    Ok(())
}

/// How long each write takes from now on.
pub(crate) fn delay(machine: &mut Machine, ms: u32) -> Result<()> {
    let (setup, table) = (setup(), table(ms));
    machine.sh(&format!(
        "{setup} suspend slow && {setup} reload slow --table \"{table}\" && {setup} resume slow"
    ))?;
    Ok(())
}

/// Sets a role's weight again and again until it is told to stop; returns the last that was acknowledged, the one that was
/// asked for then, and the longest that one took.
fn set_weights(site: &Site, stop: &AtomicBool) -> (u32, u32, Duration) {
    let (mut acknowledged, mut asked, mut longest) = (1, 1, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        asked = acknowledged + 1;
        let started = Instant::now();
        if site
            .ok(&["role", "set", "slow", "--weight", &asked.to_string()])
            .is_ok()
        {
            acknowledged = asked;
            longest = longest.max(started.elapsed());
        }
    }
    (acknowledged, asked, longest)
}

#[test]
fn a_master_whose_disk_takes_seconds_for_a_write_keeps_its_agents_and_what_it_acknowledged() -> Result<()> {
    if is_impossible() {
        return Ok(());
    }
    let Some(mut site) = Site::new(MASTER, &[FRAMEWORKS])? else {
        return Ok(());
    };
    let parts = site.machine("master", MASTER)?;
    let mut machine = site.boot(&parts, "commit=5")?;
    lay(&mut machine)?;
    let master = format!("master --insecure-listen --listen {MASTER}:5050");
    site.daemon(&mut machine, "master", &master)?;
    let agent_parts = site.machine("agent", AGENT)?;
    let mut agent = site.boot(&agent_parts, "commit=5")?;
    site.start_agent(&mut agent, "agent", MASTER, AGENT)?;
    let (at, any) = (format!("{MASTER}:5050"), format!("{FRAMEWORKS}:0"));
    let batch = [
        "framework",
        "batch",
        "--insecure-listen",
        "--listen",
        &any,
        "--master",
        &at,
    ];
    let _batch = site.neighbour(FRAMEWORKS, "batch", &batch)?;
    site.await_whole(1, 1)?;
    site.submit("steady", 1, WAIT, "")?;
    ensure!(
        wait_for(PATIENCE, || site.n_runs("steady", 0) == 1),
        "{}",
        site.logs()
    );

    delay(&mut machine, WRITE_MS)?;
    let stop = AtomicBool::new(false);
    let (acknowledged, asked, longest) = thread::scope(|scope| -> Result<_> {
        let setter = scope.spawn(|| set_weights(&site, &stop));
        let looked = look(&site);
        // With a write under way.
        let killed = machine.kill();
        stop.store(true, Ordering::Relaxed);
        let set = setter.join().expect("no panic");
        looked.and(killed).map(|()| set)
    })?;
    say(&format!(
        "{} weights were set, the longest in {longest:.1?}",
        acknowledged - 1
    ));
    ensure!(
        longest >= Duration::from_millis(u64::from(WRITE_MS)),
        "the disk was not slow: {longest:?}"
    );

    let mut machine = site.boot(&parts, "commit=5")?;
    site.daemon(&mut machine, "master", &master)?;
    site.await_whole(1, 1)?;
    let roles = site.listed(&["roles"])?;
    let role = roles
        .iter()
        .find(|role| role["name"] == "slow")
        .context("no role")?;
    let weight = role["weight"].as_f64().context("no weight")?;
    ensure!(
        (f64::from(acknowledged)..=f64::from(asked)).contains(&weight),
        "{role}, {acknowledged} acknowledged"
    );
    std::fs::write(site.runs().join("done"), "")?;
    site.await_end("steady")?;
    ensure!(site.n_runs("steady", 0) == 1, "it ran again: {}", site.logs());
    site.check_logs()?;
    machine.kill()?;
    agent.kill()
}

/// Looks at a cluster whose master has a slow disk: its agent is there all the time, and jobs run.
fn look(site: &Site) -> Result<()> {
    let n_lost = || site.count("agent", "session lost") + site.count("batch", "no link to a master");
    let n_before = n_lost();
    let started = Instant::now();
    site.submit("short", 3, "true", "")?;
    while started.elapsed() < WHILE {
        let agents = site.listed(&["agents"])?;
        ensure!(agents[0]["state"] == "active", "{agents:?}: {}", site.logs());
    }
    site.await_end("short")?;
    ensure!(n_lost() == n_before, "somebody was cut off: {}", site.logs());
    Ok(())
}

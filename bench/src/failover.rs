//! A master is killed with many agents connected: until all of them are back, and until the first new offer.
//!
//! Timed from the new leader's start, of its process where there is one master, of its lead where there are three: what
//! etcd's lease takes is a row of its own. All that the tasks' framework knows of them it asks again meanwhile, as it must.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Result, ensure};

use crate::agents::now_us;
use crate::fleet::{Fleet, Plan, cpu_ms};
use crate::masters::{Daemon, Masters, own_host};
use crate::owner::Owner;
use crate::report::{Report, Row};

pub(crate) const AGENTS: u32 = 10_000;
/// Of each agent.
const TASKS: u32 = 10;
/// Seconds, until all agents are back.
const AIM_BACK_S: f64 = 3.0;
/// Seconds, until the first new offer.
const AIM_OFFER_S: f64 = 1.0;
/// Mesos, the same numbers, published once (its blog of 2017-12-07).
const MESOS_PUBLISHED_S: f64 = 4.0;
const PATIENCE: Duration = Duration::from_secs(120);
/// So that what the launches left is over.
const SETTLE: Duration = Duration::from_secs(3);

/// Seconds, of one failover.
struct Figures {
    /// From the kill until another one leads.
    lead: f64,
    /// From then.
    back: f64,
    offer: f64,
    cpu: [(&'static str, f64); 3],
}

pub(crate) fn run(binary: &Path, n_agents: u32, report: &mut Report) -> Result<()> {
    eprintln!("failover: a server without anything behind it");
    let floor = floor(n_agents)?;
    eprintln!("failover: one master, RocksDB");
    let one = failover(Masters::rocksdb(binary)?, n_agents)?;
    add(report, "one master, RocksDB", n_agents, &one, floor)?;
    if n_agents == AGENTS {
        report.add(
            row("one master, RocksDB: all agents back", one.back)
                .beside("Mesos, published", Ok(MESOS_PUBLISHED_S)),
        )?;
    }
    if Command::new("etcd").arg("--version").output().is_err() {
        eprintln!("skipped: three masters: there is no etcd here");
        return Ok(());
    }
    eprintln!("failover: three masters, etcd");
    let several = failover(Masters::etcd(binary)?, n_agents)?;
    add(report, "three masters, etcd", n_agents, &several, floor)?;
    let case = "three masters, etcd: killed until another leads, lease 3 s";
    report.add(row(case, several.lead))?;
    Ok(())
}

fn row(case: &str, value: f64) -> Row {
    Row::new("failover", case, value, "s")
}

fn add(report: &mut Report, which: &str, n_agents: u32, figures: &Figures, floor: f64) -> Result<()> {
    let size = format!("{n_agents} agents, {} tasks", n_agents * TASKS);
    report.add(
        row(&format!("{which}: all of {size} back"), figures.back)
            .beside(
                "the same agents back at a server without anything behind it",
                Ok(floor),
            )
            .aim(AIM_BACK_S),
    )?;
    report.add(row(&format!("{which}: first new offer"), figures.offer).aim(AIM_OFFER_S))?;
    for (whose, seconds) in figures.cpu {
        report.add(row(&format!("{which}: processor time of the {whose}"), seconds))?;
    }
    Ok(())
}

fn failover(mut masters: Masters, n_agents: u32) -> Result<Figures> {
    let plan = Plan {
        masters: masters.addresses.clone(),
        n_agents,
        // Room for more is what can be offered again.
        slots: TASKS + 1,
        lifetime: None,
    };
    let n_tasks = u64::from(n_agents * TASKS);
    let mut fleet = Fleet::start(&plan)?;
    fleet.wait_up(PATIENCE, 0)?;
    let owner = Owner::start(masters.addresses.clone(), n_tasks)?;
    fleet.wait(PATIENCE, "tasks run", |counts| (counts.n_running, n_tasks))?;
    eprintln!("failover: {n_agents} agents with {n_tasks} tasks run; the leader is killed in {SETTLE:?}");
    thread::sleep(SETTLE);
    let lost_before = owner.seen.n_failed.load(Ordering::Relaxed);
    if lost_before > 0 {
        eprintln!("failover: {lost_before} tasks were lost on the way to that, and launched again");
    }
    let (leader, _) = masters.wait_leader()?;
    let (agents, bench) = (fleet.cpu_ms()?, cpu_ms(std::process::id())?);
    let killed = now_us();
    masters.kill_9(leader)?;
    let (leader, began) = match masters.addresses.len() {
        1 => (leader, masters.start(leader)?),
        _ => masters.wait_leader()?,
    };
    eprintln!(
        "failover: another leads after {:.1} s",
        (began - killed) as f64 / 1e6
    );
    let before = masters.cpu_ms(leader)?;
    let back = fleet.wait_up(PATIENCE, killed)?;
    eprintln!(
        "failover: all agents are back after {:.1} s; the first offer is waited for",
        (back - began) as f64 / 1e6
    );
    let offered = &owner.seen.offered_us;
    let start = Instant::now();
    while offered.load(Ordering::Relaxed) < killed && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    ensure!(
        offered.load(Ordering::Relaxed) > killed,
        "nothing is offered again"
    );
    let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e6;
    let figures = Figures {
        lead: seconds(killed, began),
        back: seconds(began, back),
        offer: seconds(began, offered.load(Ordering::Relaxed)),
        cpu: [
            ("master until then", (masters.cpu_ms(leader)? - before) / 1e3),
            ("agents until then", (fleet.cpu_ms()? - agents) / 1e3),
            (
                "framework until then",
                (cpu_ms(std::process::id())? - bench) / 1e3,
            ),
        ],
    };
    let lost = owner.seen.n_failed.load(Ordering::Relaxed) - lost_before;
    ensure!(lost == 0, "{lost} tasks were lost");
    drop(fleet);
    owner.stop()?;
    Ok(figures)
}

/// Seconds until the same agents with the same tasks are back at a server of the same protocol that does nothing.
fn floor(n_agents: u32) -> Result<f64> {
    let address = format!("{}:5050", own_host(92));
    let this = env::current_exe()?;
    let log = Path::new("/dev/null");
    let tasks = TASKS.to_string();
    let args = ["floor", "--listen", &address];
    let mut server = Daemon::start(&this, &[&args[..], &["--tasks", &tasks]].concat(), log)?;
    let mut fleet = Fleet::start(&Plan {
        masters: vec![address.clone()],
        n_agents,
        slots: TASKS + 1,
        lifetime: None,
    })?;
    let n_tasks = u64::from(n_agents * TASKS);
    fleet.wait(PATIENCE, "tasks run", |counts| (counts.n_running, n_tasks))?;
    thread::sleep(SETTLE);
    let killed = now_us();
    server.kill_9()?;
    let began = now_us();
    let server = Daemon::start(&this, &args, log)?;
    let back = fleet.wait_up(PATIENCE, killed)?;
    drop(server);
    Ok((back - began) as f64 / 1e6)
}

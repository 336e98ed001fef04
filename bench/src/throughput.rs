//! Launches a second through the master, its registry on disk: each is an offer, a task, two statuses and their
//! acknowledgements, and the resources that are free again.
//!
//! All agents are full all the time: what ends is offered, and launched upon, at once. Halfway a client lists the tasks
//! again and again, each time in a process of its own, as `proffer ps` does; what that takes, and what is left of the rate
//! meanwhile, are rows.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context as _, Result, ensure};

use crate::agents::Counts;
use crate::fleet::{Fleet, Plan, cpu_ms};
use crate::masters::{Daemon, Masters, own_host};
use crate::owner::Owner;
use crate::report::{Report, Row, percentile};

const AGENTS: u32 = 5000;
/// Of each agent, at once.
const TASKS: u32 = 4;
const LIFETIME: Duration = Duration::from_secs(1);
/// Launched and running a second.
const AIM: f64 = 10_000.0;
/// Milliseconds of `proffer ps`.
const AIM_PS_MS: f64 = 50.0;
/// Between two of them: an operator who watches.
const PS_PAUSE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(60);
const WARM_UP: Duration = Duration::from_secs(3);
const MEASURED: Duration = Duration::from_secs(10);

/// Of one stretch of time.
struct Stretch {
    rate: f64,
    /// Microseconds of processor time a task, by whose they are.
    cpu_us: Vec<(&'static str, f64)>,
}

pub(crate) fn run(binary: &Path, report: &mut Report) -> Result<()> {
    let floor = floor()?;
    let masters = Masters::rocksdb(binary)?;
    let owner = Owner::start(masters.addresses.clone(), u64::MAX)?;
    let mut fleet = Fleet::start(&plan(masters.addresses.clone()))?;
    warm_up(&mut fleet)?;
    let cpu = || {
        Ok(vec![
            ("master", masters.cpu_ms(0)?),
            ("framework", cpu_ms(std::process::id())?),
        ])
    };
    let alone = stretch(&mut fleet, cpu)?;
    let address = masters.addresses.first().context("no master")?;
    let (watched, calls) = watched(binary, address, || stretch(&mut fleet, cpu))?;
    owner.seen.is_done.store(true, Ordering::Relaxed);
    let over = |counts: &Counts| (counts.n_ended, counts.n_launched);
    fleet.wait(PATIENCE, "tasks ended", over)?;
    let n_failed = owner.seen.n_failed.load(Ordering::Relaxed);
    drop(fleet);
    owner.stop()?;

    let name = "throughput";
    let case = format!("tasks launched, run and ended by {AGENTS} agents");
    report.add(
        Row::new(name, case, alone.rate, "1/s")
            .beside(
                "by the same agents at a server without anything behind it",
                Ok(floor.rate),
            )
            .aim(AIM),
    )?;
    report.add(
        Row::new(name, ".. while tasks are listed", watched.rate, "1/s")
            .beside("while nobody does", Ok(alone.rate)),
    )?;
    report.add(Row::new(
        name,
        "tasks that ended otherwise than by themselves",
        n_failed as f64,
        "",
    ))?;
    let n = calls.ps.len();
    for (case, percent) in [(format!("p99 of {n}"), 99), ("median".to_owned(), 50)] {
        let ps = percentile(calls.ps.clone(), percent);
        let row = Row::new(name, format!("proffer ps meanwhile, {case}"), ps, "ms").beside(
            "proffer version, a process without a master",
            Ok(percentile(calls.version.clone(), percent)),
        );
        report.add(if percent == 99 { row.aim(AIM_PS_MS) } else { row })?;
    }
    for (whose, us) in alone.cpu_us {
        report.add(Row::new(
            name,
            format!("processor time of the {whose}, a task"),
            us,
            "us",
        ))?;
    }
    for (whose, us) in floor.cpu_us {
        report.add(Row::new(
            name,
            format!("at that server: of the {whose}, a task"),
            us,
            "us",
        ))?;
    }
    Ok(())
}

fn plan(masters: Vec<String>) -> Plan {
    Plan {
        masters,
        n_agents: AGENTS,
        slots: TASKS,
        lifetime: Some(LIFETIME),
    }
}

fn floor() -> Result<Stretch> {
    let address = format!("{}:5050", own_host(94));
    let tasks = TASKS.to_string();
    let args = ["floor", "--listen", &address, "--tasks", &tasks];
    let server = Daemon::start(&env::current_exe()?, &args, Path::new("/dev/null"))?;
    let mut fleet = Fleet::start(&plan(vec![address.clone()]))?;
    warm_up(&mut fleet)?;
    stretch(&mut fleet, || Ok(vec![("server", cpu_ms(server.pid())?)]))
}

fn warm_up(fleet: &mut Fleet) -> Result<()> {
    fleet.wait_up(PATIENCE, 0)?;
    let n_tasks = u64::from(AGENTS * TASKS);
    fleet.wait(PATIENCE, "tasks run", |counts| (counts.n_running, n_tasks))?;
    thread::sleep(WARM_UP);
    Ok(())
}

fn stretch(fleet: &mut Fleet, cpu_ms: impl Fn() -> Result<Vec<(&'static str, f64)>>) -> Result<Stretch> {
    let all_cpu = |fleet: &Fleet| -> Result<Vec<(&'static str, f64)>> {
        let mut all = cpu_ms()?;
        all.push(("agents", fleet.cpu_ms()?));
        Ok(all)
    };
    let (start, before, cpu) = (Instant::now(), fleet.counts()?, all_cpu(fleet)?);
    thread::sleep(MEASURED);
    let (after, took, cpu_after) = (fleet.counts()?, start.elapsed(), all_cpu(fleet)?);
    let n = (after.n_running - before.n_running) as f64;
    let spent = cpu_after.into_iter().zip(cpu);
    Ok(Stretch {
        rate: n / took.as_secs_f64(),
        cpu_us: spent
            .map(|((whose, after), (_, before))| (whose, (after - before) * 1e3 / n))
            .collect(),
    })
}

/// How long each of two commands took, in milliseconds.
#[derive(Default)]
struct Calls {
    ps: Vec<f64>,
    /// The same program, asked for what it knows without a master: what the machine takes for a process.
    version: Vec<f64>,
}

/// Lists tasks beside something.
fn watched<T>(binary: &Path, master: &str, work: impl FnOnce() -> Result<T>) -> Result<(T, Calls)> {
    let is_over = AtomicBool::new(false);
    let timed = |args: &[&str]| -> Result<f64> {
        let start = Instant::now();
        let status = Command::new(binary).args(args).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "proffer {args:?}: {status}");
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    let list = || -> Result<Calls> {
        let mut took = Calls::default();
        while !is_over.load(Ordering::Relaxed) {
            took.ps.push(timed(&["ps", "--master", master])?);
            took.version.push(timed(&["version"])?);
            thread::sleep(PS_PAUSE);
        }
        Ok(took)
    };
    thread::scope(|scope| {
        let lists = scope.spawn(list);
        let result = work();
        is_over.store(true, Ordering::Relaxed);
        let took = lists
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))?;
        Ok((result?, took))
    })
}

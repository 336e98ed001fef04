//! Statuses through the master: from agents to the framework, and its acknowledgements back.
//!
//! Each running task has something new as soon as its last status is acknowledged, so as many are under way as there are
//! tasks. Agents, master and framework share the machine; what each of them spends is printed apart.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::Result;

use crate::fleet::{Fleet, Plan, cpu_ms};
use crate::masters::{Daemon, Masters, own_host};
use crate::owner::Owner;
use crate::report::{Report, Row};

const AGENTS: u32 = 1000;
/// Of each agent.
const TASKS: u32 = 20;
/// Acknowledged a second.
const AIM: f64 = 50_000.0;
const PATIENCE: Duration = Duration::from_secs(60);
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(10);

/// Of one run.
struct Figures {
    rate: f64,
    /// Microseconds of processor time for each status, by whose they are.
    cpu_us: Vec<(&'static str, f64)>,
}

pub(crate) fn run(binary: &Path, report: &mut Report) -> Result<()> {
    let floor = floor()?;
    let ours = through_master(binary)?;
    let case = format!(
        "statuses of {AGENTS} agents, {} tasks, acknowledged",
        AGENTS * TASKS
    );
    report.add(
        Row::new("updates", case, ours.rate, "1/s")
            .beside(
                "the same agents, acknowledged by a server without anything behind it",
                Ok(floor.rate),
            )
            .aim(AIM),
    )?;
    for (whose, cpu) in ours.cpu_us {
        report.add(Row::new(
            "updates",
            format!("processor time of the {whose}, a status"),
            cpu,
            "us",
        ))?;
    }
    for (whose, cpu) in floor.cpu_us {
        let case = format!("at that server: of the {whose}, a status");
        report.add(Row::new("updates", case, cpu, "us"))?;
    }
    Ok(())
}

fn plan(masters: Vec<String>) -> Plan {
    Plan {
        masters,
        n_agents: AGENTS,
        slots: TASKS,
        lifetime: None,
    }
}

fn through_master(binary: &Path) -> Result<Figures> {
    let masters = Masters::rocksdb(binary)?;
    let owner = Owner::start(masters.addresses.clone(), u64::from(AGENTS * TASKS))?;
    let mut fleet = Fleet::start(&plan(masters.addresses.clone()))?;
    let figures = measure(&mut fleet, || {
        Ok(vec![
            ("master", masters.cpu_ms(0)?),
            ("framework", cpu_ms(std::process::id())?),
        ])
    })?;
    drop(fleet);
    owner.stop()?;
    Ok(figures)
}

fn floor() -> Result<Figures> {
    let address = format!("{}:5050", own_host(93));
    let tasks = TASKS.to_string();
    let args = ["floor", "--listen", &address, "--tasks", &tasks];
    let server = Daemon::start(&env::current_exe()?, &args, Path::new("/dev/null"))?;
    let mut fleet = Fleet::start(&plan(vec![address.clone()]))?;
    measure(&mut fleet, || Ok(vec![("server", cpu_ms(server.pid())?)]))
}

fn measure(fleet: &mut Fleet, cpu_ms: impl Fn() -> Result<Vec<(&'static str, f64)>>) -> Result<Figures> {
    let n_tasks = u64::from(AGENTS * TASKS);
    fleet.wait(PATIENCE, "tasks run", |counts| (counts.n_running, n_tasks))?;
    fleet.set_updates(true)?;
    thread::sleep(WARM_UP);
    let all_cpu = |fleet: &Fleet| -> Result<Vec<(&'static str, f64)>> {
        let mut all = cpu_ms()?;
        all.push(("agents", fleet.cpu_ms()?));
        Ok(all)
    };
    let (start, before, cpu) = (Instant::now(), fleet.counts()?, all_cpu(fleet)?);
    thread::sleep(MEASURED);
    let (after, took, cpu_after) = (fleet.counts()?, start.elapsed(), all_cpu(fleet)?);
    fleet.set_updates(false)?;
    let n = (after.n_updates - before.n_updates) as f64;
    let spent = cpu_after.into_iter().zip(cpu);
    Ok(Figures {
        rate: n / took.as_secs_f64(),
        cpu_us: spent
            .map(|((whose, after), (_, before))| (whose, (after - before) * 1e3 / n))
            .collect(),
    })
}

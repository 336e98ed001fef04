//! What a task costs the framework and the master that is not its container: simulated agents start nothing, and say that a
//! task ended as soon as it was heard that it runs.
//!
//! The agents are few and large, as those of a cluster for batch are; an array goes through, from its submission until the job
//! has ended. HyperQueue's own figure is its claim: its workers that start nothing are in special builds only.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use proffer_wire::v1::JobState;

use super::framework::{Framework, array};
use super::row;
use crate::fleet::{Fleet, Plan};
use crate::report::Report;

const AGENTS: u32 = 50;
/// Of each agent, at once: a core each.
const SLOTS: u32 = 128;
const TASKS: u32 = 100_000;
/// The shortest that a simulated agent knows.
const LIFETIME: Duration = Duration::from_millis(1);
/// Microseconds of the processor.
const AIM_US: f64 = 20.0;
/// HyperQueue's documentation: less than 0.1 ms a task.
const HYPERQUEUE_CLAIMED_US: f64 = 100.0;
const PATIENCE: Duration = Duration::from_secs(240);
const LOOK: Duration = Duration::from_millis(20);

pub(super) fn run(binary: &Path, report: &mut Report) -> Result<()> {
    let framework = Framework::start(binary)?;
    let mut fleet = Fleet::start(&Plan {
        masters: framework.masters(),
        n_agents: AGENTS,
        slots: SLOTS,
        lifetime: Some(LIFETIME),
    })?;
    fleet.wait_up(PATIENCE, 0)?;
    let before = (Instant::now(), framework.cpu_ms()?, fleet.cpu_ms()?);
    framework.submit(array("overhead", TASKS, 1.0))?;
    let took = wait_until_over(&framework, "overhead", before.0)?;
    let [ours, master] = framework.cpu_ms()?;
    let agents = fleet.cpu_ms()? - before.2;
    let [ours, master] = [ours - before.1[0], master - before.1[1]];
    let us = |ms: f64| ms * 1e3 / f64::from(TASKS);
    let case = format!("processor time of framework and master, a task of {TASKS}");
    report.add(
        row(case, us(ours + master), "us")
            .beside("HyperQueue, claimed", Ok(HYPERQUEUE_CLAIMED_US))
            .aim(AIM_US),
    )?;
    report.add(row(".. of the framework alone", us(ours), "us"))?;
    report.add(row(".. of the master alone", us(master), "us"))?;
    report.add(row(".. of the simulated agents", us(agents), "us"))?;
    let rate = f64::from(TASKS) / took.as_secs_f64();
    report.add(row(".. tasks launched, run and ended", rate, "1/s"))
}

fn wait_until_over(framework: &Framework, name: &str, start: Instant) -> Result<Duration> {
    loop {
        let job = framework.job(name)?;
        if job.state() == JobState::JobFinished {
            return Ok(start.elapsed());
        }
        let is_open = matches!(job.state(), JobState::JobPending | JobState::JobRunning);
        ensure!(
            is_open && start.elapsed() < PATIENCE,
            "{name} is {:?}: {:?}",
            job.state(),
            job.counts
        );
        thread::sleep(LOOK);
    }
}

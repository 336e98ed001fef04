//! An array of `true`, from its submission until all of it has ended, on one agent with everything that isolates its tasks.
//!
//! Beside it HyperQueue, whose tasks are bare processes, and Slurm, which is so much slower that it gets fewer.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use proffer_cluster_tests::{Cluster, text};

use super::hyperqueue::HyperQueue;
use super::slurm::Slurm;
use super::{of, row};
use crate::report::Report;

const TASKS: u32 = 5000;
/// Slurm's, at some tens a second.
const TASKS_OF_SLURM: u32 = 500;
/// As many times HyperQueue's tasks a second.
const AIM: f64 = 3.0;

/// Of one array.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) rate: f64,
    /// Milliseconds of processor time a task, of the daemons and all that they started.
    pub(super) cpu_ms: f64,
}

pub(super) fn run(binary: &Path, report: &mut Report) -> Result<()> {
    eprintln!("batch: an array of {TASKS} true: ours");
    let ours = ours(binary)?;
    eprintln!("batch: an array of {TASKS} true: HyperQueue");
    let cores = u32::try_from(std::thread::available_parallelism()?.get())?;
    let hyperqueue = HyperQueue::start(cores).and_then(|mut hyperqueue| hyperqueue.array(TASKS));
    eprintln!("batch: an array of {TASKS_OF_SLURM} true: Slurm");
    let slurm = Slurm::start().and_then(|slurm| slurm.array(TASKS_OF_SLURM));
    let rate = || {
        row(
            format!("array of {TASKS} true, isolation on"),
            ours.rate,
            "tasks/s",
        )
    };
    report.add(
        rate()
            .beside(
                "HyperQueue, without isolation",
                of(&hyperqueue, |ended| ended.rate),
            )
            .aim_of_ratio(AIM),
    )?;
    report.add(rate().beside(
        &format!("Slurm, an array of {TASKS_OF_SLURM}, without isolation"),
        of(&slurm, |ended| ended.rate),
    ))?;
    report.add(
        row(
            ".. processor time of all daemons and tasks, a task",
            ours.cpu_ms,
            "ms",
        )
        .beside(
            "HyperQueue, without isolation",
            of(&hyperqueue, |ended| ended.cpu_ms),
        ),
    )
}

fn ours(binary: &Path) -> Result<Ended> {
    let cluster = Cluster::start_with(binary, &[])?;
    let job = format!(
        "name: array\ntasks:\n  - name: noop\n    count: {TASKS}\n    cpus: 0.05\n    mem: 8MiB\n    command: [\"true\"]\n"
    );
    let before = crate::crowd::cpu_ms(&cluster)?;
    let start = Instant::now();
    let output = cluster.run_with_input(&["job", "submit", "-", "--wait"], &job)?;
    let took = start.elapsed().as_secs_f64();
    ensure!(output.status.success(), "{}", text(&output.stderr));
    let cpu_ms = crate::crowd::cpu_ms(&cluster)? - before;
    Ok(Ended {
        rate: f64::from(TASKS) / took,
        cpu_ms: cpu_ms / f64::from(TASKS),
    })
}

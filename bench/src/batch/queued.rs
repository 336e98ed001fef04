//! A million tasks queued: what memory they take, and how long the framework takes to be there with them after a SIGKILL.
//!
//! As one array, and as many arrays of a hundred. There is no agent, so nothing of it runs.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::framework::{Framework, Summary, array};
use super::hyperqueue::HyperQueue;
use super::slurm::Slurm;
use super::{of, row};
use crate::report::Report;

const TASKS: u32 = 1_000_000;
/// The same number, in jobs of that many.
const SMALL: u32 = 100;
/// MiB.
const AIM_MIB: f64 = 300.0;
/// Seconds.
const AIM_S: f64 = 3.0;

/// Of a daemon that holds them.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) mib: f64,
    /// From its start after a SIGKILL until it shows them; absent where it keeps nothing.
    pub(super) back_s: Option<f64>,
}

pub(super) fn run(binary: &Path, report: &mut Report) -> Result<()> {
    eprintln!("batch: a million queued: ours");
    let one = ours(binary, 1, TASKS)?;
    let many = ours(binary, TASKS / SMALL, SMALL)?;
    eprintln!("batch: a million queued: Slurm and HyperQueue");
    let slurm = Slurm::start().and_then(|mut slurm| slurm.hold(TASKS));
    let hyperqueue = HyperQueue::start(0).and_then(|mut hyperqueue| hyperqueue.hold(TASKS));
    let shapes = [
        ("one array of a million queued".to_owned(), &one),
        (format!("{} arrays of {SMALL} queued", TASKS / SMALL), &many),
    ];
    for (shape, held) in shapes {
        let memory = || row(format!("{shape}: memory of the framework"), held.mib, "MiB").aim(AIM_MIB);
        report.add(memory().beside(
            "HyperQueue, a million tasks of one job",
            of(&hyperqueue, |held| held.mib),
        ))?;
        report.add(memory().beside("slurmctld, an array of a million", of(&slurm, |held| held.mib)))?;
        let back = held.back_s.context("it was not started again")?;
        let theirs = of(&slurm, |held| held.back_s.unwrap_or(f64::NAN));
        report.add(
            row(format!("{shape}: killed, started until all is there"), back, "s")
                .beside("slurmctld, an array of a million", theirs)
                .aim(AIM_S),
        )?;
    }
    Ok(())
}

fn ours(binary: &Path, n_jobs: u32, count: u32) -> Result<Held> {
    let mut framework = Framework::start(binary)?;
    let specs = (0..n_jobs).map(|n| array(&format!("queued-{n}"), count, 1.0));
    framework.submit_all(specs.collect())?;
    let before = framework.list()?;
    ensure!(is_all(&before, n_jobs), "{} jobs are listed", before.len());
    let mib = framework.rss_mib()?;
    let back_s = Some(framework.restart(|jobs| jobs == before.as_slice())?);
    Ok(Held { mib, back_s })
}

fn is_all(jobs: &[Summary], n_jobs: u32) -> bool {
    let n_tasks = jobs.iter().map(|job| u64::from(job.n_tasks)).sum::<u64>();
    jobs.len() == n_jobs as usize && n_tasks == u64::from(TASKS)
}

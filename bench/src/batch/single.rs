//! One `true`, submitted and waited for: a process that starts, asks, waits and ends.
//!
//! HyperQueue's client of PyPI stays, is connected before, and looks for an end once a second only; so of HyperQueue it is from the
//! submission until the program runs, by the program's own look at the clock.

use std::path::Path;

use anyhow::{Result, ensure};
use proffer_cluster_tests::{Cluster, text};

use super::hyperqueue::HyperQueue;
use super::slurm::Slurm;
use super::{of, row};
use crate::launches::stamp;
use crate::reference::time_ms;
use crate::report::{Report, median};

/// Of each.
const RUNS: usize = 50;
/// Milliseconds.
const AIM_MS: f64 = 20.0;

pub(super) fn run(binary: &Path, report: &mut Report) -> Result<()> {
    eprintln!("batch: one true, {RUNS} times of each");
    let cluster = Cluster::start_with(binary, &[])?;
    let (mut submits, mut runs) = (Vec::new(), Vec::new());
    // The first makes everything warm.
    for n in 0..=RUNS {
        let submit = submit_ms(&cluster, n)?;
        let run = time_ms(cluster.command(&["run", "--", "true"]))?;
        if n > 0 {
            submits.push(submit);
            runs.push(run);
        }
    }
    drop(cluster);
    let slurm = Slurm::start().and_then(|slurm| {
        let took = (0..=RUNS).map(|_| time_ms(slurm.command("srun", &["true"])));
        Ok(median(took.skip(1).collect::<Result<_>>()?))
    });
    let dir = tempfile::tempdir()?;
    let hyperqueue =
        stamp::build(dir.path()).and_then(|program| HyperQueue::start(1)?.single(&program, RUNS));
    let hyperqueue = hyperqueue.map(|took| median(took.to_vec()));
    let cases = [
        (
            format!("proffer job submit --wait of one true, median of {RUNS}"),
            submits,
        ),
        (format!("proffer run -- true, median of {RUNS}"), runs),
    ];
    for (case, took) in cases {
        let took = median(took);
        let ours = || row(case.clone(), took, "ms").aim(AIM_MS);
        report.add(ours().beside("srun true, without isolation", of(&slurm, |ms| *ms)))?;
        report.add(ours().beside(
            "HyperQueue, from a submission to its program, without isolation",
            of(&hyperqueue, |ms| *ms),
        ))?;
    }
    Ok(())
}

fn submit_ms(cluster: &Cluster, n: usize) -> Result<f64> {
    let job = format!(
        "name: one-{n}\ntasks:\n  - name: noop\n    cpus: 0.1\n    mem: 8MiB\n    command: [\"true\"]\n"
    );
    let start = std::time::Instant::now();
    let output = cluster.run_with_input(&["job", "submit", "-", "--wait"], &job)?;
    ensure!(output.status.success(), "{}", text(&output.stderr));
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

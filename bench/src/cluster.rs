//! Tasks a second, end to end: one array of `true`, isolation on.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use proffer_cluster_tests::{Cluster, text};

use crate::reference::{bwrap, time_ms};
use crate::report::{Report, Row};

/// Tasks in the array.
const TASKS: u32 = 2000;

pub(crate) fn run(binary: &Path, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start_with(binary, &[])?;
    let job = format!(
        "name: bench\ntasks:\n  - name: true\n    count: {TASKS}\n    cpus: 0.05\n    mem: 8MiB\n    command: [\"true\"]\n"
    );
    let job = job.replace("name: true", "name: noop");
    let start = Instant::now();
    let output = cluster.run_with_input(&["job", "submit", "-", "--wait"], &job)?;
    let rate = f64::from(TASKS) / start.elapsed().as_secs_f64();
    ensure!(output.status.success(), "{}", text(&output.stderr));
    drop(cluster);
    report.add(
        Row::new(
            "cluster",
            format!("array of {TASKS} true, isolation on"),
            rate,
            "tasks/s",
        )
        .beside("bwrap true on every cpu, no cgroup limits", bwrap_rate()),
    )
}

/// The same number of sandboxed `true`, started back to back by one thread a cpu.
fn bwrap_rate() -> Result<f64> {
    let left = AtomicU32::new(TASKS);
    let take = || {
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
    };
    let work = || -> Result<()> {
        while take() {
            time_ms(bwrap(&["true"]))?;
        }
        Ok(())
    };
    let start = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..thread::available_parallelism()?.get())
            .map(|_| scope.spawn(work))
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("a worker panicked")))
        })
    })?;
    Ok(f64::from(TASKS) / start.elapsed().as_secs_f64())
}

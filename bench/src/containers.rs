//! `proffer run -- true` from start to exit on an idle dev cluster, beside the same program under bubblewrap and crun.

use std::path::Path;

use anyhow::{Result, anyhow};
use proffer_cluster_tests::Cluster;

use crate::reference::{CrunBundle, bwrap, time_ms};
use crate::report::{Report, Row, median};

/// Runs of each, in turn.
const RUNS: usize = 50;

pub(crate) fn run(binary: &Path, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start_with(binary, &[])?;
    let mut bundle = CrunBundle::new(&["true"]);
    let mut ours = Vec::new();
    let mut theirs: [Result<Vec<f64>>; 2] = [Ok(Vec::new()), Ok(Vec::new())];
    // One of each first, so that all are warm.
    for run in 0..=RUNS {
        let took = time_ms(cluster.command(&["run", "--", "true"]))?;
        let crun = match &mut bundle {
            Ok(bundle) => time_ms(bundle.command()),
            Err(error) => Err(anyhow!("{error:#}")),
        };
        let others = [time_ms(bwrap(&["true"])), crun];
        if run == 0 {
            continue;
        }
        ours.push(took);
        for (all, one) in theirs.iter_mut().zip(others) {
            match (all.as_mut(), one) {
                (Ok(all), Ok(one)) => all.push(one),
                (Ok(_), Err(error)) => *all = Err(error),
                (Err(_), _) => {}
            }
        }
    }
    let [bwrap, crun] = theirs;
    let ours = median(ours);
    let row = || {
        Row::new(
            "containers",
            format!("proffer run -- true, median of {RUNS}"),
            ours,
            "ms",
        )
    };
    report.add(row().beside("bwrap, no cgroup limits", bwrap.map(median)))?;
    report.add(row().beside("crun, no cgroup limits", crun.map(median)))
}

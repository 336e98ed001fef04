//! The clock of a machine is set while master, agent and framework run on it: nothing ends early or late, nothing is lost.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::wait_for;
use proffer_privileged_tests::guest::machine::Machine;

use crate::site::{PATIENCE, Site};

const ADDRESS: &str = "10.78.0.11";

/// How long a task may run that would go on for ever.
const TIMEOUT: Duration = Duration::from_secs(25);

/// Longer than anybody may be silent; a step of the clock that counted would be noticed by then.
const WHILE: Duration = Duration::from_secs(5);

/// Half an hour beside the windows of a job that is due every hour.
const STEPS: [&str; 3] = ["+1 day +30 minutes", "-1 year", "+2 years"];

#[test]
fn a_clock_that_is_set_costs_no_task_and_moves_no_deadline() -> Result<()> {
    let Some(mut site) = Site::new(ADDRESS, &[])? else {
        return Ok(());
    };
    let parts = site.machine("all", ADDRESS)?;
    let mut machine = site.boot(&parts, "commit=5")?;
    let mut pids = site.start_all(&mut machine)?;
    site.await_whole(1, 1)?;
    let wait = "until test -e /tmp/runs/done; do sleep 0.2; done";
    site.submit("steady", 2, wait, "")?;
    site.submit("hourly", 1, "true", "schedule: { every: 1h, epsilon: 10s }\n")?;
    let runs = |job: &str| (0..2).map(|n| site.n_runs(job, n)).collect::<Vec<_>>();
    ensure!(wait_for(PATIENCE, || runs("steady") == [1, 1]), "{}", site.logs());

    let limited = Instant::now();
    site.submit(
        "limited",
        1,
        "sleep 1000",
        &format!("    timeout: {}s\n", TIMEOUT.as_secs()),
    )?;
    ensure!(
        wait_for(PATIENCE, || runs("limited") == [1, 0]),
        "{}",
        site.logs()
    );
    let n_lost = || site.count("agent", "session lost") + site.count("batch", "no link to a master");
    // All came up at once: the framework may have asked for its master a few times.
    let n_lost_before = n_lost();
    for (n, step) in STEPS.into_iter().enumerate() {
        set(&mut machine, step)?;
        std::thread::sleep(WHILE);
        ensure!(
            n_lost() == n_lost_before,
            "somebody took somebody else for silent after {step}: {}",
            site.logs()
        );
        site.submit(&format!("job{n}"), 1, "true", "")?;
        site.await_end(&format!("job{n}"))?;
    }
    let has_ended = || {
        site.json(&["job", "status", "limited"])
            .is_ok_and(|job| job["state"] == "failed")
    };
    ensure!(
        wait_for(PATIENCE, has_ended),
        "{}",
        site.ok(&["job", "status", "limited"])?
    );
    let took = limited.elapsed();
    ensure!(
        took >= TIMEOUT,
        "a time limit of {TIMEOUT:?} was over after {took:?}"
    );
    ensure!(runs("limited") == [1, 0]);
    // Of the day that was left out no window ran, and of the year that came again none did twice.
    let windows = site.ok(&["job", "runs", "hourly"])?;
    ensure!(windows.contains("CLOCK_JUMPED"), "{windows}");
    ensure!(runs("hourly") == [1, 0], "{windows}");

    // Whoever starts now knows another time than what it finds on disk.
    for step in ["-1 year", "+3 years"] {
        for pid in std::mem::take(&mut pids) {
            machine.sh(&format!("kill -KILL {pid}"))?;
        }
        set(&mut machine, step)?;
        pids = site.start_all(&mut machine)?;
        site.await_whole(1, 1)?;
        ensure!(runs("steady") == [1, 1], "{:?}: {}", runs("steady"), site.logs());
    }
    std::fs::write(site.runs().join("done"), "")?;
    site.await_end("steady")?;
    ensure!(runs("steady") == [1, 1], "{:?}", runs("steady"));
    site.check_logs()?;
    machine.kill()
}

fn set(machine: &mut Machine, step: &str) -> Result<()> {
    let said = machine.sh(&format!("date -s '{step}'"));
    said.map(drop).with_context(|| format!("date -s '{step}'"))
}

//! Runs many seeds, each twice, and shows one on request.
#![expect(
    clippy::disallowed_methods,
    reason = "the harness reads the environment and uses both cores; runs do not"
)]
#![expect(
    clippy::disallowed_types,
    reason = "the harness measures its own speed; runs read no clock"
)]

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proffer_sim::{Options, Report, Sabotage, run};

/// Seeds of a full run, from 1.
const N_SEEDS: u64 = 1_000;
/// A failing change mostly fails many seeds: these are enough to look at.
const MAX_FAILURES: usize = 5;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: not a number")),
    )
}

/// Runs a seed; a panic of a core is a broken rule like any other.
fn attempt(seed: u64, sabotage: Option<Sabotage>) -> Result<Report, String> {
    let report = catch_unwind(AssertUnwindSafe(|| run(Options { seed, sabotage }, None)));
    match report {
        Ok(Report {
            violation: Some(violation),
            ..
        }) => Err(violation),
        Ok(report) => Ok(report),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(format!("a core panicked: {}", text.unwrap_or_default()))
        }
    }
}

fn twice(seed: u64) -> Result<Report, String> {
    let (first, second) = (attempt(seed, None)?, attempt(seed, None)?);
    if first == second {
        Ok(first)
    } else {
        Err(format!("two runs differ: {first:?} and {second:?}"))
    }
}

#[derive(Debug, Default)]
struct Tally {
    n_seeds: u64,
    simulated: Duration,
    failures: Vec<(u64, String)>,
}

#[test]
fn every_seed_keeps_every_rule_and_runs_the_same_way_twice() {
    let n_seeds = number("PROFFER_SIM_SEEDS").unwrap_or(N_SEEDS);
    let first = number("PROFFER_SIM_FIRST").unwrap_or(1);
    let next = AtomicU64::new(first);
    let tally = Mutex::new(Tally::default());
    let began = Instant::now();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + n_seeds || tally.lock().unwrap().failures.len() >= MAX_FAILURES {
                return;
            }
            let result = twice(seed);
            let mut tally = tally.lock().unwrap();
            tally.n_seeds += 1;
            match result {
                Ok(report) => tally.simulated += 2 * report.simulated,
                Err(violation) => tally.failures.push((seed, violation)),
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let (tally, took) = (tally.into_inner().unwrap(), began.elapsed().as_secs_f64());
    // Past the capture of the test harness: the speed is worth seeing in every run.
    let _ = writeln!(
        std::io::stderr(),
        "{} seeds, each twice, in {took:.1} s: {:.1} seeds/s, {:.0} simulated hours/s",
        tally.n_seeds,
        tally.n_seeds as f64 / took,
        tally.simulated.as_secs_f64() / 3600.0 / took,
    );
    let failures = tally.failures.iter().map(|(seed, violation)| {
        format!("seed {seed}: {violation}\n  PROFFER_SIM_SEED={seed} cargo test -p proffer-sim replay -- --nocapture")
    });
    let failures: Vec<_> = failures.collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn replay_prints_the_trace_of_the_seed_asked_for() {
    let seed = number("PROFFER_SIM_SEED");
    let print = |line: &str| drop(writeln!(std::io::stdout(), "{line}"));
    let reader: Option<proffer_sim::Reader> = seed.map(|_| Box::new(print) as _);
    let report = run(
        Options {
            seed: seed.unwrap_or(1),
            sabotage: None,
        },
        reader,
    );
    assert_eq!(report.violation, None, "seed {}", report.seed);
}

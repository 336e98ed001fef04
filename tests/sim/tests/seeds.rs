//! Runs many seeds, some of them twice.
#![expect(
    clippy::disallowed_methods,
    reason = "the harness reads the environment and uses both cores; runs do not"
)]
#![expect(
    clippy::disallowed_types,
    reason = "the harness measures its own speed; runs read no clock"
)]

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proffer_sim::{Options, Report, attempt};

/// Seeds of a full run, from 1.
const N_SEEDS: u64 = 10_000;
/// One in so many is run twice.
const TWICE: u64 = 10;
/// A failing change mostly fails many seeds: these are enough to look at.
const MAX_FAILURES: usize = 5;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: not a number")),
    )
}

fn one(seed: u64, hashes: bool) -> Result<Report, String> {
    let options = Options {
        case: seed.into(),
        sabotage: None,
        hashes,
    };
    let report = attempt(options, None);
    match &report.violation {
        Some(violation) => Err(violation.to_string()),
        None => Ok(report),
    }
}

/// Runs a seed; where it is due, a second time, which must come to the same.
fn check(seed: u64) -> Result<Report, String> {
    let twice = seed.is_multiple_of(TWICE);
    let first = one(seed, twice)?;
    if twice {
        let second = one(seed, twice)?;
        if first != second {
            return Err(format!("two runs differ: {first:?} and {second:?}"));
        }
    }
    Ok(first)
}

#[derive(Debug, Default)]
struct Tally {
    n_seeds: u64,
    simulated: Duration,
    failures: Vec<(u64, String)>,
}

#[test]
fn every_seed_keeps_every_rule_and_one_in_ten_runs_the_same_way_twice() {
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
            let result = check(seed);
            let mut tally = tally.lock().unwrap();
            tally.n_seeds += 1;
            match result {
                Ok(report) => tally.simulated += report.simulated,
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
        "{} seeds in {took:.1} s: {:.1} seeds/s, {:.1} simulated hours/s",
        tally.n_seeds,
        tally.n_seeds as f64 / took,
        tally.simulated.as_secs_f64() / 3600.0 / took,
    );
    let failures = tally.failures.iter().map(|(seed, violation)| {
        let next = seed + 1;
        format!(
            "seed {seed}: {violation}\n  made small, with its trace: cargo run -p proffer-sim -- run --seeds {seed}..{next}"
        )
    });
    let failures: Vec<_> = failures.collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

//! Many seeds, each once; what fails is made small and written down.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proffer_sim::{Case, Options, Reader, Report, Sabotage, Violation, attempt, shrink};

use crate::{number, sabotage, say, value};

/// A failing change mostly fails many seeds: these are enough to look at.
const MAX_FAILURES: usize = 5;
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

pub(crate) struct Arguments {
    seeds: Range<u64>,
    jobs: usize,
    sabotage: Option<Sabotage>,
}

impl Arguments {
    pub(crate) fn parse(words: &mut dyn Iterator<Item = &str>) -> Result<Self, String> {
        let mut arguments = Self {
            seeds: 1..1_001,
            jobs: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            sabotage: None,
        };
        while let Some(word) = words.next() {
            match word {
                "--seeds" => {
                    let text = value(words, word)?;
                    let (from, to) = text
                        .split_once("..")
                        .ok_or_else(|| format!("`{text}` is not FROM..TO"))?;
                    arguments.seeds = number(from)?..number(to)?;
                }
                "--jobs" => {
                    let jobs = number(value(words, word)?)?;
                    arguments.jobs = usize::try_from(jobs).unwrap_or(1).max(1);
                }
                "--sabotage" => arguments.sabotage = Some(sabotage(value(words, word)?)?),
                _ => return Err(format!("`run` knows no `{word}`")),
            }
        }
        Ok(arguments)
    }
}

struct Tally {
    n_seeds: u64,
    simulated: Duration,
    failures: Vec<(Case, Violation)>,
    said: Instant,
}

/// Whether no rule was broken.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, String> {
    // Caught, and told of with its scenario.
    std::panic::set_hook(Box::new(|_| {}));
    let next = AtomicU64::new(arguments.seeds.start);
    let began = Instant::now();
    let tally = Mutex::new(Tally {
        n_seeds: 0,
        simulated: Duration::ZERO,
        failures: Vec::new(),
        said: began,
    });
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let is_enough = lock(&tally).failures.len() >= MAX_FAILURES;
            if seed >= arguments.seeds.end || is_enough {
                return;
            }
            let report = one(seed.into(), arguments.sabotage);
            let mut tally = lock(&tally);
            tally.n_seeds += 1;
            tally.simulated += report.simulated;
            if let Some(violation) = report.violation {
                say(&format!("scenario {}: {violation}", report.case));
                tally.failures.push((report.case, violation));
            }
            if tally.said.elapsed() >= PROGRESS_EVERY {
                tally.said = Instant::now();
                say(&speed(&tally, began));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..arguments.jobs {
            scope.spawn(work);
        }
        work();
    });
    let tally = tally
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    say(&speed(&tally, began));
    for (case, violation) in &tally.failures {
        tell(case, violation, arguments.sabotage)?;
    }
    Ok(tally.failures.is_empty())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn one(case: Case, sabotage: Option<Sabotage>) -> Report {
    let options = Options {
        case,
        sabotage,
        hashes: false,
    };
    attempt(options, None)
}

fn speed(tally: &Tally, began: Instant) -> String {
    let took = began.elapsed().as_secs_f64();
    format!(
        "{} seeds in {took:.1} s: {:.1} seeds/s, {:.1} simulated hours/s, {} failed",
        tally.n_seeds,
        tally.n_seeds as f64 / took,
        tally.simulated.as_secs_f64() / 3600.0 / took,
        tally.failures.len()
    )
}

/// Makes a failure small, writes its trace, and says how to see it.
fn tell(case: &Case, violation: &Violation, sabotage: Option<Sabotage>) -> Result<(), String> {
    let small = shrink(case, &mut |case| {
        let found = one(case.clone(), sabotage).violation;
        found.is_some_and(|found| found.rule == violation.rule)
    });
    let path = format!("proffer-sim-{}.log", case.seed);
    let failed = |error: std::io::Error| format!("{path}: {error}");
    let mut file = BufWriter::new(File::create(&path).map_err(failed)?);
    let lines = std::sync::Arc::new(Mutex::new(Vec::new()));
    let reader: Reader = {
        let lines = lines.clone();
        Box::new(move |line| lock(&lines).push(line.to_owned()))
    };
    let options = Options {
        case: small.clone(),
        sabotage,
        hashes: false,
    };
    let found = attempt(options, Some(reader)).violation;
    for line in lock(&lines).iter() {
        writeln!(file, "{line}").map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    let put_in = sabotage.map_or(String::new(), |sabotage| format!(" --sabotage {sabotage:?}"));
    if let Some(found) = found {
        say(&format!(
            "\nscenario {case}: {}\n  made small: {found}",
            violation.rule
        ));
    }
    say(&format!(
        "  its trace: {path}\n  proffer-sim replay {small}{put_in}"
    ));
    Ok(())
}

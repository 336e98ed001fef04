//! The batch framework's queue on one synthetic trace of a parallel machine: FCFS beside FCFS with EASY backfill.
//!
//! Our allocator, master and batch framework run under simulated time (`ours`), beside schedulers of some lines each that do
//! nothing else (`textbook`), on the same jobs (`trace`). What the ones make of a load, the others should.

mod ours;
mod plot;
mod textbook;
mod trace;

use std::path::Path;

use anyhow::Result;
use proffer_types::Backfill;

use self::textbook::Rule;
use self::trace::{Job, Outcome, trace};
use crate::report::{Report, Row};

/// Of a trace.
const JOBS: usize = 2000;
const SEED: u64 = 1;
/// Of the machine, each of one core.
const NODES: u32 = 128;
/// Work offered, of what the machine can do, in percent.
const LOADS: [u32; 5] = [50, 60, 70, 80, 90];
/// The load of which there are rows.
const TABLE_LOAD: u32 = 80;

/// One scheduler on traces of all loads.
struct Curve {
    name: String,
    outcomes: Vec<Outcome>,
}

impl Curve {
    fn of(name: &str, run: impl Fn(&[Job]) -> Result<Vec<u64>>) -> Result<Self> {
        let outcome = |load| {
            let jobs = trace(SEED, JOBS, NODES, load)?;
            Ok(Outcome::of(&jobs, &run(&jobs)?, NODES))
        };
        Ok(Self {
            name: name.to_owned(),
            outcomes: LOADS.into_iter().map(outcome).collect::<Result<_>>()?,
        })
    }

    fn at_table_load(&self) -> Outcome {
        let place = LOADS.iter().position(|load| *load == TABLE_LOAD);
        place
            .and_then(|place| self.outcomes.get(place).copied())
            .unwrap_or_default()
    }
}

pub(crate) fn run(plot: &Path, report: &mut Report) -> Result<()> {
    let textbook = |rule| move |jobs: &[Job]| Ok(textbook::run(rule, jobs, NODES));
    let pairs = [
        ("fcfs", Backfill::None, Rule::Fcfs),
        ("fcfs with backfill", Backfill::Easy, Rule::Easy),
    ];
    let mut curves = Vec::new();
    for (name, backfill, rule) in pairs {
        eprintln!("backfill: {name}");
        let ours = Curve::of(&format!("Proffer, {name}"), |jobs| {
            ours::run(backfill, jobs, NODES)
        })?;
        let theirs = Curve::of(&format!("textbook, {name}"), textbook(rule))?;
        let (own, their) = (ours.at_table_load(), theirs.at_table_load());
        for (what, unit, own, their) in [
            ("utilisation", "%", own.utilisation, their.utilisation),
            ("p95 wait", "s", own.p95_wait, their.p95_wait),
            ("mean wait", "s", own.mean_wait, their.mean_wait),
            ("mean bounded slowdown", "", own.slowdown, their.slowdown),
        ] {
            let case = format!("{name}, load {TABLE_LOAD} %, {what}");
            report.add(Row::new("backfill", case, own, unit).beside("textbook", Ok(their)))?;
        }
        curves.extend([ours, theirs]);
    }
    plot::draw(plot, &curves)?;
    eprintln!("backfill: plotted in {}", plot.display());
    Ok(())
}

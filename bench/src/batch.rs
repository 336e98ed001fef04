//! The batch framework beside HyperQueue and Slurm: what a task costs it, an array and one task end to end, a million that
//! are queued, and the start with them.
//!
//! HyperQueue is its package of PyPI, the server and its worker driven by a script; Slurm is Debian's, on this host alone.
//! Either may be missing: the rows then say so.

mod array;
mod enclosed;
mod framework;
mod hyperqueue;
mod overhead;
mod queued;
mod single;
mod slurm;

use std::path::Path;

pub(crate) use self::framework::array;

use anyhow::{Result, anyhow};

use crate::report::{Report, Row};

/// Of all rows here.
const BENCH: &str = "batch";

/// Without real agents, and so without root.
pub(crate) fn run(binary: &Path, report: &mut Report) -> Result<()> {
    overhead::run(binary, report)?;
    queued::run(binary, report)
}

/// With one real agent.
pub(crate) fn run_isolated(binary: &Path, report: &mut Report) -> Result<()> {
    array::run(binary, report)?;
    single::run(binary, report)
}

fn row(case: impl Into<String>, value: f64, unit: &'static str) -> Row {
    Row::new(BENCH, case, value, unit)
}

/// One field of what was measured, where it was.
fn of<T>(measured: &Result<T>, field: impl Fn(&T) -> f64) -> Result<f64> {
    match measured {
        Ok(measured) => Ok(field(measured)),
        Err(error) => Err(anyhow!("{error:#}")),
    }
}

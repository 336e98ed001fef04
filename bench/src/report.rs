//! Rows: one figure beside its reference and its aim.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// One measured figure. Smaller is better, except for units that end in `/s`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) bench: &'static str,
    pub(crate) case: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What it is compared with, or `skipped: why`.
    pub(crate) reference: String,
    pub(crate) reference_value: Option<f64>,
    /// `value / reference_value`.
    pub(crate) ratio: Option<f64>,
    pub(crate) aim: Option<f64>,
    pub(crate) met: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decisions_per_s: Option<f64>,
    /// Heap in use by what was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<f64>,
}

impl Row {
    pub(crate) fn new(bench: &'static str, case: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let reference = String::new();
        Self {
            bench,
            case: case.into(),
            value,
            unit,
            reference,
            reference_value: None,
            ratio: None,
            aim: None,
            met: None,
            decisions_per_s: None,
            bytes: None,
        }
    }

    /// Sets what the figure is compared with; an error becomes `skipped: why`.
    pub(crate) fn beside(mut self, name: &str, value: Result<f64>) -> Self {
        match value {
            Ok(value) => {
                self.reference = name.to_owned();
                self.reference_value = Some(value);
                self.ratio = Some(self.value / value);
            }
            Err(error) => self.reference = format!("skipped: {name}: {error:#}"),
        }
        self
    }

    /// Says why the reference is none.
    pub(crate) fn invalid(mut self, why: &str) -> Self {
        self.reference = format!("invalid: {why}");
        self
    }

    /// Sets the aim: at most so much, or at least, where the unit is a rate.
    pub(crate) fn aim(mut self, aim: f64) -> Self {
        self.aim = Some(aim);
        self.met = Some(if self.unit.ends_with("/s") {
            self.value >= aim
        } else {
            self.value <= aim
        });
        self
    }
}

impl Row {
    /// Sets the aim: at most that part of what it is compared with, or at least, where the unit is a rate.
    pub(crate) fn aim_of_ratio(self, aim: f64) -> Self {
        match self.reference_value {
            Some(reference) => self.aim(aim * reference),
            None => self,
        }
    }
}

/// Collects rows, writing each to the JSON file as it comes.
#[derive(Debug)]
pub(crate) struct Report {
    json: File,
    rows: Vec<Row>,
    /// Of the machine, at the start.
    load: String,
}

impl Report {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let mut json = File::options()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| path.display().to_string())?;
        let commit = Command::new("git")
            .args(["rev-parse", "--short", "HEAD"])
            .output();
        let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let load = load();
        let machine = serde_json::json!({
            "machine": fs::read_to_string("/proc/version")?.trim(),
            "cpus": thread::available_parallelism()?,
            "load": load,
            "commit": commit.unwrap_or_default(),
        });
        writeln!(json, "{machine}")?;
        Ok(Self {
            json,
            rows: Vec::new(),
            load,
        })
    }

    pub(crate) fn add(&mut self, row: Row) -> Result<()> {
        writeln!(self.json, "{}", serde_json::to_string(&row)?)?;
        self.rows.push(row);
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "the table is the answer")]
    pub(crate) fn print(&self) {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), readable);
        let whole = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
        println!(
            "{:<11} {:<52} {:>10} {:<8} {:>10} {:>7} {:>8} {:<4} {:>11} {:>11} reference",
            "bench", "case", "value", "unit", "reference", "ratio", "aim", "met", "decisions/s", "bytes"
        );
        for row in &self.rows {
            let met = row.met.map_or("-", |met| if met { "yes" } else { "NO" });
            println!(
                "{:<11} {:<52} {:>10} {:<8} {:>10} {:>7} {:>8} {:<4} {:>11} {:>11} {}",
                row.bench,
                row.case,
                number(Some(row.value)),
                row.unit,
                number(row.reference_value),
                number(row.ratio),
                number(row.aim),
                met,
                whole(row.decisions_per_s),
                whole(row.bytes),
                row.reference,
            );
        }
        println!("load: {} at the start, {} at the end", self.load, load());
    }
}

/// How many processes wanted to run in the last 1, 5 and 15 minutes.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Two digits after the point, or as many as say something.
fn readable(value: f64) -> String {
    if value.abs() < 0.1 {
        format!("{value:.4}")
    } else {
        format!("{value:.2}")
    }
}

/// The median; NaN of nothing.
pub(crate) fn median(values: Vec<f64>) -> f64 {
    percentile(values, 50)
}

/// The value below which so many of a hundred are; NaN of nothing.
pub(crate) fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = values.len() * percent / 100;
    values
        .get(place.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

//! The number of replicas as the load of real requests through the edge comes and goes, and a plot of both.
//!
//! The textbook has as many as the load takes at every moment, which nobody can know beforehand.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Result, anyhow, ensure};
use plotters::prelude::*;
use proffer_cluster_tests::web::{self, free_port};
use proffer_cluster_tests::{Cluster, text};

use super::row;
use super::servers::{get, until_answers};
use crate::report::Report;

/// Requests a second, and for how many seconds.
const LOAD: [(u32, u64); 6] = [(10, 20), (60, 30), (140, 40), (40, 40), (100, 30), (10, 40)];
/// Requests a second that a replica is meant to serve.
const TARGET: u32 = 20;
const MAX: u32 = 8;
/// Of the plot.
const SIZE: (u32, u32) = (900, 380);
const FONT: &str = "sans-serif";

/// At one second: requests asked for a second, replicas that run.
type Sample = (f64, u32, u32);

pub(super) fn run(cluster: &Cluster, plot: &Path, report: &mut Report) -> Result<()> {
    let port = free_port()?;
    let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], &spec(port))?;
    ensure!(applied.status.success(), "{}", text(&applied.stderr));
    until_answers(port, |_| true)?;
    let (samples, n_failed) = drive(cluster, port)?;
    cluster.ok(&["service", "delete", "scaled"])?;
    let (ours, ideal) = samples
        .iter()
        .fold((0.0, 0.0), |(ours, ideal), (_, rate, replicas)| {
            (ours + f64::from(*replicas), ideal + f64::from(wanted(*rate)))
        });
    let n_short = samples
        .iter()
        .filter(|(_, rate, replicas)| *replicas < wanted(*rate))
        .count();
    report.add(
        row("autoscaler, replicas x seconds of a load curve", ours, "s")
            .beside("as many as the load takes, at once", Ok(ideal)),
    )?;
    report.add(
        row(
            "autoscaler, seconds with fewer than the load takes",
            count(n_short),
            "s",
        )
        .beside("of seconds", Ok(count(samples.len()))),
    )?;
    report.add(row("autoscaler, failed requests", count(n_failed), ""))?;
    draw(plot, &samples)?;
    eprintln!("service: plotted in {}", plot.display());
    Ok(())
}

fn wanted(rate: u32) -> u32 {
    rate.div_ceil(TARGET).clamp(1, MAX)
}

fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::INFINITY, f64::from)
}

fn spec(port: u16) -> String {
    let fields = format!(
        "expose: [{{ port: 80, to: http, protocol: http, publish: {port} }}]\nscaling: {{ min: 1, max: {MAX}, requests: {TARGET}/s, \
         stabilise: {{ down: 15s }} }}\n"
    );
    web::service("scaled", &fields, "x")
}

/// Sends the load, and looks every second; the samples, and how many requests failed.
fn drive(cluster: &Cluster, port: u16) -> Result<(Vec<Sample>, usize)> {
    let (rate, is_over, n_failed) = (
        AtomicU32::new(LOAD[0].0),
        AtomicBool::new(false),
        AtomicU64::new(0),
    );
    let samples = thread::scope(|scope| {
        scope.spawn(|| {
            let mut next = Instant::now();
            while !is_over.load(Ordering::Relaxed) {
                if get(port).is_err() {
                    n_failed.fetch_add(1, Ordering::Relaxed);
                }
                next += Duration::from_secs(1) / rate.load(Ordering::Relaxed).max(1);
                // What the machine could not send in time is not made up for all at once.
                next = next.max(
                    Instant::now()
                        .checked_sub(Duration::from_millis(100))
                        .unwrap_or(next),
                );
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        let samples = sample(cluster, &rate);
        is_over.store(true, Ordering::Relaxed);
        samples
    })?;
    let n_failed = usize::try_from(n_failed.into_inner())?;
    Ok((samples, n_failed))
}

fn sample(cluster: &Cluster, rate: &AtomicU32) -> Result<Vec<Sample>> {
    let start = Instant::now();
    let mut samples = Vec::new();
    let mut seconds = 0;
    for (asked, for_s) in LOAD {
        rate.store(asked, Ordering::Relaxed);
        eprintln!("service: {asked} requests a second for {for_s} s");
        for _ in 0..for_s {
            seconds += 1;
            let due = start + Duration::from_secs(seconds);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let service = cluster.json(&["service", "status", "scaled"])?;
            let replicas = service["replicas"].as_array().cloned().unwrap_or_default();
            let running = replicas
                .iter()
                .filter(|replica| replica["state"] == "running")
                .count();
            samples.push((start.elapsed().as_secs_f64(), asked, u32::try_from(running)?));
        }
    }
    Ok(samples)
}

/// Replicas, and what the load takes, over the time.
fn draw(path: &Path, samples: &[Sample]) -> Result<()> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw_on(&area, samples).map_err(|error| anyhow!("the plot: {error}"))?;
    }
    Ok(fs::write(path, svg)?)
}

fn draw_on(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    samples: &[Sample],
) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let end = samples.last().map_or(1.0, |(at, ..)| *at);
    let mut chart = ChartBuilder::on(area)
        .caption("autoscaling by requests a second", (FONT, 16))
        .margin(10)
        .x_label_area_size(35)
        .y_label_area_size(45)
        .build_cartesian_2d(0.0..end, 0.0..f64::from(MAX) + 1.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("seconds")
        .y_desc("replicas")
        .label_style((FONT, 12))
        .draw()?;
    let load = samples
        .iter()
        .map(|(at, rate, _)| (*at, f64::from(*rate) / f64::from(TARGET)));
    let replicas = samples
        .iter()
        .map(|(at, _, replicas)| (*at, f64::from(*replicas)));
    let (grey, blue) = (BLACK.mix(0.4), Palette99::pick(1).to_rgba());
    let drawn = chart.draw_series(LineSeries::new(load, grey.stroke_width(1)))?;
    drawn
        .label(format!("load, in replicas of {TARGET} requests/s"))
        .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], grey.stroke_width(1)));
    let drawn = chart.draw_series(LineSeries::new(replicas, blue.stroke_width(2)))?;
    drawn
        .label("replicas that run")
        .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], blue.stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 12))
        .draw()?;
    area.present()?;
    Ok(())
}

//! The figure: utilisation, and the wait of the 95th percentile, over the load.

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::trace::Outcome;
use super::{Curve, LOADS};

/// Pixels.
const SIZE: (u32, u32) = (900, 380);
const FONT: &str = "sans-serif";

pub(super) fn draw(path: &Path, curves: &[Curve]) -> Result<()> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw_on(&area, curves).map_err(|error| anyhow!("the plot: {error}"))?;
    }
    Ok(std::fs::write(path, svg)?)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw_on(area: &Area<'_>, curves: &[Curve]) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(SIZE.0 / 2);
    let hours = |outcome: &Outcome| outcome.p95_wait / 3600.0;
    let longest = curves.iter().flat_map(|curve| &curve.outcomes).map(hours);
    let longest = longest.fold(1.0, f64::max);
    panel(&left, "utilisation, %", 0.0..100.0, curves, |outcome| {
        outcome.utilisation
    })?;
    panel(
        &right,
        "wait, 95th percentile, hours",
        0.0..longest * 1.05,
        curves,
        hours,
    )?;
    area.present()?;
    Ok(())
}

fn panel(
    area: &Area<'_>,
    title: &str,
    range: Range<f64>,
    curves: &[Curve],
    value: impl Fn(&Outcome) -> f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let loads = || LOADS.map(f64::from).into_iter();
    let (low, high) = (loads().fold(f64::MAX, f64::min), loads().fold(0.0, f64::max));
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 16))
        .margin(10)
        .x_label_area_size(35)
        .y_label_area_size(45)
        .build_cartesian_2d(low..high, range)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("load, %")
        .label_style((FONT, 12))
        .draw()?;
    for (n, curve) in curves.iter().enumerate() {
        // Ours and its textbook share a colour.
        let colour = Palette99::pick(n / 2).to_rgba();
        let points = || loads().zip(curve.outcomes.iter().map(&value));
        if n % 2 == 0 {
            let drawn = chart.draw_series(LineSeries::new(points(), colour.stroke_width(2)))?;
            drawn
                .label(&curve.name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2)));
        } else {
            let marks = points().map(|point| Circle::new(point, 4, colour.stroke_width(1)));
            let drawn = chart.draw_series(marks)?;
            drawn
                .label(&curve.name)
                .legend(move |(x, y)| Circle::new((x + 8, y), 4, colour.stroke_width(1)));
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 12))
        .draw()?;
    Ok(())
}

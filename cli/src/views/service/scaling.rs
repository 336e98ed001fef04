//! What a service scales by, and what was decided.

use proffer_wire::v1;
use proffer_wire::v1::scaling_target as of;
use serde::Serialize;

use crate::output::{Answer, Column, left, printable, render, right};
use crate::views::text::{ago, moment};

/// A service that scales by itself.
#[derive(Debug, Serialize)]
pub(crate) struct ScalingView {
    service: String,
    min: u32,
    max: u32,
    replicas: u32,
    targets: Vec<TargetView>,
    /// Why the number of replicas stays as it is.
    message: Option<String>,
    /// The latest first.
    decisions: Vec<DecisionView>,
}

#[derive(Debug, Serialize)]
struct TargetView {
    metric: String,
    unit: &'static str,
    target: f64,
    /// Absent while it is not known.
    value: Option<f64>,
    /// How many replicas it asks for.
    wants: Option<u32>,
    /// Why it is not known.
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct DecisionView {
    at_ms: u64,
    from: u32,
    to: u32,
    why: String,
}

fn said(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl ScalingView {
    /// None where people scale.
    pub(crate) fn of(service: &v1::ServiceView) -> Option<Self> {
        let spec = service.spec.as_ref()?;
        let policy = spec.scaling.as_ref()?;
        let status = service.scaling.clone().unwrap_or_default();
        let mut figures = status.figures.into_iter();
        let targets = policy
            .targets
            .iter()
            .map(|target| TargetView::of(target, figures.next()));
        let decisions = status.decisions.into_iter().rev().map(|decision| DecisionView {
            at_ms: decision.at_ms,
            from: decision.from,
            to: decision.to,
            why: decision.why,
        });
        Some(Self {
            service: spec.name.clone(),
            min: policy.min,
            max: policy.max,
            replicas: spec.replicas,
            targets: targets.collect(),
            message: said(status.message),
            decisions: decisions.collect(),
        })
    }

    /// A line for people.
    pub(super) fn headline(&self) -> String {
        let Self { min, max, .. } = self;
        let targets = self.targets.iter().map(|target| {
            let value = target
                .value
                .map_or_else(|| "?".to_owned(), |value| target.with_unit(value));
            format!(
                "{} {value} of {}",
                printable(&target.metric),
                target.with_unit(target.target)
            )
        });
        let targets: Vec<_> = targets.collect();
        let mut text = format!("scales from {min} to {max}: {}", targets.join(", "));
        if let Some(message) = &self.message {
            text += &format!("; {}", printable(message));
        }
        text.push('\n');
        text
    }
}

impl TargetView {
    fn of(target: &v1::ScalingTarget, figure: Option<v1::ScalingFigure>) -> Self {
        let (metric, unit) = match &target.metric {
            Some(of::Metric::Cpu(_)) => ("cpu".to_owned(), "%"),
            Some(of::Metric::Memory(_)) => ("memory".to_owned(), "%"),
            Some(of::Metric::Requests(_)) => ("requests".to_owned(), "/s"),
            Some(of::Metric::Latency(latency)) => (format!("latency p{}", latency.percentile), "ms"),
            Some(of::Metric::Errors(_)) => ("errors".to_owned(), "%"),
            Some(of::Metric::Prometheus(query)) => (query.query.clone(), ""),
            None => ("unknown".to_owned(), ""),
        };
        let figure = figure.unwrap_or_default();
        Self {
            metric,
            unit,
            target: thousandths(target.target_milli),
            value: figure.value_milli.map(thousandths),
            wants: figure.wants,
            problem: said(figure.problem),
        }
    }

    fn with_unit(&self, value: f64) -> String {
        format!("{value}{}", self.unit)
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact for what is shown")]
fn thousandths(milli: u64) -> f64 {
    milli as f64 / 1000.0
}

impl Answer for ScalingView {
    fn text(&self, width: usize) -> String {
        const TARGETS: &[Column] = &[
            left("METRIC"),
            right("IS"),
            right("TARGET"),
            right("ASKS FOR"),
            left("PROBLEM"),
        ];
        const DECISIONS: &[Column] = &[
            left("WHEN"),
            left("AT"),
            right("FROM"),
            right("TO"),
            left("BECAUSE"),
        ];
        let Self {
            min, max, replicas, ..
        } = self;
        let mut text = format!(
            "service {}  {replicas} replicas, from {min} to {max}",
            self.service
        );
        if let Some(message) = &self.message {
            text += &format!(": {}", printable(message));
        }
        text.push('\n');
        let targets = self.targets.iter().map(|target| {
            vec![
                printable(&target.metric),
                target
                    .value
                    .map_or_else(|| "-".to_owned(), |value| target.with_unit(value)),
                target.with_unit(target.target),
                target
                    .wants
                    .map_or_else(|| "-".to_owned(), |wants| wants.to_string()),
                printable(target.problem.as_deref().unwrap_or_default()),
            ]
        });
        text += &render(TARGETS, &targets.collect::<Vec<_>>(), width);
        text.push('\n');
        let decisions = self.decisions.iter().map(|decision| {
            vec![
                ago(decision.at_ms),
                moment(decision.at_ms),
                decision.from.to_string(),
                decision.to.to_string(),
                printable(&decision.why),
            ]
        });
        text + &render(DECISIONS, &decisions.collect::<Vec<_>>(), width)
    }
}

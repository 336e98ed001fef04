//! What the number of replicas follows: `scaling: { min: 2, max: 10, cpu: 60% }`.

use std::str::FromStr;

use proffer_types::resources::format::parse_millis;
use proffer_wire::v1;
use proffer_wire::v1::scaling_target as of;
use serde::Deserialize;

use super::update::Part;
use crate::spec::either::from_text;
use crate::spec::{SomeSpan, Span, Whole};

/// The scaling of a service file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScalingFile {
    min: Whole<u32>,
    max: Whole<u32>,
    cpu: Option<Percent>,
    memory: Option<Percent>,
    requests: Option<PerSecond>,
    latency: Option<LatencyFile>,
    errors: Option<Percent>,
    #[serde(default)]
    prometheus: Vec<PrometheusFile>,
    #[serde(default)]
    stabilise: Ways<Span>,
    #[serde(default)]
    step: Ways<Part>,
}

/// In what time so many percent of the requests are to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LatencyFile {
    p50: Option<SomeSpan>,
    p90: Option<SomeSpan>,
    p95: Option<SomeSpan>,
    p99: Option<SomeSpan>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "PrometheusFields")]
struct PrometheusFile {
    query: of::Prometheus,
    target: Number,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrometheusFields {
    url: String,
    query: String,
    per_replica: Option<Number>,
    value: Option<Number>,
}

impl TryFrom<PrometheusFields> for PrometheusFile {
    type Error = String;

    fn try_from(fields: PrometheusFields) -> Result<Self, String> {
        let target = match (fields.per_replica, fields.value) {
            (Some(target), None) | (None, Some(target)) => target,
            (Some(_), Some(_)) | (None, None) => {
                return Err("a query needs `per_replica`, what each replica is to have of the answer, or `value`, what the answer is to be"
                    .to_owned());
            }
        };
        let query = of::Prometheus {
            url: fields.url,
            query: fields.query,
            per_replica: fields.per_replica.is_some(),
        };
        Ok(Self { query, target })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ways<T> {
    up: Option<T>,
    down: Option<T>,
}

impl<T> Default for Ways<T> {
    fn default() -> Self {
        Self { up: None, down: None }
    }
}

/// Thousandths of a percent, written like `60%`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Percent(u64);

/// Thousandths a second, written like `100/s`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct PerSecond(u64);

/// Thousandths.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Number(u64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text
            .strip_suffix('%')
            .and_then(|number| parse_millis(number).ok());
        number
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a part of something; write it like 60% or 0.5%"))
    }
}

impl FromStr for PerSecond {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text
            .strip_suffix("/s")
            .and_then(|number| parse_millis(number).ok());
        number
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a rate; write it like 100/s or 0.5/s"))
    }
}

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_millis(text).map(Self).map_err(|_| {
            format!("`{text}` is not a number; write it like 100 or 0.5, with at most three decimals")
        })
    }
}

from_text!(Percent, PerSecond, Number);

impl From<ScalingFile> for v1::Autoscaling {
    fn from(file: ScalingFile) -> Self {
        let target = |target_milli, metric| v1::ScalingTarget {
            target_milli,
            metric: Some(metric),
        };
        let mut targets = Vec::new();
        targets.extend(file.cpu.map(|part| target(part.0, of::Metric::Cpu(of::Cpu {}))));
        targets.extend(
            file.memory
                .map(|part| target(part.0, of::Metric::Memory(of::Memory {}))),
        );
        targets.extend(
            file.requests
                .map(|rate| target(rate.0, of::Metric::Requests(of::Requests {}))),
        );
        if let Some(latency) = file.latency {
            let percentiles = [
                (50, latency.p50),
                (90, latency.p90),
                (95, latency.p95),
                (99, latency.p99),
            ];
            targets.extend(percentiles.into_iter().filter_map(|(percentile, span)| {
                // Thousandths of a millisecond.
                let micros = u64::try_from(span?.0.0.as_micros()).unwrap_or(u64::MAX);
                Some(target(micros, of::Metric::Latency(of::Latency { percentile })))
            }));
        }
        targets.extend(
            file.errors
                .map(|part| target(part.0, of::Metric::Errors(of::Errors {}))),
        );
        let queries = file.prometheus.into_iter();
        targets.extend(queries.map(|file| target(file.target.0, of::Metric::Prometheus(file.query))));
        let pace = |window: Option<Span>, step: Option<Part>| {
            (window.is_some() || step.is_some()).then(|| v1::ScalingPace {
                window_ms: window.map(Span::millis),
                step: step.map(Into::into),
            })
        };
        Self {
            min: file.min.0,
            max: file.max.0,
            targets,
            up: pace(file.stabilise.up, file.step.up),
            down: pace(file.stabilise.down, file.step.down),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proffer_wire::v1;

    use crate::spec::ServiceFile;
    use crate::spec::parse;

    fn check(scaling: &str, expected: &Expect) {
        let text = format!("name: web\ntask: {{command: [server]}}\nscaling:\n{scaling}");
        let told = match parse::<ServiceFile>("web.yaml", &text) {
            Ok(service) => {
                let spec = v1::ServiceSpec::from(service);
                format!("{} first, {:?}", spec.replicas, spec.scaling.unwrap())
            }
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&told);
    }

    #[test]
    fn every_metric_has_a_target_in_its_own_unit() {
        check(
            "  min: 2\n  max: 10\n  cpu: 60%\n  memory: 80.5%\n  requests: 100/s\n  latency: {p50: 5ms, p99: 200ms}\n  errors: 1%\n  prometheus: [{url: 'http://p:9090', query: sum(x), per_replica: 0.5}]\n  stabilise: {up: 0s, down: 5m}\n  step: {down: 25%}\n",
            &expect![[
                r#"0 first, Autoscaling { min: 2, max: 10, targets: [ScalingTarget { target_milli: 60000, metric: Some(Cpu(Cpu)) }, ScalingTarget { target_milli: 80500, metric: Some(Memory(Memory)) }, ScalingTarget { target_milli: 100000, metric: Some(Requests(Requests)) }, ScalingTarget { target_milli: 5000, metric: Some(Latency(Latency { percentile: 50 })) }, ScalingTarget { target_milli: 200000, metric: Some(Latency(Latency { percentile: 99 })) }, ScalingTarget { target_milli: 1000, metric: Some(Errors(Errors)) }, ScalingTarget { target_milli: 500, metric: Some(Prometheus(Prometheus { url: "http://p:9090", query: "sum(x)", per_replica: true })) }], up: Some(ScalingPace { window_ms: Some(0), step: None }), down: Some(ScalingPace { window_ms: Some(300000), step: Some(Amount { of: Some(Percent(25)) }) }) }"#
            ]],
        );
        check(
            "  min: 1\n  max: 3\n  cpu: 50%\n",
            &expect![
                "0 first, Autoscaling { min: 1, max: 3, targets: [ScalingTarget { target_milli: 50000, metric: Some(Cpu(Cpu)) }], up: None, down: None }"
            ],
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused_where_it_stands() {
        for (scaling, expected) in [
            (
                "  max: 3\n  cpu: 50%\n",
                expect!["web.yaml:5:3: scaling: missing field `min`"],
            ),
            (
                "  min: 1\n  max: 3\n  cpu: 0.5\n",
                expect![
                    "web.yaml:6:8: scaling.cpu: `0.5` is not a part of something; write it like 60% or 0.5%"
                ],
            ),
            (
                "  min: 1\n  max: 3\n  requests: 100\n",
                expect!["web.yaml:6:13: scaling.requests: `100` is not a rate; write it like 100/s or 0.5/s"],
            ),
            (
                "  min: 1\n  max: 3\n  latency: {p98: 1s}\n",
                expect![
                    "web.yaml:6:13: scaling.latency.p98: unknown field `p98`, expected one of p50, p90, p95, p99"
                ],
            ),
            (
                "  min: 1\n  max: 3\n  prometheus: [{url: 'http://p', query: up}]\n",
                expect![
                    "web.yaml:6:16: scaling.prometheus[0]: a query needs `per_replica`, what each replica is to have of the answer, or `value`, what the answer is to be"
                ],
            ),
            (
                "  min: 1\n  max: 3\n  step: {up: some}\n",
                expect![
                    "web.yaml:6:14: scaling.step.up: `some` is neither a number of replicas nor a part of them like `25%`"
                ],
            ),
        ] {
            check(scaling, &expected);
        }
    }
}

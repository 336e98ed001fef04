//! What an owner wants the number of replicas to follow, and what makes it wrong.

use std::fmt;
use std::time::Duration;

use proffer_types::resources::format::format_millis;

use crate::spec::{Amount, MAX_REPLICAS};

/// The most targets of a service.
pub const MAX_TARGETS: usize = 8;
/// The longest stabilisation window.
pub const MAX_WINDOW: Duration = Duration::from_secs(60 * 60);
/// The stabilisation window for fewer replicas, where the service does not say: that of Kubernetes.
pub const DEFAULT_DOWN_WINDOW: Duration = Duration::from_secs(5 * 60);
/// The longest address of a Prometheus server, in bytes.
pub const MAX_URL_BYTES: usize = 1 << 10;
/// The longest query, in bytes.
pub const MAX_QUERY_BYTES: usize = 4 << 10;
/// The greatest target: a million of anything times a million.
const MAX_TARGET_MILLI: u64 = 1_000_000_000_000_000;
/// How many replicas may come in one decision, or as many as there are, where the service does not say: as Kubernetes has it.
const DEFAULT_UP_STEP: u32 = 4;

/// What the number of replicas follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Autoscaling {
    /// At least 1.
    pub min: u32,
    /// From `min` to [`MAX_REPLICAS`].
    pub max: u32,
    /// One to [`MAX_TARGETS`], each metric once. The one that asks for most decides.
    pub targets: Vec<Target>,
    pub up: Pace,
    pub down: Pace,
}

/// What a metric is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub metric: Metric,
    /// In thousandths of the metric's unit; not 0.
    pub milli: u64,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Percent of the cpus that are asked for; the mean of all replicas.
    Cpu,
    /// Percent of the memory that is asked for, without the page cache; the mean of all replicas.
    Memory,
    /// Requests, connections or sessions a second for each replica.
    Requests,
    /// Milliseconds in which so many percent (1 to 99) of the requests are answered.
    Latency { percentile: u32 },
    /// Percent of the requests that were answered by 500 to 599, or by nothing.
    Errors,
    /// What a query gives.
    Prometheus(Query),
}

/// A question to a Prometheus server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Query {
    /// Of the server, `http://` or `https://`.
    pub url: String,
    pub promql: String,
    /// Whether the target is for each replica, and the answer for all together. Otherwise the answer is thought to fall in
    /// proportion as replicas are added.
    pub per_replica: bool,
}

/// How quickly the number follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// The most moderate of what was asked for in this time is taken, at most [`MAX_WINDOW`].
    pub window: Option<Duration>,
    /// How many may come or go in one decision.
    pub step: Option<Amount>,
}

impl Autoscaling {
    /// The most replicas that one decision may lead to.
    pub(super) fn highest(&self, current: u32) -> u32 {
        let step = match self.up.step {
            Some(step) => step.ceil(current),
            None => current.max(DEFAULT_UP_STEP),
        };
        current.saturating_add(step)
    }

    /// The fewest.
    pub(super) fn lowest(&self, current: u32) -> u32 {
        let step = self.down.step.map_or(u32::MAX, |step| step.ceil(current));
        current.saturating_sub(step)
    }

    pub(super) fn up_window(&self) -> Duration {
        self.up.window.unwrap_or(Duration::ZERO)
    }

    pub(super) fn down_window(&self) -> Duration {
        self.down.window.unwrap_or(DEFAULT_DOWN_WINDOW)
    }

    /// What a new service begins with that asks for so many.
    pub(crate) fn first(&self, replicas: u32) -> u32 {
        if replicas == 0 { self.min } else { replicas }
    }

    /// Whether the use of tasks is to be read.
    pub(crate) fn follows_use(&self) -> bool {
        let is_use = |target: &Target| matches!(target.metric, Metric::Cpu | Metric::Memory);
        self.targets.iter().any(is_use)
    }

    pub(super) fn queries(&self) -> impl Iterator<Item = &Query> {
        self.targets.iter().filter_map(|target| match &target.metric {
            Metric::Prometheus(query) => Some(query),
            Metric::Cpu | Metric::Memory | Metric::Requests | Metric::Latency { .. } | Metric::Errors => None,
        })
    }

    pub(super) fn asks(&self, query: &Query) -> bool {
        self.queries().any(|other| other == query)
    }

    /// Says what is wrong.
    pub(crate) fn check(&self, replicas: u32) -> Result<(), String> {
        let Self { min, max, .. } = *self;
        if min == 0 || min > max || max > MAX_REPLICAS {
            return Err(format!(
                "from {min} to {max} replicas; it must be from 1 or more to no fewer, and at most {MAX_REPLICAS}"
            ));
        }
        if !(min..=max).contains(&self.first(replicas)) {
            return Err(format!(
                "from {min} to {max} replicas, and begins with {replicas}"
            ));
        }
        let n = self.targets.len();
        if n == 0 || n > MAX_TARGETS {
            return Err(format!("{n} targets; it must have 1 to {MAX_TARGETS}"));
        }
        for (at, target) in self.targets.iter().enumerate() {
            target.check()?;
            let mut before = self.targets.iter().take(at);
            if before.any(|other| other.metric == target.metric) {
                return Err(format!("two targets for {}", target.metric));
            }
        }
        for (pace, which) in [(self.up, "up"), (self.down, "down")] {
            if pace.window.is_some_and(|window| window > MAX_WINDOW) {
                return Err(format!("a window for {which} of more than {MAX_WINDOW:?}"));
            }
            let is_step = match pace.step {
                None | Some(Amount::Count(1..) | Amount::Percent(1..=100)) => true,
                Some(Amount::Count(_) | Amount::Percent(_)) => false,
            };
            if !is_step {
                return Err(format!(
                    "a step for {which} that is neither 1 or more nor 1 to 100%"
                ));
            }
        }
        Ok(())
    }
}

impl Target {
    fn check(&self) -> Result<(), String> {
        let metric = &self.metric;
        if self.milli == 0 || self.milli > MAX_TARGET_MILLI {
            return Err(format!("a target of {} for {metric}", format_millis(self.milli)));
        }
        match metric {
            Metric::Errors if self.milli > 100_000 => Err("a target of more than 100% for errors".to_owned()),
            Metric::Latency { percentile } if !(1..=99).contains(percentile) => {
                Err(format!("a target for {metric}; it must be p1 to p99"))
            }
            Metric::Prometheus(query) => query.check(),
            Metric::Cpu | Metric::Memory | Metric::Requests | Metric::Latency { .. } | Metric::Errors => {
                Ok(())
            }
        }
    }

    /// A value, with its unit.
    pub(super) fn text(&self, milli: u64) -> String {
        // What is measured is not as exact as it could be written.
        let rounded = |to: u64| format_millis(milli.saturating_add(to / 2) / to * to);
        let value = match milli {
            100_000.. => rounded(1000),
            10_000.. => rounded(100),
            _ => rounded(10),
        };
        match &self.metric {
            Metric::Cpu | Metric::Memory | Metric::Errors => format!("{value}%"),
            Metric::Requests => format!("{value}/s"),
            Metric::Latency { .. } => format!("{value}ms"),
            Metric::Prometheus(_) => value,
        }
    }
}

impl Query {
    fn check(&self) -> Result<(), String> {
        let has_scheme = ["http://", "https://"]
            .iter()
            .any(|scheme| self.url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        let is_plain = self.url.chars().all(|c| c.is_ascii_graphic());
        if !has_scheme || !is_plain || self.url.len() > MAX_URL_BYTES {
            return Err(format!(
                "an address of Prometheus that is not `http://` or `https://` and a host, in at most {MAX_URL_BYTES} bytes"
            ));
        }
        if self.promql.trim().is_empty() || self.promql.len() > MAX_QUERY_BYTES {
            return Err(format!(
                "a query of {} bytes; it must have 1 to {MAX_QUERY_BYTES}",
                self.promql.len()
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Memory => f.write_str("memory"),
            Self::Requests => f.write_str("requests"),
            Self::Latency { percentile } => write!(f, "latency p{percentile}"),
            Self::Errors => f.write_str("errors"),
            Self::Prometheus(query) => {
                // As much of it as helps to recognise it.
                let shown: String = query.promql.chars().take(40).collect();
                let more = if shown.len() < query.promql.len() {
                    ".."
                } else {
                    ""
                };
                write!(f, "`{}{more}`", shown.escape_debug())
            }
        }
    }
}

//! The policy as a message.

use std::time::Duration;

use proffer_wire::v1::scaling_target::{self as of};
use proffer_wire::{ConvertError, v1};

use super::policy::{Autoscaling, Metric, Pace, Query, Target};
use crate::message::{amount, amount_message, millis};
use crate::spec::Amount;

impl TryFrom<v1::Autoscaling> for Autoscaling {
    type Error = ConvertError;

    fn try_from(message: v1::Autoscaling) -> Result<Self, ConvertError> {
        let targets = message.targets.into_iter().map(Target::try_from);
        Ok(Self {
            min: message.min,
            max: message.max,
            targets: targets
                .collect::<Result<_, _>>()
                .map_err(|error| error.under("targets"))?,
            up: message.up.map(pace).unwrap_or_default(),
            down: message.down.map(pace).unwrap_or_default(),
        })
    }
}

fn pace(message: v1::ScalingPace) -> Pace {
    Pace {
        window: message.window_ms.map(Duration::from_millis),
        step: message.step.map(|step| amount(Some(step), Amount::Count(0))),
    }
}

impl TryFrom<v1::ScalingTarget> for Target {
    type Error = ConvertError;

    fn try_from(message: v1::ScalingTarget) -> Result<Self, ConvertError> {
        let metric = match message.metric {
            Some(of::Metric::Cpu(_)) => Metric::Cpu,
            Some(of::Metric::Memory(_)) => Metric::Memory,
            Some(of::Metric::Requests(_)) => Metric::Requests,
            Some(of::Metric::Latency(latency)) => Metric::Latency {
                percentile: latency.percentile,
            },
            Some(of::Metric::Errors(_)) => Metric::Errors,
            Some(of::Metric::Prometheus(query)) => Metric::Prometheus(Query {
                url: query.url,
                promql: query.query,
                per_replica: query.per_replica,
            }),
            None => return Err(ConvertError::new("metric", "is missing")),
        };
        Ok(Self {
            metric,
            milli: message.target_milli,
        })
    }
}

impl From<&Autoscaling> for v1::Autoscaling {
    fn from(policy: &Autoscaling) -> Self {
        Self {
            min: policy.min,
            max: policy.max,
            targets: policy.targets.iter().map(Into::into).collect(),
            up: pace_message(policy.up),
            down: pace_message(policy.down),
        }
    }
}

fn pace_message(pace: Pace) -> Option<v1::ScalingPace> {
    (pace != Pace::default()).then(|| v1::ScalingPace {
        window_ms: pace.window.map(millis),
        step: pace.step.map(amount_message),
    })
}

impl From<&Target> for v1::ScalingTarget {
    fn from(target: &Target) -> Self {
        let metric = match &target.metric {
            Metric::Cpu => of::Metric::Cpu(of::Cpu {}),
            Metric::Memory => of::Metric::Memory(of::Memory {}),
            Metric::Requests => of::Metric::Requests(of::Requests {}),
            Metric::Latency { percentile } => of::Metric::Latency(of::Latency {
                percentile: *percentile,
            }),
            Metric::Errors => of::Metric::Errors(of::Errors {}),
            Metric::Prometheus(query) => of::Metric::Prometheus(of::Prometheus {
                url: query.url.clone(),
                query: query.promql.clone(),
                per_replica: query.per_replica,
            }),
        };
        Self {
            target_milli: target.milli,
            metric: Some(metric),
        }
    }
}

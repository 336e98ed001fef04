//! How a changed service is brought out: `update: { max_surge: 1, canary: 1, min_healthy_time: 5s, deadline: 5m }`.

use std::str::FromStr;

use proffer_wire::v1;
use serde::Deserialize;

use crate::spec::either::from_text;
use crate::spec::{SomeSpan, Span, Whole};

/// The update policy of a service file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateFile {
    strategy: Option<Strategy>,
    max_surge: Option<Part>,
    max_unavailable: Option<Part>,
    canary: Option<Whole<u32>>,
    promote: Option<Promote>,
    min_healthy_time: Option<Span>,
    deadline: Option<SomeSpan>,
    auto_rollback: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Strategy {
    Rolling,
    BlueGreen,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Promote {
    Automatic,
    ByHand,
}

/// Of the wanted number of replicas: `2` or `25%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Part {
    Count(u32),
    Percent(u32),
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = match text.strip_suffix('%') {
            Some(percent) => percent.parse().map(Self::Percent),
            None => text.parse().map(Self::Count),
        };
        part.map_err(|_| format!("`{text}` is neither a number of replicas nor a part of them like `25%`"))
    }
}

from_text!(Part);

impl From<Part> for v1::Amount {
    fn from(part: Part) -> Self {
        let of = match part {
            Part::Count(count) => v1::amount::Of::Count(count),
            Part::Percent(percent) => v1::amount::Of::Percent(percent),
        };
        Self { of: Some(of) }
    }
}

impl From<UpdateFile> for v1::UpdatePolicy {
    fn from(file: UpdateFile) -> Self {
        let strategy = file.strategy.map(|strategy| match strategy {
            Strategy::Rolling => v1::UpdateStrategy::Rolling,
            Strategy::BlueGreen => v1::UpdateStrategy::BlueGreen,
        });
        Self {
            strategy: strategy.unwrap_or_default().into(),
            max_surge: file.max_surge.map(Into::into),
            max_unavailable: file.max_unavailable.map(Into::into),
            canary: file.canary.map_or(0, |canary| canary.0),
            promote_by_hand: file.promote == Some(Promote::ByHand),
            min_healthy_ms: file.min_healthy_time.map(Span::millis),
            deadline_ms: file.deadline.map(|deadline| deadline.0.millis()),
            auto_rollback: file.auto_rollback,
        }
    }
}

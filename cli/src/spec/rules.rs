//! What a task may use beyond its request, and where it may run; as written, for the wire, and as shown.

use std::fmt;
use std::str::FromStr;

use proffer_types::OfferConstraints;
use proffer_wire::v1;
use serde::{Deserialize, Serialize};

use super::constraint::all_of;
use super::{Bytes, Condition, Cores};

/// A limit: so much, or whatever the agent has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpTo<T> {
    At(T),
    Infinite,
}

impl<T: FromStr<Err = String>> FromStr for UpTo<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "infinite" => Ok(Self::Infinite),
            text => text
                .parse()
                .map(Self::At)
                .map_err(|error| format!("{error}, or `infinite`")),
        }
    }
}

impl<T: fmt::Display> fmt::Display for UpTo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(limit) => limit.fmt(f),
            Self::Infinite => f.write_str("infinite"),
        }
    }
}

/// The most a task may use; absent means what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) cpus: Option<UpTo<Cores>>,
    pub(crate) mem: Option<UpTo<Bytes>>,
}

impl Limits {
    /// For the wire; none where nothing is limited apart.
    pub(crate) fn message(self) -> Option<v1::TaskLimits> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "at most 2^53, which a double holds exactly"
        )]
        let cpus = self.cpus.map(|limit| match limit {
            UpTo::At(cores) => cores.0 as f64 / 1000.0,
            UpTo::Infinite => f64::INFINITY,
        });
        #[expect(
            clippy::cast_precision_loss,
            reason = "at most 2^53, which a double holds exactly"
        )]
        let mem = self.mem.map(|limit| match limit {
            UpTo::At(bytes) => bytes.0 as f64,
            UpTo::Infinite => f64::INFINITY,
        });
        (self != Self::default()).then_some(v1::TaskLimits { cpus, mem })
    }
}

/// Where of the agents that fit a task goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Placement {
    /// Where it leaves most room for others.
    Pack,
    /// Where the fewest like it are.
    Spread,
}

/// The rules for the wire; none where there are none.
pub(crate) fn rules(
    conditions: &[Condition],
    max_per_agent: Option<u32>,
    placement: Option<Placement>,
) -> Option<v1::PlacementRules> {
    let constraints = all_of(conditions);
    let placement = match placement {
        None => v1::Placement::Unspecified,
        Some(Placement::Pack) => v1::Placement::Pack,
        Some(Placement::Spread) => v1::Placement::Spread,
    };
    let rules = v1::PlacementRules {
        constraints: (!constraints.is_empty()).then(|| constraints.into()),
        max_per_agent,
        placement: placement.into(),
    };
    (rules != v1::PlacementRules::default()).then_some(rules)
}

/// Limits and rules of a task, as a list or a status shows them.
#[derive(Debug, Default, Serialize)]
pub(crate) struct RulesView {
    limits: LimitsView,
    /// As one text; empty means any agent will do.
    constraints: String,
    max_per_agent: Option<u32>,
    /// `pack` or `spread`; absent means the framework's own choice.
    placement: Option<&'static str>,
}

#[derive(Debug, Default, Serialize)]
struct LimitsView {
    /// Cores, or `infinite`; absent means what is asked for.
    cpus: Option<serde_json::Value>,
    mem_bytes: Option<serde_json::Value>,
}

impl RulesView {
    pub(crate) fn of(limits: Option<&v1::TaskLimits>, rules: Option<&v1::PlacementRules>) -> Self {
        let limits = limits.copied().unwrap_or_default();
        let rules = rules.cloned().unwrap_or_default();
        let constraints = OfferConstraints::try_from(rules.constraints.clone().unwrap_or_default());
        Self {
            limits: LimitsView {
                cpus: limits.cpus.map(shown),
                mem_bytes: limits.mem.map(shown),
            },
            constraints: constraints.map_or_else(|error| error.to_string(), |text| text.to_string()),
            max_per_agent: rules.max_per_agent,
            placement: match rules.placement() {
                v1::Placement::Unspecified => None,
                v1::Placement::Pack => Some("pack"),
                v1::Placement::Spread => Some("spread"),
            },
        }
    }
}

fn shown(limit: f64) -> serde_json::Value {
    match serde_json::Number::from_f64(limit) {
        Some(limit) => limit.into(),
        None => "infinite".into(),
    }
}

//! Where a replica may start, given where others run.

use std::fmt;

use proffer_types::{AgentId, AgentInfo, Selector};

use super::{Mode, SpecError, is_name};

/// The most replica rules of a task: each is looked at for every offer.
pub const MAX_REPLICA_RULES: usize = 16;

/// One rule. It is looked at when a replica starts, and moves nothing that runs; of a replica and its successor only one counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaRule {
    pub key: PlaceKey,
    pub kind: RuleKind,
}

/// What makes two agents one place: the same value. Agents without it are none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlaceKey {
    /// Each agent is a place.
    Agent,
    Of(Selector),
}

/// What holds of places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleKind {
    /// None has more than so many replicas beyond the one with the fewest, of those where replicas could run; not 0.
    Spread { max_skew: u32 },
    /// None has more than one.
    Unique,
    /// One has all of them.
    Together,
    /// Only where that service runs.
    Near(String),
    /// Only where that service does not run, and the other way round.
    Apart(String),
}

impl ReplicaRule {
    pub(super) fn check(&self, service: &str, mode: Mode) -> Result<(), SpecError> {
        let refuse = |what: String| {
            let name = service.to_owned();
            Err(SpecError::Rule { name, what })
        };
        match &self.kind {
            RuleKind::Spread { .. } | RuleKind::Together if mode == Mode::Daemon => {
                refuse(format!("be {self}: it runs once on each agent"))
            }
            RuleKind::Spread { max_skew: 0 } => refuse(format!("be {self} with no difference at all")),
            RuleKind::Near(other) | RuleKind::Apart(other) if other == service => {
                refuse(format!("be {self}: that is itself"))
            }
            RuleKind::Near(other) | RuleKind::Apart(other) => match is_name(other) {
                Ok(()) => Ok(()),
                Err(why) => refuse(format!("be near or apart from another: {why}")),
            },
            RuleKind::Spread { .. } | RuleKind::Unique | RuleKind::Together => Ok(()),
        }
    }
}

impl PlaceKey {
    /// The place of an agent.
    pub(crate) fn place<'a>(&self, id: &'a AgentId, info: &'a AgentInfo) -> Option<&'a str> {
        match self {
            Self::Agent => Some(id.as_str()),
            Self::Of(selector) => selector.value(info),
        }
    }
}

impl fmt::Display for PlaceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent => f.write_str("agent"),
            Self::Of(selector) => selector.fmt(f),
        }
    }
}

impl fmt::Display for ReplicaRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.kind {
            RuleKind::Spread { max_skew } => write!(f, "spread by {key} (max_skew {max_skew})"),
            RuleKind::Unique => write!(f, "unique by {key}"),
            RuleKind::Together => write!(f, "together by {key}"),
            RuleKind::Near(other) => write!(f, "near `{other}` by {key}"),
            RuleKind::Apart(other) => write!(f, "apart from `{other}` by {key}"),
        }
    }
}

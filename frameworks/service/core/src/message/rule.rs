//! Replica rules as messages.

use proffer_types::Selector;
use proffer_wire::constraint::selector;
use proffer_wire::v1::replica_rule::{self as wire, Key, Rule};
use proffer_wire::{ConvertError, v1};

use crate::spec::{PlaceKey, ReplicaRule, RuleKind};

pub(super) fn read(message: v1::ReplicaRule) -> Result<ReplicaRule, ConvertError> {
    let rule = message
        .rule
        .ok_or_else(|| ConvertError::new("rule", "is missing"))?;
    Ok(ReplicaRule {
        key: match message.key {
            None => PlaceKey::Agent,
            Some(Key::Attribute(name)) => of(v1::constraint::Selector::Attribute(name))?,
            Some(Key::Field(field)) => of(v1::constraint::Selector::Field(field))?,
        },
        kind: match rule {
            Rule::Spread(wire::Spread { max_skew }) => RuleKind::Spread {
                max_skew: max_skew.unwrap_or(1),
            },
            Rule::Unique(wire::Unique {}) => RuleKind::Unique,
            Rule::Together(wire::Together {}) => RuleKind::Together,
            Rule::Near(other) => RuleKind::Near(other),
            Rule::Apart(other) => RuleKind::Apart(other),
        },
    })
}

fn of(message: v1::constraint::Selector) -> Result<PlaceKey, ConvertError> {
    selector(message).map(PlaceKey::Of)
}

pub(super) fn write(rule: &ReplicaRule) -> v1::ReplicaRule {
    v1::ReplicaRule {
        key: match &rule.key {
            PlaceKey::Agent => None,
            PlaceKey::Of(Selector::Attribute(name)) => Some(Key::Attribute(name.clone())),
            PlaceKey::Of(Selector::Hostname) => Some(Key::Field(v1::AgentField::Hostname.into())),
            PlaceKey::Of(Selector::Region) => Some(Key::Field(v1::AgentField::Region.into())),
            PlaceKey::Of(Selector::Zone) => Some(Key::Field(v1::AgentField::Zone.into())),
        },
        rule: Some(match &rule.kind {
            RuleKind::Spread { max_skew } => Rule::Spread(wire::Spread {
                max_skew: Some(*max_skew),
            }),
            RuleKind::Unique => Rule::Unique(wire::Unique {}),
            RuleKind::Together => Rule::Together(wire::Together {}),
            RuleKind::Near(other) => Rule::Near(other.clone()),
            RuleKind::Apart(other) => Rule::Apart(other.clone()),
        }),
    }
}

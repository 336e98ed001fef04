//! The words for agents, and for where tasks may run.

use std::fmt::Write as _;

use proffer_types::{
    AgentId, AgentInfo, Attribute, Constraint, KnownAgent, OfferConstraints, PlacementRules, Predicate,
    Selector, Shape,
};

use crate::{PlaceKey, ReplicaRule, RuleKind};

/// `rack=r1 max=2`: what holds for the tasks that are applied from now on.
pub(super) fn rules_of(words: &[&str]) -> PlacementRules {
    let mut rules = PlacementRules::default();
    for (name, value) in words.iter().filter_map(|word| word.split_once('=')) {
        if name == "max" {
            rules.max_per_agent = Some(value.parse().unwrap());
        } else {
            rules.constraints = OfferConstraints::all_of(vec![Constraint {
                selector: Selector::Attribute(name.to_owned()),
                predicate: Predicate::Equals(value.to_owned()),
            }]);
        }
    }
    rules
}

/// `spread:zone:2 unique:hostname together:zone near:db:zone apart:db`.
pub(in crate::tests) fn replica_rule_of(text: &str) -> Option<ReplicaRule> {
    let words: Vec<_> = text.split(':').collect();
    let key = |text: &str| match text {
        "hostname" => PlaceKey::Of(Selector::Hostname),
        text => PlaceKey::Of(Selector::Attribute(text.to_owned())),
    };
    let (key, kind) = match *words.as_slice() {
        ["spread", by] => (key(by), RuleKind::Spread { max_skew: 1 }),
        ["spread", by, skew] => (
            key(by),
            RuleKind::Spread {
                max_skew: skew.parse().unwrap(),
            },
        ),
        ["unique", by] => (key(by), RuleKind::Unique),
        ["together", by] => (key(by), RuleKind::Together),
        ["near", other] => (PlaceKey::Agent, RuleKind::Near(other.to_owned())),
        ["near", other, by] => (key(by), RuleKind::Near(other.to_owned())),
        ["apart", other] => (PlaceKey::Agent, RuleKind::Apart(other.to_owned())),
        ["apart", other, by] => (key(by), RuleKind::Apart(other.to_owned())),
        _ => return None,
    };
    Some(ReplicaRule { key, kind })
}

/// `A,zone=a,host=h1,off`: an agent, its attributes, its host, and whether it is out of use.
pub(in crate::tests) fn known_of(text: &str) -> KnownAgent {
    let mut words = text.split(',');
    let id = words.next().unwrap();
    let mut known = KnownAgent {
        id: AgentId::new(id).unwrap(),
        info: AgentInfo {
            hostname: id.to_owned(),
            address: String::new(),
            resources: "cpus:8;mem:8GiB".parse().unwrap(),
            attributes: Vec::new(),
            version: String::new(),
            cgroups: String::new(),
            domain: None,
            can_suspend: false,
        },
        is_offered: true,
    };
    for word in words {
        match word.split_once('=') {
            Some(("host", host)) => host.clone_into(&mut known.info.hostname),
            Some((name, value)) => known.info.attributes.push(Attribute {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            None => known.is_offered = word != "off",
        }
    }
    known
}

pub(super) fn shape_text(shape: &Shape) -> String {
    let mut text = format!("{}*{}", shape.id.0 & 0xffff, shape.count);
    if let Some(agent) = &shape.agent {
        write!(text, " on {agent}").unwrap();
    }
    if let Some(max) = shape.max_per_agent {
        write!(text, " {max} an agent").unwrap();
    }
    if !shape.constraints.is_empty() {
        write!(text, " where {}", shape.constraints).unwrap();
    }
    text
}

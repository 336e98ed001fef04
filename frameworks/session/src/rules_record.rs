//! The record of what a task may use and where it may run, for schedulers that keep it.

use proffer_types::{
    Constraint, Limit, Limits, OfferConstraints, Pattern, Placement, PlacementRules, Predicate, Selector,
};

/// Limits and placement rules as a prost message, to be put in a scheduler's own records.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RulesRecord {
    /// In the unit of the name; the greatest number means infinite.
    #[prost(uint64, optional, tag = "1")]
    cpus_limit: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    mem_limit: Option<u64>,
    #[prost(message, repeated, tag = "3")]
    groups: Vec<GroupRecord>,
    #[prost(uint32, optional, tag = "4")]
    max_per_agent: Option<u32>,
    #[prost(enumeration = "PlacementRecord", tag = "5")]
    placement: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GroupRecord {
    #[prost(message, repeated, tag = "1")]
    constraints: Vec<ConstraintRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ConstraintRecord {
    #[prost(enumeration = "SelectorRecord", tag = "1")]
    selector: i32,
    /// The name of an attribute.
    #[prost(string, tag = "2")]
    attribute: String,
    #[prost(enumeration = "PredicateRecord", tag = "3")]
    predicate: i32,
    /// What the predicate compares with.
    #[prost(string, tag = "4")]
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum PlacementRecord {
    Unspecified = 0,
    Pack = 1,
    Spread = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum SelectorRecord {
    Attribute = 0,
    Hostname = 1,
    Region = 2,
    Zone = 3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum PredicateRecord {
    Exists = 0,
    NotExists = 1,
    Equals = 2,
    NotEquals = 3,
    Matches = 4,
    NotMatches = 5,
}

impl RulesRecord {
    /// The record; none where nothing is out of the ordinary.
    #[must_use]
    pub fn of(limits: Limits, rules: &PlacementRules) -> Option<Self> {
        let units = |limit| match limit {
            Limit::At(units) => units,
            Limit::Infinite => u64::MAX,
        };
        let placement = match rules.placement {
            None => PlacementRecord::Unspecified,
            Some(Placement::Pack) => PlacementRecord::Pack,
            Some(Placement::Spread) => PlacementRecord::Spread,
        };
        let group = |group: &Vec<Constraint>| GroupRecord {
            constraints: group.iter().map(write).collect(),
        };
        let record = Self {
            cpus_limit: limits.cpus.map(units),
            mem_limit: limits.mem.map(units),
            groups: rules.constraints.groups.iter().map(group).collect(),
            max_per_agent: rules.max_per_agent,
            placement: placement.into(),
        };
        (record != Self::default()).then_some(record)
    }

    /// What a record says, or that there is none. Fails with what is wrong with it.
    pub fn read(record: Option<&Self>) -> Result<(Limits, PlacementRules), String> {
        let Some(record) = record else {
            return Ok(Default::default());
        };
        let limit = |units| match units {
            u64::MAX => Limit::Infinite,
            units => Limit::At(units),
        };
        let group = |group: &GroupRecord| group.constraints.iter().map(read).collect::<Result<Vec<_>, _>>();
        let placement = PlacementRecord::try_from(record.placement).map_err(|error| error.to_string())?;
        let limits = Limits {
            cpus: record.cpus_limit.map(limit),
            mem: record.mem_limit.map(limit),
        };
        let rules = PlacementRules {
            constraints: OfferConstraints {
                groups: record.groups.iter().map(group).collect::<Result<_, _>>()?,
            },
            max_per_agent: record.max_per_agent,
            placement: match placement {
                PlacementRecord::Unspecified => None,
                PlacementRecord::Pack => Some(Placement::Pack),
                PlacementRecord::Spread => Some(Placement::Spread),
            },
        };
        Ok((limits, rules))
    }
}

fn write(constraint: &Constraint) -> ConstraintRecord {
    let (selector, attribute) = match &constraint.selector {
        Selector::Attribute(name) => (SelectorRecord::Attribute, name.clone()),
        Selector::Hostname => (SelectorRecord::Hostname, String::new()),
        Selector::Region => (SelectorRecord::Region, String::new()),
        Selector::Zone => (SelectorRecord::Zone, String::new()),
    };
    let (predicate, text) = match &constraint.predicate {
        Predicate::Exists => (PredicateRecord::Exists, String::new()),
        Predicate::NotExists => (PredicateRecord::NotExists, String::new()),
        Predicate::Equals(text) => (PredicateRecord::Equals, text.clone()),
        Predicate::NotEquals(text) => (PredicateRecord::NotEquals, text.clone()),
        Predicate::Matches(pattern) => (PredicateRecord::Matches, pattern.as_str().to_owned()),
        Predicate::NotMatches(pattern) => (PredicateRecord::NotMatches, pattern.as_str().to_owned()),
    };
    ConstraintRecord {
        selector: selector.into(),
        attribute,
        predicate: predicate.into(),
        text,
    }
}

fn read(record: &ConstraintRecord) -> Result<Constraint, String> {
    let selector = SelectorRecord::try_from(record.selector).map_err(|error| error.to_string())?;
    let predicate = PredicateRecord::try_from(record.predicate).map_err(|error| error.to_string())?;
    let text = || record.text.clone();
    let pattern = || Pattern::new(&record.text).map_err(|error| error.to_string());
    Ok(Constraint {
        selector: match selector {
            SelectorRecord::Attribute => Selector::Attribute(record.attribute.clone()),
            SelectorRecord::Hostname => Selector::Hostname,
            SelectorRecord::Region => Selector::Region,
            SelectorRecord::Zone => Selector::Zone,
        },
        predicate: match predicate {
            PredicateRecord::Exists => Predicate::Exists,
            PredicateRecord::NotExists => Predicate::NotExists,
            PredicateRecord::Equals => Predicate::Equals(text()),
            PredicateRecord::NotEquals => Predicate::NotEquals(text()),
            PredicateRecord::Matches => Predicate::Matches(pattern()?),
            PredicateRecord::NotMatches => Predicate::NotMatches(pattern()?),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written_and_nothing_is_written_of_nothing() {
        let constraint = |selector, predicate| Constraint { selector, predicate };
        let pattern = || Pattern::new("r.*").unwrap();
        let rules = PlacementRules {
            constraints: OfferConstraints {
                groups: vec![
                    vec![
                        constraint(Selector::Attribute("rack".to_owned()), Predicate::Exists),
                        constraint(Selector::Hostname, Predicate::NotMatches(pattern())),
                        constraint(Selector::Region, Predicate::Equals("eu".to_owned())),
                    ],
                    vec![
                        constraint(Selector::Zone, Predicate::NotEquals("eu-1".to_owned())),
                        constraint(Selector::Attribute("os".to_owned()), Predicate::NotExists),
                        constraint(Selector::Hostname, Predicate::Matches(pattern())),
                    ],
                ],
            },
            max_per_agent: Some(2),
            placement: Some(Placement::Spread),
        };
        let limits = Limits {
            cpus: Some(Limit::Infinite),
            mem: Some(Limit::At(1 << 30)),
        };
        let record = RulesRecord::of(limits, &rules);
        assert_eq!(RulesRecord::read(record.as_ref()), Ok((limits, rules)));
        let nothing = RulesRecord::of(Limits::default(), &PlacementRules::default());
        assert_eq!(nothing, None);
        assert_eq!(RulesRecord::read(None), Ok(Default::default()));
    }
}

//! Offer constraints. What a peer can make the receiver hold and compile is bounded over a whole message,
//! not only per constraint.

use std::collections::BTreeMap;

use proffer_types::constraint::MAX_CONSTRAINTS;
use proffer_types::demand::{MAX_CONSTRAINTS_PER_ROLE, MAX_PATTERNS_PER_ROLE};
use proffer_types::{Constraint, OfferConstraints, Pattern, Predicate, Selector};

use crate::error::{At as _, ConvertError};
use crate::text::{at_most, name};
use crate::v1;
use crate::v1::constraint::{Predicate as WirePredicate, Selector as WireSelector};

/// The most constraints over all groups of one message: of one role's demand, or of all of a framework's
/// preferences. Each is looked at for every agent.
pub const MAX_CONSTRAINTS_IN_ALL: usize = MAX_CONSTRAINTS_PER_ROLE;
/// The most different patterns of one message. Each may take 64 KiB and some milliseconds to compile.
pub const MAX_PATTERNS: usize = MAX_PATTERNS_PER_ROLE;

/// What the constraints of one message have used up of its limits. Equal patterns are compiled once.
#[derive(Debug, Default)]
pub struct Budget {
    n_constraints: usize,
    patterns: BTreeMap<String, Pattern>,
}

impl Budget {
    /// Converts constraints that may be left out, which means any agent will do.
    pub(crate) fn constraints(
        &mut self,
        message: Option<v1::OfferConstraints>,
    ) -> Result<OfferConstraints, ConvertError> {
        let groups = message.unwrap_or_default().groups;
        at_most("groups", groups.len(), MAX_CONSTRAINTS, "groups")?;
        let groups = groups.into_iter().enumerate();
        let groups = groups.map(|(index, group)| self.group(group).at_item("groups", index));
        Ok(OfferConstraints {
            groups: groups.collect::<Result<_, _>>()?,
        })
    }

    fn group(&mut self, message: v1::offer_constraints::Group) -> Result<Vec<Constraint>, ConvertError> {
        let constraints = message.constraints;
        if constraints.is_empty() {
            return Err(ConvertError::new("constraints", "is empty"));
        }
        at_most("constraints", constraints.len(), MAX_CONSTRAINTS, "constraints")?;
        self.n_constraints += constraints.len();
        at_most(
            "constraints",
            self.n_constraints,
            MAX_CONSTRAINTS_IN_ALL,
            "constraints in all",
        )?;
        let item = |(index, one)| self.constraint(one).at_item("constraints", index);
        constraints.into_iter().enumerate().map(item).collect()
    }

    fn constraint(&mut self, message: v1::Constraint) -> Result<Constraint, ConvertError> {
        let selector = message
            .selector
            .ok_or_else(|| ConvertError::missing("selector"))?;
        let predicate = message
            .predicate
            .ok_or_else(|| ConvertError::missing("predicate"))?;
        Ok(Constraint {
            selector: self::selector(selector)?,
            predicate: match predicate {
                WirePredicate::Exists(true) => Predicate::Exists,
                WirePredicate::Exists(false) => Predicate::NotExists,
                WirePredicate::Equals(text) => Predicate::Equals(name("equals", text)?),
                WirePredicate::NotEquals(text) => Predicate::NotEquals(name("not_equals", text)?),
                WirePredicate::Matches(text) => Predicate::Matches(self.pattern("matches", text)?),
                WirePredicate::NotMatches(text) => Predicate::NotMatches(self.pattern("not_matches", text)?),
            },
        })
    }

    fn pattern(&mut self, field: &str, text: String) -> Result<Pattern, ConvertError> {
        if let Some(pattern) = self.patterns.get(&text) {
            return Ok(pattern.clone());
        }
        at_most(field, self.patterns.len() + 1, MAX_PATTERNS, "different patterns")?;
        let pattern = Pattern::new(&text).map_err(|error| ConvertError::new(field, error))?;
        self.patterns.insert(text, pattern.clone());
        Ok(pattern)
    }
}

/// Converts what of an agent is looked at.
pub fn selector(message: WireSelector) -> Result<Selector, ConvertError> {
    match message {
        WireSelector::Attribute(attribute) if attribute.is_empty() => {
            Err(ConvertError::new("attribute", "is empty"))
        }
        WireSelector::Attribute(attribute) => Ok(Selector::Attribute(name("attribute", attribute)?)),
        WireSelector::Field(number) => match v1::AgentField::try_from(number) {
            Ok(v1::AgentField::Hostname) => Ok(Selector::Hostname),
            Ok(v1::AgentField::Region) => Ok(Selector::Region),
            Ok(v1::AgentField::Zone) => Ok(Selector::Zone),
            Ok(v1::AgentField::Unspecified) | Err(_) => Err(ConvertError::unknown_number("field", number)),
        },
    }
}

impl TryFrom<v1::OfferConstraints> for OfferConstraints {
    type Error = ConvertError;

    fn try_from(message: v1::OfferConstraints) -> Result<Self, ConvertError> {
        Budget::default().constraints(Some(message))
    }
}

impl From<&OfferConstraints> for v1::OfferConstraints {
    fn from(constraints: &OfferConstraints) -> Self {
        let group = |group: &Vec<Constraint>| v1::offer_constraints::Group {
            constraints: group.iter().map(Into::into).collect(),
        };
        Self {
            groups: constraints.groups.iter().map(group).collect(),
        }
    }
}

impl From<&Constraint> for v1::Constraint {
    fn from(constraint: &Constraint) -> Self {
        let selector = match &constraint.selector {
            Selector::Hostname => WireSelector::Field(v1::AgentField::Hostname.into()),
            Selector::Region => WireSelector::Field(v1::AgentField::Region.into()),
            Selector::Zone => WireSelector::Field(v1::AgentField::Zone.into()),
            Selector::Attribute(name) => WireSelector::Attribute(name.clone()),
        };
        let predicate = match &constraint.predicate {
            Predicate::Exists => WirePredicate::Exists(true),
            Predicate::NotExists => WirePredicate::Exists(false),
            Predicate::Equals(text) => WirePredicate::Equals(text.clone()),
            Predicate::NotEquals(text) => WirePredicate::NotEquals(text.clone()),
            Predicate::Matches(pattern) => WirePredicate::Matches(pattern.as_str().to_owned()),
            Predicate::NotMatches(pattern) => WirePredicate::NotMatches(pattern.as_str().to_owned()),
        };
        Self {
            selector: Some(selector),
            predicate: Some(predicate),
        }
    }
}

crate::from_owned!(OfferConstraints => v1::OfferConstraints);

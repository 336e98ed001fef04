//! Offer constraints: which agents a framework wants offers of, by attribute, host name or fault domain.
//!
//! Those of Mesos: groups of constraints, of which one must hold whole. An absent attribute satisfies the
//! negative predicates and no positive one. Of several attributes of one name the first counts.

use std::fmt;

use thiserror::Error;

use crate::AgentInfo;

/// The most groups of one role or shape, and the most constraints of a group.
pub const MAX_CONSTRAINTS: usize = 64;
/// The longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// The most memory a compiled pattern may take, in bytes: bounds what a scheduler can make the master hold.
const MAX_COMPILED_BYTES: usize = 64 << 10;

/// What of an agent a constraint looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    Hostname,
    Region,
    Zone,
    Attribute(String),
}

impl Selector {
    /// What an agent has there. Of several attributes of one name the first counts.
    #[must_use]
    pub fn value<'a>(&self, agent: &'a AgentInfo) -> Option<&'a str> {
        match self {
            Self::Hostname => Some(agent.hostname.as_str()),
            Self::Region => agent.domain.as_ref().map(|domain| domain.region.as_str()),
            Self::Zone => agent.domain.as_ref().map(|domain| domain.zone.as_str()),
            Self::Attribute(name) => agent
                .attributes
                .iter()
                .find(|attribute| attribute.name == *name)
                .map(|attribute| attribute.value.as_str()),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hostname => "hostname",
            Self::Region => "region",
            Self::Zone => "zone",
            Self::Attribute(name) => name,
        })
    }
}

/// A regular expression that must match a whole text. Matching takes time linear in the text.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    compiled: regex::Regex,
}

/// A text that is no usable pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("pattern `{pattern}` {why}")]
pub struct ParsePatternError {
    pattern: String,
    why: String,
}

impl Pattern {
    /// Compiles a pattern. Fails when it is no regular expression, or larger than the limits of this module.
    pub fn new(pattern: &str) -> Result<Self, ParsePatternError> {
        let refuse = |why: String| ParsePatternError {
            pattern: pattern
                .chars()
                .take(80)
                .collect::<String>()
                .escape_debug()
                .to_string(),
            why,
        };
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(refuse(format!("is longer than {MAX_PATTERN_BYTES} bytes")));
        }
        let compile = |pattern: &str| {
            let mut builder = regex::RegexBuilder::new(pattern);
            builder
                .size_limit(MAX_COMPILED_BYTES)
                .dfa_size_limit(MAX_COMPILED_BYTES);
            builder.build().map_err(|error| {
                refuse(if let regex::Error::CompiledTooBig(limit) = error {
                    format!("takes more than {limit} bytes compiled")
                } else {
                    "is no regular expression".to_owned()
                })
            })
        };
        // On its own first, so that it cannot close the group it is put in.
        compile(pattern)?;
        let compiled = compile(&format!("^(?:{pattern})$"))?;
        Ok(Self {
            text: pattern.to_owned(),
            compiled,
        })
    }

    /// A pattern for each of some texts, and nothing else; none where it would be larger than the limits of this module.
    #[must_use]
    pub fn any_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let texts: Vec<_> = texts.into_iter().map(regex::escape).collect();
        Self::new(&texts.join("|")).ok()
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn matches(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

/// What must be true of the selected text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Predicate {
    Exists,
    NotExists,
    Equals(String),
    NotEquals(String),
    Matches(Pattern),
    NotMatches(Pattern),
}

/// One condition on an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constraint {
    pub selector: Selector,
    pub predicate: Predicate,
}

impl Constraint {
    /// Whether an agent satisfies the condition.
    #[must_use]
    pub fn holds(&self, agent: &AgentInfo) -> bool {
        let text = self.selector.value(agent);
        match &self.predicate {
            Predicate::Exists => text.is_some(),
            Predicate::NotExists => text.is_none(),
            Predicate::Equals(wanted) => text == Some(wanted),
            Predicate::NotEquals(unwanted) => text != Some(unwanted),
            Predicate::Matches(pattern) => text.is_some_and(|text| pattern.matches(text)),
            Predicate::NotMatches(pattern) => text.is_none_or(|text| !pattern.matches(text)),
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let selector = &self.selector;
        match &self.predicate {
            Predicate::Exists => write!(f, "{selector} exists"),
            Predicate::NotExists => write!(f, "{selector} does not exist"),
            Predicate::Equals(text) => write!(f, "{selector} = {text}"),
            Predicate::NotEquals(text) => write!(f, "{selector} != {text}"),
            Predicate::Matches(pattern) => write!(f, "{selector} matches {}", pattern.as_str()),
            Predicate::NotMatches(pattern) => write!(f, "{selector} does not match {}", pattern.as_str()),
        }
    }
}

/// Groups of constraints: one group must hold whole. No group means any agent will do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct OfferConstraints {
    /// None of them empty.
    pub groups: Vec<Vec<Constraint>>,
}

impl OfferConstraints {
    /// One group: all of these must hold.
    #[must_use]
    pub fn all_of(constraints: Vec<Constraint>) -> Self {
        let groups = if constraints.is_empty() {
            Vec::new()
        } else {
            vec![constraints]
        };
        Self { groups }
    }

    /// Whether any agent will do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether an agent satisfies one of the groups, or there is none.
    #[must_use]
    pub fn hold(&self, agent: &AgentInfo) -> bool {
        self.groups.is_empty()
            || self
                .groups
                .iter()
                .any(|group| group.iter().all(|constraint| constraint.holds(agent)))
    }

    /// The first constraint an agent fails in every group's stead: of the first group.
    #[must_use]
    pub fn first_failing(&self, agent: &AgentInfo) -> Option<&Constraint> {
        if self.hold(agent) {
            return None;
        }
        self.groups
            .first()?
            .iter()
            .find(|constraint| !constraint.holds(agent))
    }
}

impl fmt::Display for OfferConstraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, group) in self.groups.iter().enumerate() {
            let or = if index > 0 { " or " } else { "" };
            let all: Vec<_> = group.iter().map(ToString::to_string).collect();
            write!(f, "{or}{}", all.join(" and "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::FaultDomain;
    use crate::{Attribute, Resources};

    fn agent() -> AgentInfo {
        let attribute = |name: &str, value: &str| Attribute {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        AgentInfo {
            hostname: "node-7".to_owned(),
            address: String::new(),
            resources: Resources::new(),
            attributes: vec![attribute("rack", "r1"), attribute("rack", "r2")],
            version: String::new(),
            cgroups: String::new(),
            domain: Some(FaultDomain {
                region: "eu".to_owned(),
                zone: "eu-1".to_owned(),
            }),
            can_suspend: false,
        }
    }

    fn holds(selector: Selector, predicate: Predicate) -> bool {
        Constraint { selector, predicate }.holds(&agent())
    }

    fn attribute(name: &str) -> Selector {
        Selector::Attribute(name.to_owned())
    }

    #[test]
    fn an_absent_attribute_satisfies_the_negative_predicates_only() {
        let pattern = Pattern::new("r.").unwrap();
        assert!(holds(attribute("os"), Predicate::NotExists));
        assert!(holds(attribute("os"), Predicate::NotEquals("linux".to_owned())));
        assert!(holds(attribute("os"), Predicate::NotMatches(pattern.clone())));
        assert!(!holds(attribute("os"), Predicate::Exists));
        assert!(!holds(attribute("os"), Predicate::Equals("linux".to_owned())));
        assert!(!holds(attribute("os"), Predicate::Matches(pattern)));
    }

    #[test]
    fn the_first_attribute_of_a_name_counts_and_a_pattern_matches_all_of_it() {
        assert!(holds(attribute("rack"), Predicate::Equals("r1".to_owned())));
        assert!(!holds(attribute("rack"), Predicate::Equals("r2".to_owned())));
        assert!(!holds(
            Selector::Hostname,
            Predicate::Matches(Pattern::new("node").unwrap())
        ));
        assert!(holds(
            Selector::Hostname,
            Predicate::Matches(Pattern::new("node-\\d|x").unwrap())
        ));
        assert!(holds(Selector::Zone, Predicate::Equals("eu-1".to_owned())));
    }

    #[test]
    fn a_pattern_that_would_take_much_memory_is_refused() {
        assert!(Pattern::new("(a{1000}){1000}").is_err());
        assert!(Pattern::new("(").is_err());
        assert!(Pattern::new(&"x".repeat(MAX_PATTERN_BYTES + 1)).is_err());
        // Closing the group that wraps it must not get out of the anchors.
        assert!(Pattern::new("a)|(b").is_err());
    }

    #[test]
    fn a_pattern_of_texts_matches_these_and_nothing_else() {
        let pattern = Pattern::any_of(["r.1", "a|b"]).unwrap();
        let matching = ["r.1", "a|b", "rx1", "a", "b", ""].map(|text| pattern.matches(text));
        assert_eq!(matching, [true, true, false, false, false, false]);
        assert!(Pattern::any_of(["x"; MAX_PATTERN_BYTES]).is_none());
    }

    #[test]
    fn one_group_that_holds_whole_is_enough() {
        let constraint = |selector, predicate| Constraint { selector, predicate };
        let no = constraint(Selector::Region, Predicate::Equals("us".to_owned()));
        let yes = constraint(Selector::Region, Predicate::Equals("eu".to_owned()));
        let groups = |groups: Vec<Vec<Constraint>>| OfferConstraints { groups };
        assert!(groups(vec![vec![no.clone(), yes.clone()], vec![yes.clone()]]).hold(&agent()));
        let failing = groups(vec![vec![yes, no.clone()]]);
        assert_eq!(failing.first_failing(&agent()), Some(&no));
    }
}

//! Whether an agent may start with other facts than it had.
//!
//! What it said of itself, frameworks placed tasks by; without tasks anything goes. Compared is what the operator said, and of resources that were
//! left to be detected nothing: free disk and memory differ from start to start, and a crash must not keep an agent away.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use proffer_types::{Attribute, FaultDomain, Kind, ResourceName, Resources};

/// How much may differ between two starts of an agent that has tasks; the policies of Mesos.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReconfigurationPolicy {
    /// Nothing.
    Equal,
    /// More resources, more attributes, a domain where there was none, another address: what breaks no promise made to anybody. Mesos
    /// has `equal` as its default, for want of the distinction between what is said and what is detected.
    #[default]
    Additive,
}

impl FromStr for ReconfigurationPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "equal" => Ok(Self::Equal),
            "additive" => Ok(Self::Additive),
            _ => Err("it is neither equal nor additive".to_owned()),
        }
    }
}

impl fmt::Display for ReconfigurationPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "equal",
            Self::Additive => "additive",
        })
    }
}

/// What an agent is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) hostname: String,
    /// As the operator said it: a port of 0 is another one at each start.
    pub(crate) address: String,
    pub(crate) domain: Option<FaultDomain>,
    /// Those of the operator.
    pub(crate) attributes: Vec<Attribute>,
    /// Resources the operator named, devices among them; revocable ones are in the total.
    pub(crate) stated: Resources,
    /// All resources before any operation, the detected ones too.
    pub(crate) total: Resources,
}

impl ReconfigurationPolicy {
    /// What differs and must not, for people.
    pub(crate) fn differences(self, old: &Facts, new: &Facts) -> Vec<String> {
        let mut differences = Vec::new();
        let mut differs = |what: &str, old: String, new: String| {
            differences.push(format!("{what}: {old} before, {new} now"));
        };
        if old.hostname != new.hostname {
            differs(
                "the host name",
                format!("`{}`", old.hostname),
                format!("`{}`", new.hostname),
            );
        }
        // Where it is reached is told anew at each registration, and nobody's task depends on it.
        if old.address != new.address && self == Self::Equal {
            differs(
                "the address",
                format!("`{}`", old.address),
                format!("`{}`", new.address),
            );
        }
        let is_new = self == Self::Additive && old.domain.is_none();
        if old.domain != new.domain && !is_new {
            differs("the domain", domain(&old.domain), domain(&new.domain));
        }
        let sorted = |facts: &Facts| facts.attributes.iter().cloned().collect::<BTreeSet<_>>();
        let (old_attributes, new_attributes) = (sorted(old), sorted(new));
        let may_differ = self == Self::Additive && new_attributes.is_superset(&old_attributes);
        if old_attributes != new_attributes && !may_differ {
            differs(
                "the attributes",
                attributes(&old_attributes),
                attributes(&new_attributes),
            );
        }
        for name in &names(&old.stated)
            .union(&names(&new.stated))
            .cloned()
            .collect::<BTreeSet<_>>()
        {
            let of = |facts: &Facts| named(&facts.total.without_revocable(), name);
            let (old, new) = (of(old), of(new));
            let may_differ = self == Self::Additive && new.contains(&old);
            if old != new && !may_differ {
                differs(&format!("`{name}`"), format!("`{old}`"), format!("`{new}`"));
            }
        }
        // They are never detected.
        let revocable = |facts: &Facts| facts.total.of_kind(&Kind::revocable());
        let (old, new) = (revocable(old), revocable(new));
        let may_differ = self == Self::Additive && new.contains(&old);
        if old != new && !may_differ {
            differs("revocable resources", format!("`{old}`"), format!("`{new}`"));
        }
        differences
    }
}

fn domain(domain: &Option<FaultDomain>) -> String {
    match domain {
        Some(domain) => format!("`{}/{}`", domain.region, domain.zone),
        None => "none".to_owned(),
    }
}

fn attributes(attributes: &BTreeSet<Attribute>) -> String {
    let texts = attributes
        .iter()
        .map(|attribute| format!("{}:{}", attribute.name, attribute.value));
    format!("`{}`", texts.collect::<Vec<_>>().join(";"))
}

fn names(resources: &Resources) -> BTreeSet<ResourceName> {
    let mut names = BTreeSet::new();
    let kinds = resources.kinds().map(|(_, bundle)| bundle);
    for bundle in kinds.chain([&resources.plain()]) {
        names.extend(bundle.scalars().map(|(name, _)| name.clone()));
        names.extend(bundle.all_ranges().map(|(name, _)| name.clone()));
        names.extend(bundle.all_sets().map(|(name, _)| name.clone()));
    }
    names
}

/// All there is of one name, each reservation for itself.
fn named(resources: &Resources, name: &ResourceName) -> Resources {
    let of = |bundle: &Resources| {
        let mut one = Resources::new().with(name.clone(), bundle.scalar(name));
        if let Some(ranges) = bundle.ranges(name) {
            one = one.with_ranges(name.clone(), ranges.clone());
        }
        if let Some(set) = bundle.set(name) {
            one = one.with_set(name.clone(), set.clone());
        }
        one
    };
    let mut all = of(&resources.plain());
    for (kind, bundle) in resources.kinds() {
        // It was of this kind before, so it can be.
        if let Ok(one) = Resources::new().with_kind(kind.clone(), of(bundle)) {
            all.add(&one);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use ReconfigurationPolicy::{Additive, Equal};

    /// What is stated, then what is detected beside it.
    fn facts(stated: &str, detected: &str) -> Facts {
        let stated: Resources = stated.parse().unwrap();
        Facts {
            hostname: "h1".to_owned(),
            address: "10.0.0.1:5051".to_owned(),
            domain: None,
            attributes: Vec::new(),
            total: stated.plus(&detected.parse().unwrap()),
            stated,
        }
    }

    fn rack(value: &str) -> Attribute {
        Attribute {
            name: "rack".to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn what_is_detected_may_come_and_go_under_either_policy() {
        let old = facts("cpus:4", "mem:8GiB;disk:100GiB");
        let new = facts("cpus:4", "mem:7GiB;disk:3GiB");
        assert_eq!(Equal.differences(&old, &new), [""; 0]);
        assert_eq!(Additive.differences(&old, &new), [""; 0]);
    }

    #[test]
    fn revocable_resources_are_compared_for_themselves() {
        let old = facts("", "cpus:8;cpus{rev}:2");
        assert_eq!(
            Additive.differences(&old, &facts("", "cpus:4;cpus{rev}:3")),
            [""; 0]
        );
        assert_eq!(
            Additive.differences(&old, &facts("", "cpus:8")),
            ["revocable resources: `cpus:2` before, `nothing` now"]
        );
    }

    #[test]
    fn more_of_what_is_stated_is_additive_and_less_is_not() {
        let (small, large) = (facts("cpus:4", ""), facts("cpus:6;mem(prod):1GiB", ""));
        let equal = [
            "`cpus`: `cpus:4` before, `cpus:6` now",
            "`mem`: `nothing` before, `mem(prod):1GiB` now",
        ];
        assert_eq!(Equal.differences(&small, &large), equal);
        assert_eq!(Additive.differences(&small, &large), [""; 0]);
        let less = [
            "`cpus`: `cpus:6` before, `cpus:4` now",
            "`mem`: `mem(prod):1GiB` before, `nothing` now",
        ];
        assert_eq!(Additive.differences(&large, &small), less);
    }

    #[test]
    fn another_role_for_the_same_amount_is_a_difference() {
        let (old, new) = (facts("cpus(a):4", ""), facts("cpus(b):4", ""));
        assert_eq!(
            Additive.differences(&old, &new),
            ["`cpus`: `cpus(a):4` before, `cpus(b):4` now"]
        );
    }

    #[test]
    fn stating_less_than_was_detected_is_a_difference() {
        let (old, new) = (facts("", "cpus:8"), facts("cpus:4", ""));
        assert_eq!(
            Additive.differences(&old, &new),
            ["`cpus`: `cpus:8` before, `cpus:4` now"]
        );
        assert_eq!(Additive.differences(&new, &old), [""; 0]);
    }

    #[test]
    fn a_host_keeps_its_name_and_what_constraints_ask_for() {
        let old = Facts {
            attributes: vec![rack("r1")],
            ..facts("", "")
        };
        let moved = Facts {
            hostname: "h2".to_owned(),
            address: "10.0.0.2:5051".to_owned(),
            attributes: vec![rack("r2")],
            ..facts("", "")
        };
        let all = [
            "the host name: `h1` before, `h2` now",
            "the attributes: `rack:r1` before, `rack:r2` now",
        ];
        assert_eq!(Additive.differences(&old, &moved), all);
        let address = "the address: `10.0.0.1:5051` before, `10.0.0.2:5051` now";
        assert_eq!(Equal.differences(&old, &moved)[1], address);
        let placed = Facts {
            attributes: vec![rack("r1"), rack("r9")],
            domain: Some(FaultDomain {
                region: "eu".to_owned(),
                zone: "eu-1".to_owned(),
            }),
            ..facts("", "")
        };
        assert_eq!(Additive.differences(&old, &placed), [""; 0]);
        assert_eq!(Equal.differences(&old, &placed).len(), 2);
        assert_eq!(Additive.differences(&placed, &old).len(), 2);
    }
}

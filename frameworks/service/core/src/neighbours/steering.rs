//! What the master is asked for so that it offers places where the rules let a replica start.
//!
//! As near as constraints of a fair size say it. What is offered beyond is refused, see `offers`.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::{Constraint, KnownAgent, Pattern, Predicate, Selector};

use crate::services::Cluster;
use crate::spec::{PlaceKey, RuleKind};

use super::{Neighbours, Ruled};

/// So many places are named one by one; more in a pattern.
const NAMED: usize = 16;

/// What is asked for beside the task's own rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Steering {
    pub(crate) constraints: Vec<Constraint>,
    /// How many may start before the rules say something else.
    pub(crate) most: u32,
    pub(crate) one_per_agent: bool,
}

/// The places a rule leaves to a slot.
struct Bounds<'a> {
    /// Only these; absent means all but `deny`.
    allow: Option<BTreeSet<&'a str>>,
    deny: BTreeSet<&'a str>,
    most: u32,
}

impl Neighbours {
    /// For a slot, or for any that has no task.
    pub(crate) fn steering(&self, slot: Option<u32>, cluster: &Cluster) -> Steering {
        let mut steering = Steering {
            constraints: Vec::new(),
            most: u32::MAX,
            one_per_agent: false,
        };
        for ruled in &self.ruled {
            let bounds = ruled.bounds(slot);
            steering.most = steering.most.min(bounds.most);
            steering.one_per_agent |= ruled.rule.kind == RuleKind::Unique && slot.is_none();
            match &ruled.rule.key {
                PlaceKey::Of(selector) => {
                    let mut constraints = bounds.constraints(selector);
                    let must_be = !matches!(ruled.rule.kind, RuleKind::Apart(_));
                    if must_be && bounds.allow.is_none() {
                        constraints.push(Constraint {
                            selector: selector.clone(),
                            predicate: Predicate::Exists,
                        });
                    }
                    steering.constraints.append(&mut constraints);
                }
                PlaceKey::Agent => {
                    let hosts = bounds.by_host(cluster);
                    steering
                        .constraints
                        .extend(hosts.constraints(&Selector::Hostname));
                }
            }
        }
        steering
    }
}

impl Ruled {
    fn bounds(&self, slot: Option<u32>) -> Bounds<'_> {
        let all = u32::MAX;
        let open = || self.open.iter().map(String::as_str);
        let taken = || self.slots.0.keys().map(String::as_str);
        let admits = |place: &&str| self.admits(Some(place), slot);
        let refused = || open().chain(taken()).filter(|place| !admits(place)).collect();
        let others = || self.others.iter().map(String::as_str).collect();
        let (allow, deny, most) = match &self.rule.kind {
            RuleKind::Spread { max_skew } => {
                let most = self.least(slot).saturating_add(*max_skew);
                let room = open().map(|place| most.saturating_sub(self.slots.n(place, slot)));
                let room = room.fold(0, u32::saturating_add);
                (None, refused(), if self.open.is_empty() { all } else { room })
            }
            RuleKind::Unique => {
                let room = u32::try_from(open().filter(admits).count()).unwrap_or(all);
                (None, refused(), if self.open.is_empty() { all } else { room })
            }
            RuleKind::Together => {
                let home = self.home(slot).map(|home| BTreeSet::from([home]));
                (home, BTreeSet::new(), all)
            }
            RuleKind::Near(_) => {
                let most = if self.others.is_empty() { 0 } else { all };
                (Some(others()), BTreeSet::new(), most)
            }
            RuleKind::Apart(_) => (None, others(), all),
        };
        Bounds { allow, deny, most }
    }
}

impl<'a> Bounds<'a> {
    /// Agents as their hosts, as that is what there are constraints for: with several agents to a host it says less.
    fn by_host(&self, cluster: &'a Cluster) -> Self {
        let mut agents: BTreeMap<&str, Vec<&KnownAgent>> = BTreeMap::new();
        for known in cluster.agents.values() {
            agents.entry(&known.info.hostname).or_default().push(known);
        }
        let hosts = |is_in: &dyn Fn(&[&KnownAgent]) -> bool| {
            let hosts = agents.iter().filter(|(_, agents)| is_in(agents));
            hosts.map(|(host, _)| *host).collect()
        };
        let allow = self.allow.as_ref();
        Self {
            allow: allow
                .map(|allow| hosts(&|agents| agents.iter().any(|agent| allow.contains(agent.id.as_str())))),
            deny: hosts(&|agents| agents.iter().all(|agent| self.deny.contains(agent.id.as_str()))),
            most: self.most,
        }
    }

    fn constraints(&self, selector: &Selector) -> Vec<Constraint> {
        let one_of = |places: &BTreeSet<&str>| match places.first() {
            Some(only) if places.len() == 1 => Predicate::Equals((*only).to_owned()),
            Some(_) | None => {
                Pattern::any_of(places.iter().copied()).map_or(Predicate::Exists, Predicate::Matches)
            }
        };
        let allow = self.allow.as_ref().map(one_of);
        let deny: Vec<_> = match self.deny.len() {
            0..=NAMED => {
                let named = self.deny.iter().map(|place| (*place).to_owned());
                named.map(Predicate::NotEquals).collect()
            }
            _ => {
                let pattern = Pattern::any_of(self.deny.iter().copied());
                pattern.map(Predicate::NotMatches).into_iter().collect()
            }
        };
        let predicates = allow.into_iter().chain(deny);
        let constraint = |predicate| Constraint {
            selector: selector.clone(),
            predicate,
        };
        predicates.map(constraint).collect()
    }
}

//! What the replica rules of a version say of a place, given where replicas run.
//!
//! A slot counts where its task will be: where its successor is, if that was started, and else where its task is. So a
//! replica that is replaced never stands in its own way, and what holds of the successors holds when the old ones are gone.
//! Only `unique` and `apart` look at every task until it has ended: it may be that two cannot live side by side.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::{AgentId, AgentInfo, ResourceName};

use crate::instance::Instance;
use crate::service::Service;
use crate::services::Cluster;
use crate::slot::Slot;
use crate::spec::{PlaceKey, ReplicaRule, RuleKind};
use crate::wishes::Seat;

mod steering;

pub(crate) use self::steering::Steering;

/// The services that others keep apart from: their replicas keep away from those, too.
#[derive(Debug, Default)]
pub(crate) struct Avoided(BTreeMap<String, Vec<(String, PlaceKey)>>);

impl Avoided {
    pub(crate) fn of(services: &BTreeMap<String, Service>) -> Self {
        let mut avoided: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for service in services.values() {
            for rule in &service.spec.task.replica_rules {
                if let RuleKind::Apart(other) = &rule.kind {
                    let by = (service.spec.name.clone(), rule.key.clone());
                    avoided.entry(other.clone()).or_default().push(by);
                }
            }
        }
        Self(avoided)
    }

    /// The rules of a version of a service; nothing where any place will do.
    pub(crate) fn neighbours(
        &self,
        services: &BTreeMap<String, Service>,
        cluster: &Cluster,
        service: &Service,
        version: u64,
    ) -> Option<Neighbours> {
        let task = &service.versions.get(&version)?.task;
        let by = self.0.get(&service.spec.name).into_iter().flatten();
        let by = by.map(|(other, key)| ReplicaRule {
            key: key.clone(),
            kind: RuleKind::Apart(other.clone()),
        });
        let mut rules: Vec<_> = task.replica_rules.iter().cloned().chain(by).collect();
        rules.sort_unstable();
        rules.dedup();
        if rules.is_empty() {
            return None;
        }
        let place = |key: &PlaceKey, agent: Option<&AgentId>| {
            let known = cluster.agents.get(agent?)?;
            key.place(&known.id, &known.info).map(str::to_owned)
        };
        let ruled = rules.into_iter().map(|rule| {
            let (mut slots, mut others) = (Counted::default(), BTreeSet::new());
            match &rule.kind {
                RuleKind::Unique => {
                    for (number, agent) in service.slots.values().flat_map(present) {
                        slots.extend(place(&rule.key, agent), number);
                    }
                }
                RuleKind::Spread { .. } | RuleKind::Together => {
                    for slot in service.slots.values() {
                        slots.extend(place(&rule.key, destination(slot)), slot.number);
                    }
                }
                RuleKind::Near(other) => {
                    let tasks = instances(services.get(other)).filter(|instance| instance.is_live());
                    others.extend(tasks.filter_map(|task| place(&rule.key, task.agent_id.as_ref())));
                }
                RuleKind::Apart(other) => {
                    let tasks = instances(services.get(other)).filter(|instance| instance.has_task());
                    others.extend(tasks.filter_map(|task| place(&rule.key, task.agent_id.as_ref())));
                }
            }
            Ruled {
                rule,
                slots,
                open: BTreeSet::new(),
                others,
            }
        });
        let mut neighbours = Neighbours {
            ruled: ruled.collect(),
            max_per_agent: task.rules.max_per_agent,
            n_on: BTreeMap::new(),
        };
        if neighbours.max_per_agent.is_some() {
            let tasks = instances(Some(service));
            let tasks = tasks.filter(|task| task.has_task() && task.version == version);
            for agent in tasks.filter_map(|task| task.agent_id.clone()) {
                *neighbours.n_on.entry(agent).or_default() += 1;
            }
        }
        neighbours.open(service, version, cluster);
        Some(neighbours)
    }
}

fn instances(service: Option<&Service>) -> impl Iterator<Item = &Instance> {
    let slots = service.into_iter().flat_map(|service| service.slots.values());
    slots.flat_map(|slot| slot.instances().map(|(_, instance)| instance))
}

/// Where the tasks of a slot are until they have ended.
fn present(slot: &Slot) -> impl Iterator<Item = (u32, Option<&AgentId>)> {
    let tasks = slot.instances().filter(|(_, instance)| instance.has_task());
    tasks.map(|(_, instance)| (slot.number, instance.agent_id.as_ref()))
}

/// Where the task of a slot will be when its successor, if there is one, has taken over.
fn destination(slot: &Slot) -> Option<&AgentId> {
    let next = slot.next.as_ref().filter(|next| next.is_live());
    let instance = next.or(Some(&slot.task).filter(|task| task.is_live()))?;
    instance.agent_id.as_ref()
}

/// The rules of a version, and where replicas are by each. As of one moment, and kept up by [`Neighbours::started`].
#[derive(Debug)]
pub(crate) struct Neighbours {
    ruled: Vec<Ruled>,
    /// As the master counts it for all that wait together. What waits for itself is counted here only.
    max_per_agent: Option<u32>,
    n_on: BTreeMap<AgentId, u32>,
}

/// One rule.
#[derive(Debug)]
struct Ruled {
    rule: ReplicaRule,
    /// The service's own slots.
    slots: Counted,
    /// Where replicas could run, by spread and unique only.
    open: BTreeSet<String>,
    /// Where the other service is, by near and apart only.
    others: BTreeSet<String>,
}

/// Which slots are in a place. No set is empty.
#[derive(Debug, Default)]
struct Counted(BTreeMap<String, BTreeSet<u32>>);

impl Counted {
    fn extend(&mut self, place: Option<String>, slot: u32) {
        if let Some(place) = place {
            self.0.entry(place).or_default().insert(slot);
        }
    }

    fn remove(&mut self, slot: u32) {
        self.0.retain(|_, slots| {
            slots.remove(&slot);
            !slots.is_empty()
        });
    }

    fn holds(&self, slot: u32) -> bool {
        self.0.values().any(|slots| slots.contains(&slot))
    }

    /// How many others than that slot are in a place.
    fn n(&self, place: &str, but: Option<u32>) -> u32 {
        self.0.get(place).map_or(0, |slots| n_others(slots, but))
    }
}

fn n_others(slots: &BTreeSet<u32>, but: Option<u32>) -> u32 {
    let is_in = but.is_some_and(|slot| slots.contains(&slot));
    u32::try_from(slots.len() - usize::from(is_in)).unwrap_or(u32::MAX)
}

impl Neighbours {
    /// Notes the places where replicas of a version could run: on agents that may be offered, are not to be left, meet the
    /// constraints, and would have room if they were empty.
    fn open(&mut self, service: &Service, version: u64, cluster: &Cluster) {
        let Some(task) = service.versions.get(&version).map(|version| &version.task) else {
            return;
        };
        let fits = |info: &AgentInfo| {
            let has = |(name, units): (&ResourceName, u64)| info.resources.scalar(name) >= units;
            task.resources.scalars().all(has) && task.rules.constraints.hold(info)
        };
        for known in cluster.agents.values() {
            let place = |ruled: &Ruled| ruled.rule.key.place(&known.id, &known.info);
            let is_new = |ruled: &Ruled| match &ruled.rule.kind {
                RuleKind::Spread { .. } | RuleKind::Unique => {
                    place(ruled).is_some_and(|place| !ruled.open.contains(place))
                }
                RuleKind::Together | RuleKind::Near(_) | RuleKind::Apart(_) => false,
            };
            let is_used = known.is_offered && !cluster.leaving.is_left(&known.id);
            if !is_used || !self.ruled.iter().any(is_new) || !fits(&known.info) {
                continue;
            }
            for ruled in self.ruled.iter_mut().filter(|ruled| is_new(ruled)) {
                let new = ruled.rule.key.place(&known.id, &known.info);
                ruled.open.extend(new.map(str::to_owned));
            }
        }
    }

    /// Whether a task of a slot may start on an agent.
    pub(crate) fn admit(&self, slot: u32, id: &AgentId, info: &AgentInfo) -> bool {
        let n_on = self.n_on.get(id).copied().unwrap_or(0);
        self.max_per_agent.is_none_or(|max| n_on < max)
            && self.ruled.iter().all(|ruled| {
                let place = ruled.rule.key.place(id, info);
                ruled.admits(place, Some(slot))
            })
    }

    /// A task was started in a seat, on an agent.
    pub(crate) fn started(&mut self, seat: Seat, id: &AgentId, info: &AgentInfo) {
        *self.n_on.entry(id.clone()).or_default() += 1;
        let slot = seat.slot();
        for ruled in &mut self.ruled {
            match &ruled.rule.kind {
                RuleKind::Spread { .. } | RuleKind::Together if seat.is_successor() => {
                    ruled.slots.remove(slot)
                }
                // Started once more beside a successor, it is not where the slot will be.
                RuleKind::Spread { .. } | RuleKind::Together if ruled.slots.holds(slot) => continue,
                RuleKind::Spread { .. } | RuleKind::Together | RuleKind::Unique => {}
                RuleKind::Near(_) | RuleKind::Apart(_) => continue,
            }
            let place = ruled.rule.key.place(id, info).map(str::to_owned);
            ruled.slots.extend(place, slot);
        }
    }

    /// Whether a start of that other service may change what the rules say.
    pub(crate) fn look_at(&self, service: &str) -> bool {
        self.ruled.iter().any(|ruled| match &ruled.rule.kind {
            RuleKind::Near(other) | RuleKind::Apart(other) => other == service,
            RuleKind::Spread { .. } | RuleKind::Unique | RuleKind::Together => false,
        })
    }

    /// What keeps a slot, or one that has no task at all, from other places, in sentences.
    pub(crate) fn explain(&self, slot: Option<u32>) -> impl Iterator<Item = String> {
        self.ruled.iter().filter_map(move |ruled| ruled.explain(slot))
    }
}

impl Ruled {
    fn admits(&self, place: Option<&str>, slot: Option<u32>) -> bool {
        let Some(place) = place else {
            return matches!(self.rule.kind, RuleKind::Apart(_));
        };
        match &self.rule.kind {
            RuleKind::Spread { max_skew } => {
                self.slots.n(place, slot) < self.least(slot).saturating_add(*max_skew)
            }
            RuleKind::Unique => self.slots.n(place, slot) == 0,
            RuleKind::Together => self.home(slot).is_none_or(|home| home == place),
            RuleKind::Near(_) => self.others.contains(place),
            RuleKind::Apart(_) => !self.others.contains(place),
        }
    }

    /// How many others than a slot are in the place with the fewest.
    fn least(&self, slot: Option<u32>) -> u32 {
        let open = self.open.iter().map(|place| self.slots.n(place, slot));
        open.min().unwrap_or(0)
    }

    /// Where most others than a slot are.
    fn home(&self, slot: Option<u32>) -> Option<&str> {
        let places = self.slots.0.iter();
        let places = places.map(|(place, slots)| (n_others(slots, slot), place));
        let most = places.filter(|(n, _)| *n > 0).min_by_key(|(n, _)| u32::MAX - n)?;
        Some(most.1)
    }

    fn explain(&self, slot: Option<u32>) -> Option<String> {
        let (rule, key) = (&self.rule, &self.rule.key);
        let open = || self.open.iter().map(String::as_str);
        let others = || self.others.iter().map(String::as_str);
        match &rule.kind {
            RuleKind::Spread { .. } => {
                let next = open().filter(|place| self.admits(Some(place), slot));
                let counts = open().map(|place| format!("{} in {place}", self.slots.n(place, slot)));
                let (next, counts) = (some(next), some(counts));
                Some(match self.open.is_empty() {
                    true => format!("{rule}: no agent that could run a replica has one"),
                    false => format!("{rule}: the next starts where {key} is {next}; others are {counts}"),
                })
            }
            RuleKind::Unique => {
                let n = self.open.len();
                let free = open().filter(|place| self.admits(Some(place), slot));
                Some(format!(
                    "{rule}: of {n} places, {} have no other replica",
                    free.count()
                ))
            }
            RuleKind::Together => {
                let home = self.home(slot)?;
                Some(format!("{rule}: others run where {key} is {home}"))
            }
            RuleKind::Near(other) => Some(match self.others.is_empty() {
                true => format!("{rule}: `{other}` has no replica with a {key}"),
                false => format!("{rule}: it runs where {key} is {}", some(others())),
            }),
            RuleKind::Apart(_) => {
                let where_it_is = || format!("{rule}: not where {key} is {}", some(others()));
                (!self.others.is_empty()).then(where_it_is)
            }
        }
    }
}

/// Some of a list, and how many more there are.
fn some(mut list: impl Iterator<Item = impl AsRef<str>>) -> String {
    let shown: Vec<_> = list.by_ref().take(8).collect();
    let shown: Vec<_> = shown.iter().map(AsRef::as_ref).collect();
    let shown = shown.join(", ");
    match list.count() {
        0 => shown,
        n_more => format!("{shown} and {n_more} more"),
    }
}

//! Agents asked one by one, and counted by what stands in the way. No text is made before the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proffer_types::{Constraint, FrameworkId, Ranges, ResourceName, Resources, Role, Shape, Timestamp};

use super::{Ahead, Counted, Nearest, Reason};
use crate::ledger::{
    AgentEntry, AgentIx, LeafEntry, LeafIx, Ledger, Obstacle, RoleIx, is_allocatable, take_tasks,
};

/// A reason while agents are being counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Room,
    Filtered,
    Held(Option<ResourceName>),
    OwnUse(Option<ResourceName>),
    TooSmall(Option<ResourceName>),
    MaxPerAgent(u32),
    OutOfUse,
    /// By its place among those that were met.
    Constraint(usize),
    Obstacle(Obstacle),
}

/// How far an agent is from having room.
#[derive(Debug, Clone)]
struct Lack {
    /// The missing part of what is needed, in millionths: what makes one agent nearer than another.
    part: u128,
    resource: ResourceName,
    units: u64,
}

#[derive(Debug, Default)]
struct Bucket {
    n_agents: u64,
    nearest: Option<(Lack, AgentIx)>,
    until: Option<Timestamp>,
    /// On how many agents each leaf holds the most.
    holders: BTreeMap<LeafIx, u64>,
}

/// One question to all agents.
pub(super) struct Survey<'a> {
    ledger: &'a Ledger,
    now: Timestamp,
    leaf: LeafIx,
    entry: &'a LeafEntry,
    role: Option<&'a Role>,
    shape: Option<&'a (Arc<Shape>, u32)>,
    /// All leaves of the framework.
    own: Vec<LeafIx>,
    /// Who holds how much of an agent, while one is looked at.
    held: Vec<(LeafIx, u64)>,
    constraints: Vec<&'a Constraint>,
    buckets: BTreeMap<Key, Bucket>,
}

impl<'a> Survey<'a> {
    pub(super) fn new(
        ledger: &'a Ledger,
        leaf: LeafIx,
        shape: Option<&'a (Arc<Shape>, u32)>,
        now: Timestamp,
    ) -> Option<Self> {
        let entry = ledger.leaf(leaf)?;
        Some(Self {
            ledger,
            now,
            leaf,
            entry,
            role: ledger.role(entry.role)?.name.as_ref(),
            shape,
            own: ledger.leaves_of(&entry.framework).map(|(_, leaf)| leaf).collect(),
            held: Vec::new(),
            constraints: Vec::new(),
            buckets: BTreeMap::new(),
        })
    }

    /// Asks one agent, and counts its answer.
    pub(super) fn ask(&mut self, agent: AgentIx, entry: &'a AgentEntry) {
        if entry.out_of_use {
            return self.count(Key::OutOfUse);
        }
        if entry.active
            && let Some(failing) = self.failing(entry)
        {
            let met = self.constraints.iter().position(|met| *met == failing);
            let at = met.unwrap_or_else(|| {
                self.constraints.push(failing);
                self.constraints.len() - 1
            });
            return self.count(Key::Constraint(at));
        }
        let answer = match self.shape {
            Some((shape, open)) => self.ask_for_tasks(agent, shape, *open),
            None => self.ledger.offerable(self.leaf, agent, self.now).map(drop),
        };
        let key = match answer {
            Ok(()) => Key::Room,
            Err(Obstacle::Filtered(until)) => {
                let first = &mut self.bucket(Key::Filtered).until;
                *first = Some(first.map_or(until, |first| first.min(until)));
                Key::Filtered
            }
            Err(Obstacle::DoesNotFit(..) | Obstacle::TooSmall) => return self.count_misfit(agent, entry),
            Err(Obstacle::NotWanting) => {
                let max = self.shape.and_then(|(shape, _)| shape.max_per_agent);
                Key::MaxPerAgent(max.unwrap_or(0))
            }
            Err(obstacle) => Key::Obstacle(obstacle),
        };
        self.count(key);
    }

    fn failing(&self, agent: &AgentEntry) -> Option<&'a Constraint> {
        let of_shape = self
            .shape
            .and_then(|(shape, _)| shape.constraints.first_failing(&agent.info));
        of_shape.or_else(|| self.entry.preferences.constraints.first_failing(&agent.info))
    }

    fn ask_for_tasks(&self, agent: AgentIx, shape: &Shape, open: u32) -> Result<(), Obstacle> {
        let left = match shape.max_per_agent {
            Some(max) => open.min(max.saturating_sub(self.ledger.n_on(agent, self.leaf, shape.id))),
            None => open,
        };
        if left == 0 {
            return Err(Obstacle::NotWanting);
        }
        let mut n = 1;
        loop {
            let bundle = self.ledger.slice(self.leaf, agent, shape, n, self.now);
            let Some(until) = self.ledger.filtered_until(self.leaf, agent, &bundle?, self.now) else {
                return Ok(());
            };
            // Room for more than was refused gets past the filter, as it does in a round.
            let more = n.saturating_mul(2).min(left);
            if more == n
                || self
                    .ledger
                    .slice(self.leaf, agent, shape, more, self.now)
                    .is_err()
            {
                return Err(Obstacle::Filtered(until));
            }
            n = more;
        }
    }

    fn bucket(&mut self, key: Key) -> &mut Bucket {
        self.buckets.entry(key).or_default()
    }

    fn count(&mut self, key: Key) {
        self.bucket(key).n_agents += 1;
    }

    /// Finds out who has what is missing: nobody, the framework itself, or others.
    fn count_misfit(&mut self, agent: AgentIx, entry: &AgentEntry) {
        let total = self.open(entry.total());
        if !self.fits(&total) {
            return match self.reserved_for(entry) {
                Some(role) => self.count(Key::Obstacle(Obstacle::ReservedFor(role))),
                None => {
                    let lack = self.lack(&total);
                    self.count_lack(Key::TooSmall, lack, agent, None);
                }
            };
        }
        let free = self.open(&entry.free);
        if self.fits(&free)
            && let Some(holder) = self
                .ledger
                .held_on(agent)
                .and_then(|(leaf, _)| self.ledger.leaf(leaf))
        {
            return self.count(Key::Obstacle(Obstacle::Held(holder.framework.clone())));
        }
        let lack = self.lack(&free);
        let mut without_others = total;
        for (_, claim) in self.ledger.claims_on(agent) {
            if self.is_own(claim.leaf) {
                without_others.subtract(&claim.resources);
            }
        }
        if self.fits(&without_others) {
            let holder = self.holder(agent, lack.as_ref());
            self.count_lack(Key::Held, lack, agent, holder);
        } else {
            self.count_lack(Key::OwnUse, lack, agent, None);
        }
    }

    fn count_lack(
        &mut self,
        key: impl FnOnce(Option<ResourceName>) -> Key,
        lack: Option<Lack>,
        agent: AgentIx,
        holder: Option<LeafIx>,
    ) {
        let bucket = self.bucket(key(lack.as_ref().map(|lack| lack.resource.clone())));
        bucket.n_agents += 1;
        if let Some(holder) = holder {
            *bucket.holders.entry(holder).or_default() += 1;
        }
        if let Some(lack) = lack
            && bucket
                .nearest
                .as_ref()
                .is_none_or(|(nearest, _)| lack.part < nearest.part)
        {
            bucket.nearest = Some((lack, agent));
        }
    }

    fn is_own(&self, leaf: LeafIx) -> bool {
        self.own.contains(&leaf)
    }

    /// Who of the others holds most of the resource that is lacking.
    fn holder(&mut self, agent: AgentIx, lack: Option<&Lack>) -> Option<LeafIx> {
        self.held.clear();
        let ledger = self.ledger;
        for (_, claim) in ledger.claims_on(agent) {
            if self.is_own(claim.leaf) {
                continue;
            }
            let units = match lack.map(|lack| &lack.resource) {
                Some(ResourceName::Ports) => n_ports(&claim.resources),
                Some(name) => claim.resources.scalar(name),
                None => claim.resources.cpu_millis(),
            };
            match self.held.iter_mut().find(|(leaf, _)| *leaf == claim.leaf) {
                Some((_, sum)) => *sum += units,
                None => self.held.push((claim.leaf, units)),
            }
        }
        let held = self.held.iter();
        let most = held.max_by_key(|(leaf, units)| (*units, std::cmp::Reverse(*leaf)));
        most.map(|(leaf, _)| *leaf)
    }

    /// Whom an agent is reserved for that would do if it were not.
    fn reserved_for(&self, agent: &AgentEntry) -> Option<Role> {
        let role = self.role?;
        let total = agent.total();
        let mut others = total
            .kinds()
            .filter(|(kind, _)| kind.volume.is_none() && !kind.is_allocatable_to(role));
        let holder = others.find_map(|(kind, _)| kind.role())?;
        self.fits(
            &total
                .without_revocable()
                .only(|kind| kind.volume.is_none())
                .flattened(),
        )
        .then(|| holder.clone())
    }

    /// The part of a bundle that the leaf may have.
    fn open(&self, bundle: &Resources) -> Resources {
        if !bundle.has_kinds() {
            return bundle.clone();
        }
        let capabilities = self.entry.capabilities;
        bundle.only(|kind| {
            self.role.is_some_and(|role| kind.is_allocatable_to(role))
                && (capabilities.revocable || !kind.revocable)
                && (capabilities.shared || kind.shared_volume().is_none())
        })
    }

    fn fits(&self, bundle: &Resources) -> bool {
        match self.shape {
            Some((shape, _)) => take_tasks(bundle, shape, 1).is_some(),
            None => is_allocatable(self.entry, bundle),
        }
    }

    /// What is missing for one task, or for the smallest offer the framework takes. `None` where nothing can be named.
    fn lack(&self, open: &Resources) -> Option<Lack> {
        if let Some((shape, _)) = self.shape {
            // Neither a volume nor what may be taken back serves a task.
            let usable = open.only(|kind| kind.volume.is_none() && !kind.revocable);
            let ports = Lack::of(&ResourceName::Ports, n_ports(&usable), u64::from(shape.n_ports));
            return worst(&usable, &shape.resources)
                .into_iter()
                .chain(ports)
                .max_by_key(|lack| lack.part);
        }
        let minimums = self.entry.preferences.min_allocatable.iter().flatten();
        minimums
            .filter_map(|minimum| worst(open, minimum))
            .min_by_key(|lack| lack.part)
    }

    /// The reasons, as they are told.
    pub(super) fn reasons(self) -> Vec<Counted> {
        let buckets = &self.buckets;
        buckets
            .iter()
            .map(|(key, bucket)| self.counted(key, bucket))
            .collect()
    }

    fn counted(&self, key: &Key, bucket: &Bucket) -> Counted {
        let gang = self.shape.and_then(|(shape, _)| shape.gang);
        let reason = match key {
            Key::Room if gang.is_some() => Reason::PartOfGang,
            Key::Room => Reason::Room,
            Key::Filtered => Reason::Filtered(bucket.until.unwrap_or(self.now).since(self.now)),
            Key::Held(name) => match self.ahead(bucket) {
                Some(ahead) => Reason::Held(name.clone(), ahead),
                // Held by nobody in particular: the agent came back smaller than its tasks.
                None => Reason::OwnUse(name.clone()),
            },
            Key::OwnUse(name) => Reason::OwnUse(name.clone()),
            Key::TooSmall(name) => Reason::TooSmall(name.clone()),
            Key::MaxPerAgent(max) => Reason::MaxPerAgent(*max),
            Key::OutOfUse => Reason::OutOfUse,
            Key::Constraint(at) => Reason::Constraint(self.constraints[*at].to_string()),
            Key::Obstacle(obstacle) => self.obstacle_reason(obstacle),
        };
        Counted {
            reason,
            n_agents: bucket.n_agents,
            nearest: bucket.nearest.as_ref().and_then(|(lack, agent)| {
                let agent = self.ledger.agent(*agent)?;
                Some(Nearest {
                    agent: agent.id.clone(),
                    hostname: agent.info.hostname.clone(),
                    resource: lack.resource.clone(),
                    lacking: lack.units,
                })
            }),
            until: bucket.until,
        }
    }

    fn obstacle_reason(&self, obstacle: &Obstacle) -> Reason {
        let needed = |name: &ResourceName| self.shape.map_or(0, |(shape, _)| shape.resources.scalar(name));
        match obstacle {
            Obstacle::Limit(_, name) | Obstacle::Guarantees(name) => {
                quota_reason(self.ledger, self.entry.role, obstacle, needed(name)).unwrap_or(Reason::Room)
            }
            Obstacle::AgentInactive => Reason::Inactive,
            Obstacle::OtherRegion => Reason::OtherRegion,
            Obstacle::Constraint(text) => Reason::Constraint(text.clone()),
            Obstacle::ReservedFor(role) => Reason::ReservedFor(role.clone()),
            Obstacle::Held(framework) => Reason::HeldFor(framework.clone(), self.held_for(framework)),
            Obstacle::NotWanting => Reason::NothingWanted,
            Obstacle::Filtered(until) => Reason::Filtered(until.since(self.now)),
            Obstacle::TooSmall => Reason::TooSmall(None),
            Obstacle::DoesNotFit(name, _) => Reason::TooSmall(Some(name.clone())),
        }
    }

    /// How long the last hold for a framework lasts from now on.
    fn held_for(&self, framework: &FrameworkId) -> Duration {
        let is_its = |leaf| {
            self.ledger
                .leaf(leaf)
                .is_some_and(|leaf| leaf.framework == *framework)
        };
        let holds = self.ledger.holds().filter(|(leaf, _)| is_its(*leaf));
        let last = holds.map(|(_, hold)| hold.until).max();
        last.unwrap_or(self.now).since(self.now)
    }

    fn ahead(&self, bucket: &Bucket) -> Option<Ahead> {
        let holders = bucket.holders.iter();
        let (first, _) = holders.max_by_key(|(leaf, n)| (**n, std::cmp::Reverse(**leaf)))?;
        let leaf = self.ledger.leaf(*first)?;
        Some(Ahead {
            framework: leaf.framework.clone(),
            role: self.ledger.role(leaf.role)?.name.clone()?,
            share: self.ledger.leaf_share(*first),
            own: self.ledger.leaf_share(self.leaf),
            n_others: bucket.holders.len() - 1,
        })
    }
}

/// What of a role's quota leaves too little, in figures; `None` for an obstacle that is none of quota's.
pub(super) fn quota_reason(
    ledger: &Ledger,
    role: RoleIx,
    obstacle: &Obstacle,
    needed: u64,
) -> Option<Reason> {
    let room = |name: &ResourceName| u64::try_from(ledger.room(role, name).0).unwrap_or(u64::MAX);
    match obstacle {
        Obstacle::Limit(role, resource) => Some(Reason::Limit {
            role: role.clone(),
            resource: resource.clone(),
            room: room(resource),
            needed,
        }),
        Obstacle::Guarantees(resource) => Some(Reason::Guarantees {
            resource: resource.clone(),
            room: room(resource),
            needed,
        }),
        Obstacle::NotWanting
        | Obstacle::AgentInactive
        | Obstacle::OtherRegion
        | Obstacle::Constraint(_)
        | Obstacle::ReservedFor(_)
        | Obstacle::Held(_)
        | Obstacle::TooSmall
        | Obstacle::Filtered(_)
        | Obstacle::DoesNotFit(..) => None,
    }
}

impl Lack {
    fn of(resource: &ResourceName, has: u64, needs: u64) -> Option<Self> {
        let units = needs.checked_sub(has).filter(|units| *units > 0)?;
        Some(Self {
            part: u128::from(units) * 1_000_000 / u128::from(needs),
            resource: resource.clone(),
            units,
        })
    }
}

/// The scalar that is scarcest beside what is needed of it.
fn worst(has: &Resources, needs: &Resources) -> Option<Lack> {
    let lacks = needs
        .scalars()
        .filter_map(|(name, units)| Lack::of(name, has.scalar(name), units));
    lacks.reduce(|worst, lack| if lack.part > worst.part { lack } else { worst })
}

fn n_ports(resources: &Resources) -> u64 {
    resources.ranges(&ResourceName::Ports).map_or(0, Ranges::count)
}

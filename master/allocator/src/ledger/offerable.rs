//! What of an agent may be offered to a leaf: the one place that says so, for making offers and for explaining them.

use proffer_types::{Backfill, FrameworkId, Ranges, ResourceName, Resources, Role, Shape, Timestamp};

use crate::Quantities;

use super::{AgentEntry, AgentIx, ClaimKind, Held, LeafEntry, LeafIx, Ledger, ROOT, RoleIx, Waiting};

/// Remainders below both are not worth an offer, as in Mesos: a hundredth of a core.
pub(super) const MIN_CPU_MILLIS: u64 = 10;
/// See [`MIN_CPU_MILLIS`]: 32 MiB.
pub(super) const MIN_MEM_BYTES: u64 = 32 << 20;

/// What stands between a leaf and an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The framework is away, not in the role, suppressed, or wants nothing more.
    NotWanting,
    /// The agent is unknown or not active: away, or out of use.
    AgentInactive,
    /// The agent is in another region and the framework does not know how to use it.
    OtherRegion,
    /// A constraint of the framework excludes the agent.
    Constraint(String),
    /// What is free there is reserved to another role.
    ReservedFor(Role),
    /// A limit at this role leaves none of the resource.
    Limit(Role, ResourceName),
    /// What is free of the resource in the cluster is held for the guarantees of others.
    Guarantees(ResourceName),
    /// What is free there is held for a framework that has waited for long.
    Held(FrameworkId),
    /// Less is free than is worth an offer; nothing, perhaps.
    TooSmall,
    /// The framework refused as much of the agent not long ago.
    Filtered(Timestamp),
    /// More was asked for than there is: of this resource, lacking so many units.
    DoesNotFit(ResourceName, u64),
}

impl Ledger {
    /// All of an agent that may be offered to a leaf now. Fails with the first thing that stands in the way.
    pub fn offerable(&self, leaf: LeafIx, agent: AgentIx, now: Timestamp) -> Result<Resources, Obstacle> {
        let whole = self.eligible(leaf, agent)?;
        if let Some(until) = self.filtered_until(leaf, agent, &whole, now) {
            return Err(Obstacle::Filtered(until));
        }
        Ok(whole)
    }

    /// Like [`Ledger::offerable`], whatever the framework refused.
    pub fn eligible(&self, leaf: LeafIx, agent: AgentIx) -> Result<Resources, Obstacle> {
        let (leaf_entry, entry) = self.pair(leaf, agent)?;
        let open = self.open_to(leaf_entry, entry)?;
        let open = self.less_held(leaf, agent, open, None)?;
        let within = self.within_quota(leaf_entry, open)?;
        if is_allocatable(leaf_entry, &within) {
            Ok(within)
        } else {
            Err(Obstacle::TooSmall)
        }
    }

    /// Takes `n` tasks of a shape out of what a leaf may be offered there: reserved resources first. Fails with what
    /// stands in the way. Neither what the framework refused nor `max_per_agent` is looked at.
    pub fn slice(
        &self,
        leaf: LeafIx,
        agent: AgentIx,
        shape: &Shape,
        n: u32,
        now: Timestamp,
    ) -> Result<Resources, Obstacle> {
        let within = self.within(leaf, agent, shape, now)?;
        take_tasks(&within, shape, n).ok_or_else(|| self.misfit(leaf, agent, shape))
    }

    /// What a leaf may be offered of an agent for tasks of a shape.
    pub(crate) fn within(
        &self,
        leaf: LeafIx,
        agent: AgentIx,
        shape: &Shape,
        now: Timestamp,
    ) -> Result<Resources, Obstacle> {
        let (leaf_entry, entry) = self.pair(leaf, agent)?;
        allowed_by(shape, entry)?;
        let open = self.open_to(leaf_entry, entry)?;
        let open = self.less_held(leaf, agent, open, Some((shape, now)))?;
        self.within_quota(leaf_entry, open)
    }

    /// Leaves out what must stay free for another, of whatever framework, unless whoever asks is over before it is wanted.
    fn less_held(
        &self,
        leaf: LeafIx,
        agent: AgentIx,
        open: Resources,
        task: Option<(&Shape, Timestamp)>,
    ) -> Result<Resources, Obstacle> {
        let is_for = |holder: LeafIx| {
            let hold = self.holds.get(&holder).filter(|_| holder == leaf);
            hold.zip(task)
                .is_some_and(|(hold, (shape, _))| hold.waiting == Waiting::of(shape))
        };
        // A framework that orders what it states is bound by what is held for the first of it, too.
        let is_ordered = self
            .leaves
            .get(leaf)
            .is_some_and(|leaf| leaf.backfill == Backfill::Easy);
        let binds = |holder: LeafIx| holder != leaf || (is_ordered && !is_for(holder));
        let Some((holder, held)) = self.held_on(agent).filter(|(holder, _)| binds(*holder)) else {
            return Ok(open);
        };
        let over_by = task.and_then(|(shape, now)| Some(now.after(shape.time_limit?)));
        let in_time = over_by.zip(held.free_by).is_some_and(|(over, free)| over <= free);
        if in_time {
            return Ok(open);
        }
        let mut kept = open.common(&self.kept_free(agent, held, task.map(|(_, now)| now)));
        // What suspended tasks take back they had before. Kept from it, they would keep their memory for nothing, from whoever it
        // is held for, too.
        if task.is_some_and(|(shape, _)| shape.resumes) {
            kept.subtract(&self.suspended_on(agent, leaf).plain());
        }
        let rest = open.minus(&kept);
        let nothing_left = rest.scalars().next().is_none();
        match self.leaves.get(holder).filter(|_| nothing_left) {
            Some(holder) => Err(Obstacle::Held(holder.framework.clone())),
            None => Ok(rest),
        }
    }

    /// What of an agent must stay free now so that what is held there will be by the time it is wanted: what no task that is
    /// over by then gives back. The rest is EASY's extra nodes (Mu'alem and Feitelson 2001, section 2.2), anybody's for
    /// however long. All that is held where nobody knows when it will be free. What is offered counts if it is said when now is.
    fn kept_free(&self, agent: AgentIx, held: &Held, now: Option<Timestamp>) -> Resources {
        let mut kept = held.resources.clone();
        let in_time = |end: Timestamp| Some(end) <= held.free_by;
        for (_, claim) in self.claims_on(agent) {
            if claim.ends_by.is_some_and(in_time) {
                kept.subtract(&claim.resources.plain());
            }
            if let Some(now) = now.filter(|_| claim.kind == ClaimKind::Offer) {
                let offered = self.ends_of_offered(claim, now).into_iter();
                let over = offered.filter(|(end, _)| in_time(*end));
                over.for_each(|(_, resources)| kept.subtract(&resources));
            }
        }
        kept
    }

    /// Why one more task of a shape does not fit: the agent has too little free, or quota leaves too little of it.
    fn misfit(&self, leaf: LeafIx, agent: AgentIx, shape: &Shape) -> Obstacle {
        let free = self.agents[agent].free.flattened();
        for (name, units) in shape.resources.scalars() {
            let has = free.scalar(name);
            if has < units {
                return Obstacle::DoesNotFit(name.clone(), units - has);
            }
            if let (room, Some(bound)) = self.room(self.leaves[leaf].role, name)
                && room < u128::from(units)
            {
                return bound;
            }
        }
        let n_ports = free.ranges(&ResourceName::Ports).map_or(0, Ranges::count);
        Obstacle::DoesNotFit(
            ResourceName::Ports,
            u64::from(shape.n_ports).saturating_sub(n_ports),
        )
    }

    /// Whether quota bounds what a role may be offered.
    #[must_use]
    pub fn is_quota_bound(&self, role: RoleIx) -> bool {
        self.has_guarantees() || self.is_limited(role)
    }

    /// Whether quota leaves a leaf anything worth an offer. What is reserved or revocable is beyond quota: whether there
    /// is any of it is looked at agent by agent.
    #[must_use]
    pub fn has_room(&self, leaf: LeafIx) -> bool {
        let Some(entry) = self.leaves.get(leaf) else {
            return false;
        };
        let mut roles = self.lineage(entry.role).filter(|role| *role != ROOT);
        let may_be_revocable = entry.capabilities.revocable && self.n_revocable > 0;
        if may_be_revocable || roles.any(|role| !self.roles[role].reserved.is_empty()) {
            return true;
        }
        if entry.states_demand() {
            return entry.wanted().any(|(shape, _)| {
                let mut scalars = shape.resources.scalars();
                scalars.all(|(name, units)| self.room(entry.role, name).0 >= u128::from(units))
            });
        }
        let names = self.total.iter().map(|(name, _)| name);
        let room = names.fold(Resources::new(), |room, name| {
            let units = u64::try_from(self.room(entry.role, name).0).unwrap_or(u64::MAX);
            room.with(name.clone(), units)
        });
        anything_will_do(entry) || is_allocatable(entry, &room)
    }

    /// Whether quota leaves a leaf several bundles together; what of them is reserved or revocable is beyond it.
    pub(crate) fn has_room_for<'a>(
        &self,
        leaf: LeafIx,
        bundles: impl Iterator<Item = &'a Resources>,
    ) -> bool {
        let leaf = self.leaves.get(leaf);
        let Some(entry) = leaf.filter(|leaf| self.is_quota_bound(leaf.role)) else {
            return true;
        };
        let mut sum = Quantities::default();
        bundles.for_each(|bundle| sum.add(&bundle.plain()));
        sum.iter()
            .all(|(name, units)| self.room(entry.role, name).0 >= units)
    }

    /// Whether quota could leave a leaf several unreserved bundles together once others use less. If it does not, what
    /// is held for them is held in vain.
    pub(crate) fn may_ever_have<'a>(
        &self,
        leaf: LeafIx,
        bundles: impl Iterator<Item = &'a Resources>,
    ) -> bool {
        let leaf = self.leaves.get(leaf);
        let Some(entry) = leaf.filter(|leaf| self.is_quota_bound(leaf.role)) else {
            return true;
        };
        let mut sum = Quantities::default();
        bundles.for_each(|bundle| sum.add(bundle));
        sum.iter()
            .all(|(name, units)| self.most_room(entry.role, name) >= units)
    }

    fn pair(&self, leaf: LeafIx, agent: AgentIx) -> Result<(&LeafEntry, &AgentEntry), Obstacle> {
        let leaf = self.leaves.get(leaf).filter(|leaf| leaf.wants());
        let leaf = leaf.ok_or(Obstacle::NotWanting)?;
        let agent = self.agents.get(agent).filter(|agent| agent.active);
        let agent = agent.ok_or(Obstacle::AgentInactive)?;
        Ok((leaf, agent))
    }

    /// Whether a task of a shape could run there at all, whatever is free. Fails with what stands in the way.
    pub(crate) fn admits(&self, leaf: LeafIx, agent: AgentIx, shape: &Shape) -> Result<(), Obstacle> {
        let (leaf, agent) = self.pair(leaf, agent)?;
        self.admitted(leaf, agent)?;
        allowed_by(shape, agent)
    }

    fn admitted(&self, leaf: &LeafEntry, agent: &AgentEntry) -> Result<(), Obstacle> {
        if let Some(home) = &self.region
            && !leaf.capabilities.region_aware
            && let Some(domain) = &agent.info.domain
            && domain.region != *home
        {
            return Err(Obstacle::OtherRegion);
        }
        if let Some(failing) = leaf.preferences.constraints.first_failing(&agent.info) {
            return Err(Obstacle::Constraint(failing.to_string()));
        }
        Ok(())
    }

    /// What is free there and not kept from the leaf by region, constraints, reservations or its capabilities.
    pub(crate) fn open_to(&self, leaf: &LeafEntry, agent: &AgentEntry) -> Result<Resources, Obstacle> {
        self.admitted(leaf, agent)?;
        if !agent.free.has_kinds() {
            return Ok(agent.free.clone());
        }
        let role = self.roles[leaf.role].name.as_ref();
        let mut open = role.map_or_else(Resources::new, |role| agent.free.allocatable_to(role));
        if !leaf.capabilities.revocable {
            open = open.without_revocable();
        }
        if !leaf.capabilities.shared {
            open = open.without_shared();
        }
        if open.is_empty() {
            let mut kinds = agent
                .free
                .kinds()
                .filter_map(|(kind, _)| kind.reservations.last());
            if let Some(reservation) = kinds.next() {
                return Err(Obstacle::ReservedFor(reservation.role.clone()));
            }
        }
        Ok(open)
    }

    /// Cuts the unreserved part down to what limits and guarantees leave.
    fn within_quota(&self, leaf: &LeafEntry, open: Resources) -> Result<Resources, Obstacle> {
        let role = leaf.role;
        if !self.has_guarantees() && !self.is_limited(role) {
            return Ok(open);
        }
        let plain = open.plain();
        let mut cut = Resources::new();
        let mut obstacle = None;
        for (name, units) in plain.scalars() {
            let (room, reason) = self.room(role, name);
            let room = u64::try_from(room).unwrap_or(u64::MAX);
            if room < units {
                cut = cut.with(name.clone(), units - room);
                obstacle = obstacle.or(reason);
            }
        }
        let within = open.minus(&cut);
        match obstacle {
            Some(obstacle) if within.scalars().next().is_none() && !anything_will_do(leaf) => Err(obstacle),
            _ => Ok(within),
        }
    }

    fn is_limited(&self, role: RoleIx) -> bool {
        self.lineage(role)
            .any(|role| !self.roles[role].config.quota.limit.is_empty())
    }

    /// How much more of a resource quota lets a role have, of what is unreserved, and what bounds it.
    #[must_use]
    pub fn room(&self, role: RoleIx, name: &ResourceName) -> (u128, Option<Obstacle>) {
        let (mut room, mut reason) = (u128::MAX, None);
        for ix in self.lineage(role) {
            let entry = &self.roles[ix];
            let (Some(limit), Some(role)) = (entry.config.quota.limit.get(name), &entry.name) else {
                continue;
            };
            let left = u128::from(*limit).saturating_sub(entry.consumed(name));
            if left < room {
                (room, reason) = (left, Some(Obstacle::Limit(role.clone(), name.clone())));
            }
        }
        if self.has_guarantees() {
            let held = self.roles[ROOT].unmet().get(name);
            let left = self.free.get(name).saturating_sub(held) + self.meets(role, name).min(held);
            if left < room {
                (room, reason) = (left, Some(Obstacle::Guarantees(name.clone())));
            }
        }
        (room, reason)
    }

    /// How much of what is unreserved quota could let a role have when nothing of it is in use; what others are
    /// guaranteed and do not use now is left to them.
    fn most_room(&self, role: RoleIx, name: &ResourceName) -> u128 {
        let limits = self.lineage(role).filter_map(|ix| {
            let entry = &self.roles[ix];
            let limit = entry.config.quota.limit.get(name)?;
            Some(u128::from(*limit).saturating_sub(entry.reserved.get(name)))
        });
        let most = limits.min().unwrap_or(u128::MAX);
        if !self.has_guarantees() {
            return most;
        }
        let root = &self.roles[ROOT];
        let unmet = root.unmet().get(name);
        let kept = unmet.saturating_sub(self.meets(role, name));
        let there = self.free.get(name) + root.usage.common.get(name);
        most.min(there.saturating_sub(kept))
    }
}

/// Whether a shape is wanted on an agent. Fails with the condition of it that the agent fails.
fn allowed_by(shape: &Shape, agent: &AgentEntry) -> Result<(), Obstacle> {
    if let Some(only) = shape.agent.as_ref().filter(|only| **only != agent.id) {
        return Err(Obstacle::Constraint(format!("agent = {only}")));
    }
    match shape.constraints.first_failing(&agent.info) {
        Some(failing) => Err(Obstacle::Constraint(failing.to_string())),
        None => Ok(()),
    }
}

/// Takes `n` tasks of a shape out of a bundle, or nothing.
pub(crate) fn take_tasks(from: &Resources, shape: &Shape, n: u32) -> Option<Resources> {
    let mut wanted = shape.resources.times(n);
    let n_ports = u64::from(shape.n_ports) * u64::from(n);
    if n_ports > 0 {
        // Which ports they are decides whether they are reserved ones, so they are chosen first.
        let usable = from.only(|kind| !kind.revocable && kind.volume.is_none());
        let ports = usable.ranges(&ResourceName::Ports)?.lowest(n_ports)?;
        wanted = wanted.with_ranges(ResourceName::Ports, ports);
    }
    from.take(&wanted)
}

/// Whether the leaf takes offers however small, of ports alone for one.
fn anything_will_do(leaf: &LeafEntry) -> bool {
    let minimums = leaf.preferences.min_allocatable.as_ref();
    leaf.states_demand() || minimums.is_some_and(Vec::is_empty)
}

/// Whether a bundle is large enough to be offered to the leaf.
pub(crate) fn is_allocatable(leaf: &LeafEntry, resources: &Resources) -> bool {
    match &leaf.preferences.min_allocatable {
        Some(minimums) if minimums.is_empty() => !resources.is_empty(),
        Some(minimums) => minimums.iter().any(|minimum| {
            let mut scalars = minimum.scalars();
            scalars.all(|(name, units)| resources.scalar(name) >= units)
        }),
        None => resources.cpu_millis() >= MIN_CPU_MILLIS || resources.mem_bytes() >= MIN_MEM_BYTES,
    }
}

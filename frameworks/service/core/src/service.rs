//! One service: its slots, kept at the wanted number and at the service's version.
//!
//! Invariant: slots 0 to the target exist, others only until their tasks have ended; the index and the stored
//! records always match the slots. The target is `replicas`, or 0 while the service is being deleted. A daemon has a slot for
//! each agent that has, or had and is to have again, its task.

use std::collections::{BTreeMap, BTreeSet};

use proffer_session::Context;
use proffer_types::{AgentId, KillPolicy, Role, TaskStatus, Timestamp};

use crate::deployment::Deployment;
use crate::index::Index;
use crate::instance::{CRASH_LOOP, Instance, Terms, taken_away};
use crate::records;
use crate::slot::{Place, Slot};
use crate::spec::{Mode, ServiceSpec};
use crate::task_id::Parts;
use crate::version::{Outcome, Version, forgettable};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// As it was applied last; role and task are those of `version`.
    pub(crate) spec: ServiceSpec,
    /// What all slots are to run.
    pub(crate) version: u64,
    /// All that are remembered; `version` and those of all instances are among them.
    pub(crate) versions: BTreeMap<u64, Version>,
    /// The last one that was available everywhere.
    pub(crate) good: Option<u64>,
    /// The latest one.
    pub(crate) deployment: Option<Deployment>,
    pub(crate) deleting: bool,
    /// The first start of a slot takes a greater number: slots of that number may have been before.
    pub(crate) start_floor: u64,
    pub(crate) slots: BTreeMap<u32, Slot>,
    /// What slots that were never started are to run: there is no record of these.
    filled_with: u64,
    pub(crate) index: Index,
    /// Whether what edges are told of it may be another. Not durable.
    pub(crate) touched: bool,
}

/// What is durable of a service beside its slots.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) spec: ServiceSpec,
    pub(crate) version: u64,
    pub(crate) versions: BTreeMap<u64, Version>,
    pub(crate) good: Option<u64>,
    pub(crate) deployment: Option<Deployment>,
    pub(crate) deleting: bool,
    pub(crate) start_floor: u64,
}

impl Service {
    /// `shape` is that of no other version of any service.
    pub(crate) fn create(
        spec: ServiceSpec,
        shape: u64,
        configs: BTreeMap<String, u64>,
        start_floor: u64,
        cx: &mut Context<'_>,
    ) -> Self {
        let version = Version::new(1, shape, &spec, configs, cx.now());
        let kept = Kept {
            version: 1,
            deployment: Some(Deployment::new(1, None, &spec.update, cx.now())),
            versions: BTreeMap::from([(1, version)]),
            good: None,
            deleting: false,
            start_floor,
            spec,
        };
        let mut service = Self::recover(kept, BTreeMap::new());
        service.store_version(1, cx);
        service.store(cx);
        service.advance(cx);
        service
    }

    /// Takes up what records say; slots without one were never started.
    pub(crate) fn recover(kept: Kept, slots: BTreeMap<u32, Slot>) -> Self {
        let Kept {
            spec,
            version,
            versions,
            good,
            deployment,
            deleting,
            start_floor,
        } = kept;
        let mut service = Self {
            index: Index::of(slots.values(), version),
            filled_with: deployment.as_ref().map_or(version, Deployment::for_new_slots),
            spec,
            version,
            versions,
            good,
            deployment,
            deleting,
            start_floor,
            slots,
            touched: true,
        };
        service.fill();
        service
    }

    /// Slots from here on are not to be.
    fn target(&self) -> u32 {
        match self.spec.mode {
            _ if self.deleting => 0,
            Mode::Replicated => self.spec.replicas,
            Mode::Daemon => u32::MAX,
        }
    }

    /// How many replicas there shall be, as far as that is known: of a daemon as many as there are agents for it.
    pub(crate) fn n_wanted(&self) -> u32 {
        match self.spec.mode {
            Mode::Replicated => self.spec.replicas,
            Mode::Daemon => u32::try_from(self.slots.len()).unwrap_or(u32::MAX),
        }
    }

    /// Whether it has an address and ports of its own.
    pub(crate) fn is_exposed(&self) -> bool {
        !self.spec.expose.is_empty() && !self.deleting
    }

    /// The roles of its versions: replicas of any of them may have to start again.
    pub(crate) fn roles(&self) -> impl Iterator<Item = &Role> {
        self.versions.values().map(|version| &version.role)
    }

    /// What slots that were never started are to run.
    pub(crate) fn filled_with(&self) -> u64 {
        self.filled_with
    }

    /// Whether nothing is left of a deleted service.
    pub(crate) fn is_over(&self) -> bool {
        self.deleting && self.slots.is_empty()
    }

    /// Takes what is not a version: number of replicas, and how the service is kept.
    pub(crate) fn set(&mut self, spec: ServiceSpec, cx: &mut Context<'_>) {
        self.spec = ServiceSpec {
            role: self.spec.role.clone(),
            task: self.spec.task.clone(),
            ..spec
        };
        self.touched = true;
        self.store(cx);
        self.resize(cx);
        self.advance(cx);
    }

    pub(crate) fn scale(&mut self, replicas: u32, cx: &mut Context<'_>) {
        self.spec.replicas = replicas;
        self.store(cx);
        self.resize(cx);
        self.advance(cx);
    }

    pub(crate) fn delete(&mut self, cx: &mut Context<'_>) {
        self.deleting = true;
        self.store(cx);
        self.resize(cx);
    }

    fn resize(&mut self, cx: &mut Context<'_>) {
        self.trim(cx);
        self.fill();
    }

    /// Makes a new version of a changed role or task, or of the same again, and deploys it.
    pub(crate) fn change(
        &mut self,
        spec: ServiceSpec,
        shape: u64,
        configs: BTreeMap<String, u64>,
        cx: &mut Context<'_>,
    ) {
        let number = self.latest() + 1;
        let shape = match spec.mode {
            Mode::Replicated => shape,
            // Tasks of all versions of a daemon are alike, as far as it is about one an agent.
            Mode::Daemon => self
                .versions
                .get(&self.version)
                .map_or(shape, |version| version.shape),
        };
        let version = Version::new(number, shape, &spec, configs, cx.now());
        self.spec = spec;
        self.versions.insert(number, version);
        self.store_version(number, cx);
        let deployment = Deployment::new(number, self.good, &self.spec.update, cx.now());
        self.turn_to(number, deployment, cx);
        self.resize(cx);
        self.advance(cx);
    }

    /// Makes a known version the service's own. What backs off has a new chance.
    pub(crate) fn turn_to(&mut self, number: u64, deployment: Deployment, cx: &mut Context<'_>) {
        if let Some(before) = self.versions.get_mut(&self.version)
            && before.outcome == Outcome::Deploying
            && before.number != number
        {
            before.outcome = Outcome::Superseded;
            self.store_version(self.version, cx);
        }
        if let Some(version) = self.versions.get(&number) {
            self.spec.role = version.role.clone();
            self.spec.task = version.task.clone();
        }
        self.version = number;
        self.deployment = Some(deployment);
        self.touched = true;
        self.store(cx);
        self.index = Index::of(self.slots.values(), number);
        let backing_off: Vec<_> = self.index.backing_off.iter().copied().collect();
        for (slot, place) in backing_off {
            self.edit_at(slot, place, cx, Instance::forgive);
        }
        self.drop_successors(cx);
    }

    /// Sets what became of a version.
    pub(crate) fn conclude(&mut self, number: u64, outcome: Outcome, cx: &mut Context<'_>) {
        if let Some(version) = self.versions.get_mut(&number) {
            version.outcome = outcome;
            self.store_version(number, cx);
        }
    }

    /// Forgets old versions that nothing needs.
    pub(crate) fn forget_versions(&mut self, cx: &mut Context<'_>) {
        let mut in_use: BTreeSet<u64> = self.good.into_iter().chain([self.version]).collect();
        let deployment = self.deployment.iter();
        in_use.extend(deployment.flat_map(|deployment| deployment.from.into_iter().chain([deployment.to])));
        for slot in self.slots.values() {
            in_use.extend(slot.instances().map(|(_, instance)| instance.version));
        }
        for number in forgettable(&self.versions, |number| in_use.contains(&number)) {
            self.versions.remove(&number);
            cx.delete(records::version_key(&self.spec.name, number));
        }
    }

    /// Takes the status of a task of this service; tells whether the task is the latest of its place in a slot.
    pub(crate) fn update(&mut self, parts: Parts<'_>, status: &TaskStatus, cx: &mut Context<'_>) -> bool {
        let slot = self.slots.get(&parts.slot);
        let Some((slot, place)) = slot.and_then(|slot| Some((slot, slot.find(parts.start)?))) else {
            return false;
        };
        let Some(instance) = slot.at(place) else {
            return false;
        };
        let (now, terms) = (cx.now(), self.terms(instance.version));
        let was_stopping = instance.is_stopping().then_some(place);
        let mut crashes = None;
        self.edit(parts.slot, cx, |slot| {
            if let Some(instance) = slot.at_mut(place) {
                instance.update(now, terms, status);
                let is_loop = instance.n_failures >= CRASH_LOOP && !taken_away(status.state);
                crashes = is_loop.then_some(instance.version);
            }
            slot.settle(was_stopping);
        });
        self.trim_slot(parts.slot, cx);
        if crashes == Some(self.version) {
            self.crash_loop(parts.slot, status, cx);
        }
        self.advance(cx);
        true
    }

    fn terms(&self, version: u64) -> Terms {
        let task = self.versions.get(&version).map(|version| &version.task);
        let container = &task.unwrap_or(&self.spec.task).container;
        Terms {
            has_health: container.health.is_some(),
            has_readiness: container.readiness.is_some(),
            min_healthy: self.spec.update.min_healthy,
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, cx: &mut Context<'_>) {
        if self.next_deadline().is_none_or(|at| cx.now() < at) {
            return;
        }
        while let Some((at, slot, place)) = self.index.turns.first().copied()
            && at <= cx.now()
        {
            let mut kill = None;
            self.edit(slot, cx, |slot| {
                if let Some(instance) = slot.at_mut(place) {
                    kill = instance.turn().then_some(instance.start);
                }
                slot.settle(None);
            });
            if let Some(start) = kill {
                self.kill(slot, start, cx);
            }
            self.trim_slot(slot, cx);
        }
        self.advance(cx);
    }

    /// Whether there is a task on that agent that could be started elsewhere.
    pub(crate) fn is_on(&self, agent: &AgentId) -> bool {
        self.on(agent).next().is_some()
    }

    /// The tasks on that agent that nobody asked to stop.
    pub(crate) fn on(&self, agent: &AgentId) -> impl Iterator<Item = (u32, Place, &Instance)> {
        let instances = self.slots.values().flat_map(|slot| {
            let instances = slot.instances();
            instances.map(|(place, instance)| (slot.number, place, instance))
        });
        instances
            .filter(move |(.., instance)| instance.agent_id.as_ref() == Some(agent) && instance.is_live())
    }

    /// Gives up what runs on an agent. The tasks are killed when it is back, however long that takes: the session and the
    /// master see to it.
    pub(crate) fn lose(&mut self, agent: &AgentId, cx: &mut Context<'_>) {
        let there = self.on(agent);
        let there: Vec<_> = there
            .map(|(slot, place, instance)| (slot, place, instance.start))
            .collect();
        for (slot, place, start) in there {
            self.edit(slot, cx, |slot| {
                if let Some(instance) = slot.at_mut(place) {
                    instance.lost();
                }
                slot.settle(None);
            });
            self.trim_slot(slot, cx);
            self.kill(slot, start, cx);
        }
        self.advance(cx);
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let turn = self.index.turns.first().map(|(at, ..)| *at);
        turn.into_iter().chain(self.fails_at()).min()
    }

    pub(crate) fn edit_at(
        &mut self,
        slot: u32,
        place: Place,
        cx: &mut Context<'_>,
        change: impl FnOnce(&mut Instance),
    ) {
        self.edit(slot, cx, |slot| {
            if let Some(instance) = slot.at_mut(place) {
                change(instance);
            }
        });
    }

    /// Asks the task of an instance to stop; what serves has left discovery for a while before.
    pub(crate) fn stop(&mut self, slot: u32, place: Place, cx: &mut Context<'_>) {
        let delay = self.spec.shutdown_delay();
        let leaves_at = (!delay.is_zero()).then(|| cx.now().after(delay));
        let mut kill = None;
        self.edit_at(slot, place, cx, |instance| {
            let is_told = instance.serves() && instance.reach.is_some();
            let kills_at = leaves_at.filter(|_| is_told);
            instance.stop(kills_at);
            kill = kills_at.is_none().then_some(instance.start);
        });
        if let Some(start) = kill {
            self.kill(slot, start, cx);
        }
    }

    fn kill(&self, slot: u32, start: u64, cx: &mut Context<'_>) {
        if let Some(id) = self.parts(slot, start).id() {
            // The task brought its own policy along.
            cx.kill(&id, KillPolicy::default());
        }
    }

    /// Lets the slots that were never started run what new slots are to run now.
    pub(crate) fn refill(&mut self, cx: &mut Context<'_>) {
        let deployment = self.deployment.as_ref();
        let version = deployment.map_or(self.version, Deployment::for_new_slots);
        if self.filled_with == version {
            return;
        }
        self.filled_with = version;
        let new = self.slots.values().filter(|slot| slot.last_start == 0);
        let new: Vec<_> = new.map(|slot| slot.number).collect();
        for number in new {
            self.edit_at(number, Place::Task, cx, |task| task.turn_to(version));
        }
    }

    fn fill(&mut self) {
        if self.spec.mode == Mode::Daemon {
            return;
        }
        for number in 0..self.target() {
            if !self.slots.contains_key(&number) {
                let slot = Slot::new(number, self.filled_with);
                self.index.insert(&slot, self.version);
                self.slots.insert(number, slot);
            }
        }
    }

    /// Stops the slots beyond the target, or removes those without a task.
    fn trim(&mut self, cx: &mut Context<'_>) {
        let beyond = self.slots.range(self.target()..);
        let beyond: Vec<_> = beyond.map(|(slot, _)| *slot).collect();
        for slot in beyond.into_iter().rev() {
            self.trim_slot(slot, cx);
        }
    }

    fn trim_slot(&mut self, number: u32, cx: &mut Context<'_>) {
        let Some(slot) = self.slots.get(&number) else {
            return;
        };
        // A daemon that waits is started on whichever agent does not have it.
        let is_idle = || slot.instances().all(|(_, instance)| instance.is_waiting());
        if self.spec.mode == Mode::Daemon && is_idle() {
            return self.forget(number, cx);
        }
        if number < self.target() {
            return;
        }
        if !slot.has_task() {
            return self.forget(number, cx);
        }
        let live = slot.instances().filter(|(_, instance)| instance.is_live());
        let live: Vec<_> = live.map(|(place, _)| place).collect();
        for place in live {
            self.stop(number, place, cx);
        }
    }

    fn forget(&mut self, number: u32, cx: &mut Context<'_>) {
        let Some(slot) = self.slots.remove(&number) else {
            return;
        };
        self.index.remove(&slot);
        if slot.last_start == 0 {
            return;
        }
        cx.delete(records::slot_key(&self.spec.name, number));
        if slot.last_start > self.start_floor {
            self.start_floor = slot.last_start;
            self.store(cx);
        }
    }

    /// The only writer of a slot.
    pub(crate) fn edit(&mut self, slot: u32, cx: &mut Context<'_>, change: impl FnOnce(&mut Slot)) {
        let Some(slot) = self.slots.get_mut(&slot) else {
            return;
        };
        let before = slot.clone();
        change(slot);
        if *slot == before {
            return;
        }
        self.index.remove(&before);
        self.index.insert(slot, self.version);
        self.touched |= slot.is_told_otherwise_than(&before);
        // A slot that was never started has nothing to remember.
        if slot.last_start > 0 {
            cx.put(
                records::slot_key(&self.spec.name, slot.number),
                records::slot(slot),
            );
        }
    }

    pub(crate) fn store(&self, cx: &mut Context<'_>) {
        cx.put(records::service_key(&self.spec.name), records::service(self));
    }

    fn store_version(&self, number: u64, cx: &mut Context<'_>) {
        if let Some(version) = self.versions.get(&number) {
            let key = records::version_key(&self.spec.name, number);
            cx.put(key, records::version(version));
        }
    }

    pub(crate) fn parts(&self, slot: u32, start: u64) -> Parts<'_> {
        Parts {
            service: &self.spec.name,
            slot,
            start,
        }
    }
}

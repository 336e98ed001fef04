//! One service: its slots, kept at the wanted number and at the current version.
//!
//! Invariant: slots 0 to the target exist, others only until their task has ended; the index and the stored
//! records always match the replicas. The target is `replicas`, or 0 while the service is being deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_session::Context;
use proffer_types::{
    AgentId, KillPolicy, Placement, Resources, Shape, ShapeId, TaskId, TaskInfo, TaskStatus, Timestamp,
};

use crate::index::Index;
use crate::records;
use crate::replica::Replica;
use crate::spec::{ServiceSpec, ServiceTask, is_amounts};
use crate::task_id::Parts;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) spec: ServiceSpec,
    /// Not that of another service; its shape goes by it.
    pub(crate) number: u64,
    /// Counts the changes of role and task, from 1.
    pub(crate) version: u64,
    pub(crate) deleting: bool,
    /// The first start of a slot takes a greater number: slots of that number may have been before.
    pub(crate) start_floor: u64,
    pub(crate) replicas: BTreeMap<u32, Replica>,
    pub(crate) index: Index,
}

/// What is durable of a service beside spec and replicas.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) number: u64,
    pub(crate) version: u64,
    pub(crate) deleting: bool,
    pub(crate) start_floor: u64,
}

impl Service {
    pub(crate) fn create(spec: ServiceSpec, number: u64, start_floor: u64, cx: &mut Context<'_>) -> Self {
        let kept = Kept {
            number,
            version: 1,
            deleting: false,
            start_floor,
        };
        let service = Self::recover(spec, kept, BTreeMap::new());
        service.store(cx);
        service
    }

    /// Takes up what records say; slots without one were never started.
    pub(crate) fn recover(spec: ServiceSpec, kept: Kept, replicas: BTreeMap<u32, Replica>) -> Self {
        let Kept {
            number,
            version,
            deleting,
            start_floor,
        } = kept;
        let mut service = Self {
            index: Index::of(replicas.values(), version),
            spec,
            number,
            version,
            deleting,
            start_floor,
            replicas,
        };
        service.fill();
        service
    }

    /// How many replicas there shall be.
    pub(crate) fn target(&self) -> u32 {
        if self.deleting { 0 } else { self.spec.replicas }
    }

    /// Whether nothing is left of a deleted service.
    pub(crate) fn is_over(&self) -> bool {
        self.deleting && self.replicas.is_empty()
    }

    pub(crate) fn set_lost_after(&mut self, lost_after: Option<Duration>) {
        self.spec.lost_after = lost_after;
    }

    pub(crate) fn scale(&mut self, replicas: u32, cx: &mut Context<'_>) {
        self.spec.replicas = replicas;
        self.store(cx);
        self.trim(cx);
        self.fill();
    }

    pub(crate) fn delete(&mut self, cx: &mut Context<'_>) {
        self.deleting = true;
        self.store(cx);
        self.trim(cx);
    }

    /// Takes a changed role or task: all slots get a new chance, and new starts are of the new version.
    pub(crate) fn change(&mut self, spec: ServiceSpec, cx: &mut Context<'_>) {
        self.spec = spec;
        self.version += 1;
        let backing_off: Vec<_> = self.index.backing_off.iter().map(|(_, slot)| *slot).collect();
        self.index = Index::of(self.replicas.values(), self.version);
        for slot in backing_off {
            self.edit(slot, cx, Replica::forgive);
        }
        self.scale(self.spec.replicas, cx);
        self.roll(cx);
    }

    /// Takes the status of a task of this service; tells whether the task is the latest of its slot.
    pub(crate) fn update(&mut self, parts: Parts<'_>, status: &TaskStatus, cx: &mut Context<'_>) -> bool {
        let latest = self.replicas.get(&parts.slot).map(|replica| replica.start);
        if latest != Some(parts.start) || parts.start == 0 {
            return false;
        }
        let (now, version) = (cx.now(), self.version);
        self.edit(parts.slot, cx, |replica| replica.update(now, version, status));
        self.trim_slot(parts.slot, cx);
        self.roll(cx);
        true
    }

    /// Ends the pauses that are over.
    pub(crate) fn tick(&mut self, cx: &mut Context<'_>) {
        while let Some((until, slot)) = self.index.backing_off.first().copied()
            && until <= cx.now()
        {
            self.edit(slot, cx, Replica::back_off_over);
        }
    }

    /// Whether there is a task on that agent that could be started elsewhere.
    pub(crate) fn is_on(&self, agent: &AgentId) -> bool {
        self.on(agent).next().is_some()
    }

    fn on(&self, agent: &AgentId) -> impl Iterator<Item = &Replica> {
        let there = move |replica: &&Replica| replica.agent_id.as_ref() == Some(agent);
        let replicas = self.replicas.values().filter(there);
        replicas.filter(|replica| replica.has_task() && !replica.is_stopping())
    }

    /// Gives up what runs on an agent. The tasks are killed when it is back, however long that takes: the session and the
    /// master see to it.
    pub(crate) fn lose(&mut self, agent: &AgentId, cx: &mut Context<'_>) {
        let slots: Vec<_> = self
            .on(agent)
            .map(|replica| (replica.slot, replica.start))
            .collect();
        for (slot, start) in slots {
            self.edit(slot, cx, Replica::lost);
            if let Some(id) = self.parts(slot, start).id() {
                cx.kill(&id, KillPolicy::default());
            }
        }
        self.roll(cx);
    }

    /// Goes on with replacing what runs on agents that are to be left, one serving replica at a time.
    pub(crate) fn leave(&mut self, agents: &BTreeSet<AgentId>, cx: &mut Context<'_>) {
        if !self.index.unsettled.is_empty() {
            return;
        }
        let is_there = |replica: &&Replica| {
            let agent = replica.agent_id.as_ref();
            let is_live = replica.has_task() && !replica.is_stopping();
            is_live && agent.is_some_and(|agent| agents.contains(agent))
        };
        if let Some(slot) = self.replicas.values().find(is_there).map(|replica| replica.slot) {
            self.edit(slot, cx, |replica| replica.replacing = true);
            self.stop(slot, cx);
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.index.backing_off.first().map(|(until, _)| *until)
    }

    /// Starts the first slot that waits, on that agent, with those resources.
    pub(crate) fn start_next(
        &mut self,
        agent_id: &AgentId,
        resources: Resources,
        cx: &mut Context<'_>,
    ) -> Option<TaskInfo> {
        let slot = self.index.waiting.first().copied()?;
        let latest = self.replicas.get(&slot)?.start;
        let start = if latest == 0 { self.start_floor } else { latest } + 1;
        let id = self.parts(slot, start).id()?;
        let version = self.version;
        self.edit(slot, cx, |replica| {
            replica.started(start, version, agent_id.clone());
        });
        Some(self.task(id, slot, agent_id.clone(), resources))
    }

    fn task(&self, id: TaskId, slot: u32, agent_id: AgentId, resources: Resources) -> TaskInfo {
        let ServiceTask {
            resources: _,
            mut container,
            kill_policy,
            limits,
            rules: _,
        } = self.spec.task.clone();
        let name = &self.spec.name;
        container.env.insert("PROFFER_SERVICE".to_owned(), name.clone());
        container
            .env
            .insert("PROFFER_REPLICA".to_owned(), slot.to_string());
        TaskInfo {
            id,
            name: format!("{name}.{slot}"),
            agent_id,
            resources,
            container,
            kill_policy,
            labels: BTreeMap::new(),
            max_completion_time: None,
            limits,
            shape: Some(ShapeId(self.number)),
            executor: None,
            data: Vec::new(),
        }
    }

    /// What the master is asked for; none when nothing waits.
    pub(crate) fn shape(&self) -> Option<Shape> {
        let count = u32::try_from(self.index.waiting.len()).unwrap_or(u32::MAX);
        let ServiceTask {
            resources,
            rules,
            container,
            ..
        } = &self.spec.task;
        (count > 0 && is_amounts(resources)).then(|| Shape {
            constraints: rules.constraints.clone(),
            max_per_agent: rules.max_per_agent,
            placement: rules.placement.unwrap_or(Placement::Spread),
            n_ports: container.network.n_dynamic_ports(),
            ..Shape::new(ShapeId(self.number), resources.clone(), count)
        })
    }

    /// Goes on with the replacement of earlier versions, one serving replica at a time.
    fn roll(&mut self, cx: &mut Context<'_>) {
        while let Some(slot) = self.index.stale.first().copied() {
            self.stop(slot, cx);
        }
        if self.index.unsettled.is_empty()
            && let Some(slot) = self.index.outdated.first().copied()
        {
            self.edit(slot, cx, |replica| replica.replacing = true);
            self.stop(slot, cx);
        }
    }

    fn stop(&mut self, slot: u32, cx: &mut Context<'_>) {
        self.edit(slot, cx, Replica::stop);
        let start = self.replicas.get(&slot).map_or(0, |replica| replica.start);
        if let Some(id) = self.parts(slot, start).id() {
            // The task brought its own policy along.
            cx.kill(&id, KillPolicy::default());
        }
    }

    fn fill(&mut self) {
        for slot in 0..self.target() {
            if !self.replicas.contains_key(&slot) {
                let replica = Replica::new(slot);
                self.index.insert(&replica, self.version);
                self.replicas.insert(slot, replica);
            }
        }
    }

    /// Stops the slots beyond the target, or removes those without a task.
    fn trim(&mut self, cx: &mut Context<'_>) {
        let beyond: Vec<_> = self
            .replicas
            .range(self.target()..)
            .map(|(slot, _)| *slot)
            .collect();
        for slot in beyond.into_iter().rev() {
            self.trim_slot(slot, cx);
        }
    }

    fn trim_slot(&mut self, slot: u32, cx: &mut Context<'_>) {
        let Some(replica) = self.replicas.get(&slot).filter(|_| slot >= self.target()) else {
            return;
        };
        if !replica.has_task() {
            self.forget(slot, cx);
        } else if !replica.is_stopping() {
            self.stop(slot, cx);
        }
    }

    fn forget(&mut self, slot: u32, cx: &mut Context<'_>) {
        let Some(replica) = self.replicas.remove(&slot) else {
            return;
        };
        self.index.remove(&replica);
        if replica.start == 0 {
            return;
        }
        cx.delete(records::replica_key(&self.spec.name, slot));
        if replica.start > self.start_floor {
            self.start_floor = replica.start;
            self.store(cx);
        }
    }

    /// The only writer of a replica.
    fn edit(&mut self, slot: u32, cx: &mut Context<'_>, change: impl FnOnce(&mut Replica)) {
        let Some(replica) = self.replicas.get_mut(&slot) else {
            return;
        };
        let before = replica.clone();
        change(replica);
        if *replica == before {
            return;
        }
        self.index.remove(&before);
        self.index.insert(replica, self.version);
        // A slot that was never started has nothing to remember.
        if replica.start > 0 {
            cx.put(
                records::replica_key(&self.spec.name, slot),
                records::replica(replica),
            );
        }
    }

    fn store(&self, cx: &mut Context<'_>) {
        cx.put(records::service_key(&self.spec.name), records::service(self));
    }

    fn parts(&self, slot: u32, start: u64) -> Parts<'_> {
        Parts {
            service: &self.spec.name,
            slot,
            start,
        }
    }
}

//! The shipped service scheduler with a user: services are created, scaled, changed and deleted when their time comes.
//!
//! The user looks what is there and asks for what is not as it should be, again and again: so what a crash took is asked
//! for once more. When all faults are over every replica has to run; after that the user deletes everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proffer_service_core::{Key, Pool, ReplicaState, ServiceSpec, ServiceView, Services, Steer};
use proffer_session::{Context, RecoverError, Scheduler};
use proffer_types::{
    AgentId, FrameworkId, KnownAgent, Offer, OfferId, OfferPreferences, OperationStatus, Resources, Role,
    TaskStatus, Timestamp,
};

use crate::facts::Promises;
use crate::scenario::FrameworkPlan;
use crate::service_plan::ServicePlan;

/// How often the user looks.
const LOOKS_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct ServiceLoad {
    plan: Arc<FrameworkPlan>,
    services: Services,
    looks_at: Timestamp,
    looked_at: Timestamp,
    /// Every replica of every service ran at once, after all faults.
    was_whole: bool,
}

impl ServiceLoad {
    pub(crate) fn new(plan: Arc<FrameworkPlan>) -> Self {
        Self {
            plan,
            services: Services::new(Pool::default(), Key::new([7; 32])),
            looks_at: Timestamp(0),
            looked_at: Timestamp(0),
            was_whole: false,
        }
    }

    /// What is not as it should be in the end, for people.
    pub(crate) fn left(&self) -> Vec<String> {
        let services = self.services.list();
        if services.is_empty() && self.was_whole {
            return Vec::new();
        }
        let states = services.iter().map(|view| {
            let states = view.replicas.iter().map(|replica| replica.state);
            let states: Vec<_> = states.collect();
            let why = self.services.explain(&view.spec.name, self.looked_at);
            format!(
                "{} of {} replicas, deleting {}: {states:?}, {}",
                view.spec.name,
                view.spec.replicas,
                view.deleting,
                why.unwrap_or_default().join(", ")
            )
        });
        let whole = format!("was whole: {}", self.was_whole);
        states.chain([whole]).collect()
    }

    /// What its user was told: what is there, and what was deleted.
    pub(crate) fn promises(&self) -> Promises {
        let views = self.services.list();
        let mut promises = Promises::new();
        for plan in self.wanted() {
            let view = views.iter().find(|view| view.spec.name == plan.name);
            let deleted = || Some("deleted".to_owned());
            match view {
                Some(view) => promises.insert(plan.name.clone(), view.deleting.then(deleted).flatten()),
                None if self.was_whole || plan.wanted_at(self.looked_at) == Some(None) => {
                    promises.insert(plan.name.clone(), deleted())
                }
                None => None,
            };
        }
        promises
    }

    fn wanted(&self) -> impl Iterator<Item = &ServicePlan> {
        self.plan.services.iter().filter(|plan| !plan.is_left_out)
    }

    fn look(&mut self, cx: &mut Context<'_>) {
        self.looked_at = cx.now();
        self.looks_at = cx.now().after(LOOKS_EVERY);
        let plans: Vec<_> = self.wanted().cloned().collect();
        let is_late = cx.now() >= self.plan.settles_at;
        if is_late && !self.was_whole {
            let views = self.services.list();
            self.was_whole = plans.iter().all(|plan| {
                let view = views.iter().find(|view| view.spec.name == plan.name);
                match plan.wanted_at(cx.now()) {
                    Some(Some(spec)) => view.is_some_and(|view| is_whole(view, spec)),
                    Some(None) | None => view.is_none(),
                }
            });
        }
        for plan in &plans {
            let wanted = plan.wanted_at(cx.now());
            let wanted = if self.was_whole {
                wanted.map(|_| None)
            } else {
                wanted
            };
            if let Some(wanted) = wanted {
                self.ask(&plan.name, wanted, cx);
            }
        }
    }

    /// Asks for what is not as it should be. What is refused is asked for again at the next look.
    fn ask(&mut self, name: &str, wanted: Option<&ServiceSpec>, cx: &mut Context<'_>) {
        let view = self.services.get(name).ok();
        match (view, wanted) {
            (Some(view), None) if !view.deleting => {
                let deleted = self.services.delete(name, cx);
                assert!(deleted.is_ok(), "{deleted:?}");
            }
            (Some(view), Some(spec))
                if view.spec.task == spec.task && view.spec.replicas != spec.replicas =>
            {
                let _ = self.services.scale(name, spec.replicas, cx);
            }
            (Some(view), Some(spec)) if view.spec == *spec => {
                // What failed, and is not taken back by itself, waits for somebody.
                if view.deployment.is_some_and(|deployment| deployment.has_failed()) {
                    let _ = self.services.steer(name, Steer::Resume, cx);
                }
            }
            (_, Some(spec)) => {
                let _ = self.services.apply(spec.clone(), cx);
            }
            (Some(_) | None, None) => {}
        }
    }
}

fn is_whole(view: &ServiceView, spec: &ServiceSpec) -> bool {
    let n_replicas = usize::try_from(spec.replicas).unwrap_or(usize::MAX);
    let mut replicas = view.replicas.iter();
    view.spec == *spec
        && view.replicas.len() == n_replicas
        && replicas.all(|replica| replica.state == ReplicaState::Running && replica.version == view.version)
}

impl Scheduler for ServiceLoad {
    fn recover(&mut self, records: &[(String, Vec<u8>)]) -> Result<(), RecoverError> {
        self.services.recover(records)
    }

    fn subscribed(&mut self, cx: &mut Context<'_>, framework_id: &FrameworkId) {
        self.services.subscribed(cx, framework_id);
    }

    fn disconnected(&mut self, cx: &mut Context<'_>) {
        self.services.disconnected(cx);
    }

    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) {
        self.services.offers(cx, offers);
    }

    fn rescinded(&mut self, cx: &mut Context<'_>, offer: &OfferId) {
        self.services.rescinded(cx, offer);
    }

    fn update(&mut self, cx: &mut Context<'_>, status: &TaskStatus) {
        self.services.update(cx, status);
    }

    fn operation_update(&mut self, cx: &mut Context<'_>, status: &OperationStatus) {
        self.services.operation_update(cx, status);
    }

    fn agent_lost(&mut self, cx: &mut Context<'_>, agent: &AgentId) {
        self.services.agent_lost(cx, agent);
    }

    fn shapes(&mut self, cx: &mut Context<'_>, n_agents: u32, largest: &[Resources]) {
        self.services.shapes(cx, n_agents, largest);
    }

    fn wants_agents(&self) -> bool {
        self.services.wants_agents()
    }

    fn agents(&mut self, cx: &mut Context<'_>, agents: &[KnownAgent], gone: &[AgentId]) {
        self.services.agents(cx, agents, gone);
    }

    fn roles(&self) -> Option<&BTreeSet<Role>> {
        self.services.roles()
    }

    fn preferences(&self) -> Option<&BTreeMap<Role, OfferPreferences>> {
        self.services.preferences()
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        self.services.tick(cx);
        if self.looks_at <= cx.now() {
            self.look(cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        // There is nothing more to look for.
        let is_over = self.was_whole && self.services.list().is_empty();
        let looks_at = (!is_over).then_some(self.looks_at);
        [looks_at, self.services.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }
}

//! How a service gets from one version to another: who is replaced next, and what becomes of the deployment.
//!
//! Called after whatever changed anything. What it costs follows what there is to do; only while canaries are tried, and
//! when a deployment fails, all slots are looked at.

use std::time::Duration;

use proffer_session::Context;
use proffer_types::{TaskStatus, Timestamp};

use crate::deployment::{Deployment, Ending, Failure};
use crate::explain::ending;
use crate::instance::{Instance, Phase, Serves};
use crate::service::Service;
use crate::slot::{Place, Slot};
use crate::version::Outcome;

impl Service {
    /// Goes on as far as it may.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) {
        if self.deleting {
            return;
        }
        self.judge(cx);
        self.refill(cx);
        self.relieve(cx);
        let deployment = self.deployment.as_ref();
        if deployment.is_none_or(Deployment::may_replace) {
            self.replace(cx);
        } else if deployment.is_some_and(Deployment::is_trying) {
            self.try_out(cx);
        }
    }

    /// How many slots have an available task of the service's version.
    fn n_fresh(&self) -> u32 {
        u32::try_from(self.index.fresh.len()).unwrap_or(u32::MAX)
    }

    /// Whether somebody has to promote the deployment.
    pub(crate) fn awaits_promotion(&self) -> bool {
        let deployment = self.deployment.as_ref();
        deployment.is_some_and(|deployment| deployment.awaits_promotion(&self.spec.update, self.n_wanted()))
    }

    /// When the deployment has failed unless there is progress.
    pub(crate) fn fails_at(&self) -> Option<Timestamp> {
        let deployment = self.deployment.as_ref().filter(|_| !self.deleting)?;
        deployment.fails_at(&self.spec.update, self.n_wanted())
    }

    /// Notes progress, promotes, and ends the deployment.
    fn judge(&mut self, cx: &mut Context<'_>) {
        let (now, n_fresh) = (cx.now(), self.n_fresh());
        let policy = self.spec.update;
        let fails_at = self.fails_at();
        let n_wanted = self.n_wanted();
        let is_whole = self.index.settled.len() == n_wanted as usize && self.slots.len() == n_wanted as usize;
        let Some(deployment) = self.deployment.as_mut() else {
            return;
        };
        // What failed and then went well after all is good, too.
        if !(deployment.is_active() || deployment.has_failed()) {
            return;
        }
        let before = deployment.clone();
        if n_fresh > deployment.best {
            deployment.best = n_fresh;
            deployment.progressed = now;
        }
        let gate = Deployment::gate(&policy, n_wanted);
        deployment.promoted |= n_fresh >= gate && !policy.promote_by_hand;
        let has_progressed = deployment.progressed != before.progressed;
        if is_whole {
            deployment.promoted = true;
            deployment.ended = Some(Ending {
                at: now,
                failed: None,
            });
            let to = deployment.to;
            self.good = Some(to);
            self.conclude(to, Outcome::Good, cx);
            self.forget_versions(cx);
            self.store(cx);
        } else if !has_progressed && fails_at.is_some_and(|at| at <= now) {
            let why = self.stuck(policy.deadline);
            self.fail(why, cx);
        } else if *deployment != before {
            self.store(cx);
        }
    }

    fn stuck(&self, deadline: Duration) -> String {
        let n_fresh = self.n_fresh();
        let blocker = self
            .blocker()
            .map_or(String::new(), |blocker| format!(": {blocker}"));
        format!(
            "no progress within {deadline:?}, with {n_fresh} of {} replicas available{blocker}",
            self.n_wanted()
        )
    }

    /// A replica of the service's version fails again and again.
    pub(crate) fn crash_loop(&mut self, slot: u32, status: &TaskStatus, cx: &mut Context<'_>) {
        if self.deployment.as_ref().is_some_and(Deployment::is_active) {
            let why = format!("replica {slot} is in a crash loop, the latest {}", ending(status));
            self.fail(why, cx);
        }
    }

    /// The deployment has failed: back to the last good version, where there is one and it is wanted.
    fn fail(&mut self, why: String, cx: &mut Context<'_>) {
        let now = cx.now();
        let Some(deployment) = self.deployment.as_mut().filter(|old| old.is_active()) else {
            return;
        };
        let (version, is_rollback) = (deployment.to, deployment.rolls_back.is_some());
        let good = self.good.filter(|good| *good != version && !is_rollback);
        if let Some(good) = good.filter(|_| self.spec.update.auto_rollback) {
            self.conclude(version, Outcome::Failed(why.clone()), cx);
            let failure = Failure { version, why };
            self.turn_to(good, Deployment::rollback(good, Some(failure), now), cx);
            return;
        }
        deployment.ended = Some(Ending {
            at: now,
            failed: Some(why.clone()),
        });
        self.conclude(version, Outcome::Failed(why), cx);
        self.store(cx);
    }

    /// Stops what has an available successor, where old replicas may stop. A move leaves the version as it is, so it always may.
    fn relieve(&mut self, cx: &mut Context<'_>) {
        let may_replace = self.deployment.as_ref().is_none_or(Deployment::may_replace);
        let relieved: Vec<_> = self.index.relieved.iter().copied().collect();
        for number in relieved {
            let Some(slot) = self.slots.get(&number) else {
                continue;
            };
            let is_move = slot.next.as_ref().map(|next| next.version) == Some(slot.task.version);
            if !may_replace && !is_move {
                continue;
            }
            if slot.task.has_task() {
                self.stop(number, Place::Task, cx);
            } else {
                self.edit(number, cx, |slot| slot.settle(Some(Place::Task)));
            }
        }
    }

    /// Replaces what is of another version: at once what does not serve, and else as many as may surge or be unavailable.
    fn replace(&mut self, cx: &mut Context<'_>) {
        let stale: Vec<_> = self.index.stale.iter().copied().collect();
        let version = self.version;
        for number in stale {
            let is_live = self.slots.get(&number).is_some_and(|slot| slot.task.is_live());
            if is_live {
                self.stop(number, Place::Task, cx);
            } else {
                self.edit_at(number, Place::Task, cx, |task| task.turn_to(version));
            }
        }
        let (surge, unavailable) = self.spec.update.bounds(self.n_wanted());
        while let Some(number) = self.index.outdated.first().copied() {
            let n_missing = (self.n_wanted() as usize).saturating_sub(self.index.available.len());
            if self.index.paired.len() < surge as usize {
                self.succeed(number, version, cx);
            } else if n_missing < unavailable as usize {
                self.stop(number, Place::Task, cx);
            } else {
                break;
            }
        }
    }

    /// Starts canaries, or all of a blue-green deployment, beside what is there.
    fn try_out(&mut self, cx: &mut Context<'_>) {
        let gate = Deployment::gate(&self.spec.update, self.n_wanted()) as usize;
        let version = self.version;
        let is_new = |instance: &Instance| instance.version == version;
        let slots = self.slots.values();
        let n_tried = slots
            .filter(|slot| slot.instances().any(|(_, instance)| is_new(instance)))
            .count();
        let n_more = gate.saturating_sub(n_tried);
        let idle = self.index.stale.iter().copied();
        let is_idle = |slot: &Slot| !slot.has_task() && slot.last_start > 0;
        let idle = idle.filter(|number| self.slots.get(number).is_some_and(is_idle));
        let serving = self.index.outdated.iter().copied();
        let chosen: Vec<_> = idle.chain(serving).take(n_more).collect();
        for number in chosen {
            if self.index.outdated.contains(&number) {
                self.succeed(number, version, cx);
            } else {
                self.edit_at(number, Place::Task, cx, |task| task.turn_to(version));
            }
        }
    }

    /// Gives a slot a successor of that version.
    pub(crate) fn succeed(&mut self, number: u32, version: u64, cx: &mut Context<'_>) {
        self.edit(number, cx, |slot| {
            slot.next.get_or_insert_with(|| Instance::new(version));
        });
    }

    /// Takes away the successors that nobody wants any more.
    pub(crate) fn drop_successors(&mut self, cx: &mut Context<'_>) {
        let paired: Vec<_> = self.index.paired.iter().copied().collect();
        for number in paired {
            let Some(slot) = self.slots.get(&number) else {
                continue;
            };
            let Some(next) = slot.next.as_ref() else {
                continue;
            };
            let is_wanted = next.version == self.version || next.version == slot.task.version;
            // What has begun to stop is not to be missed: its successor takes over, and is replaced then.
            if is_wanted || slot.task.is_stopping() || next.is_stopping() {
                continue;
            }
            if next.has_task() {
                self.stop(number, Place::Next, cx);
            } else {
                self.edit(number, cx, |slot| slot.settle(Some(Place::Next)));
            }
        }
    }

    /// What keeps the deployment from going on, in words.
    pub(crate) fn blocker(&self) -> Option<String> {
        let version = self.versions.get(&self.version)?;
        let mut waits = self.index.waiting.get(&self.version).into_iter().flatten();
        if let Some((slot, _)) = waits.next() {
            let request = &version.task.resources;
            let rules = version.task.replica_rules.iter();
            let rules: Vec<_> = rules.map(ToString::to_string).collect();
            let rules = match rules.is_empty() {
                true => String::new(),
                false => format!(", {}", rules.join(", ")),
            };
            return Some(format!("replica {slot} waits for an offer of {request}{rules}"));
        }
        let is_new = |instance: &&Instance| instance.version == self.version && !instance.is_available();
        for slot in self.slots.values() {
            let mut instances = slot.instances().map(|(_, instance)| instance);
            if let Some(instance) = instances.find(is_new) {
                return Some(format!("replica {} {}", slot.number, doing(instance)));
            }
        }
        None
    }
}

/// What one is about that is not available.
fn doing(instance: &Instance) -> String {
    let status = instance.status.as_ref();
    let latest = || status.map_or("nothing is heard of it yet".to_owned(), ending);
    match instance.phase {
        Phase::Waiting => "waits for an offer".to_owned(),
        Phase::BackingOff { .. } => format!("backs off after {} failures: {}", instance.n_failures, latest()),
        Phase::Starting => format!("does not run yet: {}", latest()),
        Phase::Running {
            serves: Serves::No, ..
        } => format!("runs, and is not healthy and ready: {}", latest()),
        Phase::Running { .. } => "has to stay healthy and ready for a while".to_owned(),
        Phase::Stopping { .. } => "stops".to_owned(),
    }
}

//! The conversation with the master, as a state machine around a scheduler.
//!
//! `Down --Connected--> Subscribing --Subscribed--> Up --Disconnected--> Down`
//!
//! Invariant: a task the scheduler launched is in `tasks`, durably, from before the master hears of it until
//! it is known to have ended; so is an operation with an id in `operations`. So whatever is lost on the way is found
//! by reconciliation. An offer is in `offers` as long as it may be used; none is while the link is not up.

mod accept;
mod demand;
mod events;
mod info;
mod offers;
mod ownership;
mod reconcile;
#[cfg(test)]
mod tests;
mod vet;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proffer_types::scheduler_link::{Call, Event};
use proffer_types::{
    FrameworkId, FrameworkInfo, OfferId, OfferPreferences, OperationId, OperationStatus, Role, TaskId,
    TaskStatus, Timestamp,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::records::{self, Live, LiveOperation};
use crate::{Context, Output, RecoverError, Scheduler};

use self::demand::Stated;
use self::offers::Offers;
use self::ownership::Ownership;
pub use self::ownership::UnknownTasks;
use self::reconcile::Reconcile;

/// Until the master tells its own: how often it sends a heartbeat, and we a ping.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// A master that asks for more frequent pings than this is misconfigured; we do not follow.
const MIN_HEARTBEAT_INTERVAL: Duration = Duration::from_millis(10);
/// After this many intervals of silence the link counts as lost: one heartbeat may be late, one lost.
const MISSED_HEARTBEATS: u32 = 3;

/// What a driver tells a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A stream to a master is open; nothing was sent on it.
    Connected,
    /// The stream is gone, whoever ended it.
    Disconnected,
    /// The master says something.
    Event(Event),
    /// The deadline of [`Session::next_deadline`] has come.
    Tick,
}

/// A scheduler and its conversation with the master.
///
/// The driver feeds it inputs and carries out each [`Output`] before the next input: commits the writes, then sends
/// the calls. When a commit fails nothing is sent; the session is dropped and recovered from the store.
#[derive(Debug)]
pub struct Session<S> {
    scheduler: S,
    /// With the id, once there is one, and with the roles and preferences that the scheduler wants.
    info: FrameworkInfo,
    /// Where the scheduler has none of its own.
    preferences: BTreeMap<Role, OfferPreferences>,
    rng: ChaCha8Rng,
    link: Link,
    heartbeat_interval: Duration,
    tasks: BTreeMap<TaskId, Live>,
    operations: BTreeMap<OperationId, LiveOperation>,
    offers: Offers,
    suppressed: BTreeSet<Role>,
    demand: Stated,
    ownership: Ownership,
    /// Updates of our own making, told at the next input.
    local: VecDeque<Local>,
    /// The time of the last input.
    now: Timestamp,
}

#[derive(Debug)]
enum Local {
    Task(TaskStatus),
    Operation(OperationStatus),
    /// Of an operation whose id another one has, of which it says nothing.
    Duplicate(OperationStatus),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Link {
    Down,
    Subscribing {
        since: Timestamp,
        /// As the subscription told it; what changed since has to be told after the answer.
        suppressed: BTreeSet<Role>,
        /// Whether it told other roles or preferences than are wanted now.
        outdated: bool,
    },
    Up {
        /// When the master last said anything.
        heard: Timestamp,
        /// When the next ping is due.
        ping: Timestamp,
        reconcile: Option<Reconcile>,
    },
}

impl<S: Scheduler> Session<S> {
    /// Takes up the conversation where the records left it; none on the first start. They are what the
    /// writes of earlier outputs left in the store, sorted by key; those that are not the session's go to
    /// [`Scheduler::recover`]. A stored framework id goes before the one of `info`.
    pub fn recover(
        info: FrameworkInfo,
        seed: u64,
        records: Vec<(String, Vec<u8>)>,
        mut scheduler: S,
    ) -> Result<Self, RecoverError> {
        let recovered = records::read(records)?;
        scheduler.recover(&recovered.others)?;
        let ownership = Ownership::new(recovered.framework_id.is_some(), recovered.teardown);
        let id = recovered.framework_id.or(info.id.clone());
        let mut info = FrameworkInfo { id, ..info };
        info.capabilities.agents |= scheduler.wants_agents();
        let mut session = Self {
            scheduler,
            preferences: info.preferences.clone(),
            info,
            rng: ChaCha8Rng::seed_from_u64(seed),
            link: Link::Down,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            tasks: recovered.tasks,
            operations: recovered.operations,
            offers: Offers::default(),
            suppressed: BTreeSet::new(),
            demand: Stated::default(),
            ownership,
            local: VecDeque::new(),
            now: Timestamp::default(),
        };
        session.take_info();
        Ok(session)
    }

    /// Takes one input and adds what follows from it to `out`.
    pub fn step(&mut self, now: Timestamp, input: Input, out: &mut Output) {
        self.now = now;
        self.tell_local(out);
        match input {
            Input::Connected => self.connected(out),
            Input::Disconnected => self.disconnected(out),
            Input::Event(event) => self.event(event, out),
            Input::Tick => self.tick(out),
        }
    }

    /// Runs a command of the framework's own API on the scheduler.
    pub fn with<R>(
        &mut self,
        now: Timestamp,
        out: &mut Output,
        command: impl FnOnce(&mut S, &mut Context<'_>) -> R,
    ) -> R {
        self.now = now;
        self.tell_local(out);
        self.run(out, command)
    }

    /// When [`Input::Tick`] is wanted at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let link = match &self.link {
            Link::Down => None,
            Link::Subscribing { since, .. } => Some(since.after(self.patience())),
            Link::Up {
                heard,
                ping,
                reconcile,
            } => {
                let lost = heard.after(self.patience());
                let again = reconcile.as_ref().map_or(lost, |reconcile| reconcile.due);
                Some(lost.min(*ping).min(again))
            }
        };
        let local = (!self.local.is_empty()).then_some(self.now);
        [link, local, self.scheduler.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The framework's id, once a master gave it one.
    #[must_use]
    pub fn framework_id(&self) -> Option<&FrameworkId> {
        self.info.id.as_ref()
    }

    /// Whether the framework is subscribed at the moment.
    #[must_use]
    pub fn is_subscribed(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// Tasks that are not known to have ended.
    pub fn live_tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks.keys()
    }

    /// The scheduler, for reading.
    #[must_use]
    pub fn scheduler(&self) -> &S {
        &self.scheduler
    }

    /// Gives the scheduler back, to recover a new session around it.
    #[must_use]
    pub fn into_scheduler(self) -> S {
        self.scheduler
    }

    fn connected(&mut self, out: &mut Output) {
        self.disconnected(out);
        self.link = Link::Subscribing {
            since: self.now,
            suppressed: self.suppressed.clone(),
            outdated: false,
        };
        self.heartbeat_interval = HEARTBEAT_INTERVAL;
        out.calls.push(Call::Subscribe {
            info: self.info.clone(),
            suppressed_roles: self.suppressed.clone(),
            adopt: self.ownership.adopts,
        });
    }

    fn disconnected(&mut self, out: &mut Output) {
        let was_up = self.is_subscribed();
        self.link = Link::Down;
        self.offers.clear();
        if was_up {
            self.run(out, |scheduler, cx| scheduler.disconnected(cx));
        }
    }

    fn tick(&mut self, out: &mut Output) {
        if self.scheduler.next_deadline().is_some_and(|due| due <= self.now) {
            self.run(out, |scheduler, cx| scheduler.tick(cx));
        }
        let (now, patience) = (self.now, self.patience());
        match &mut self.link {
            Link::Down => {}
            Link::Subscribing { since, .. } => out.disconnect |= since.after(patience) <= now,
            Link::Up { heard, ping, .. } => {
                out.disconnect |= heard.after(patience) <= now;
                if *ping <= now {
                    *ping = now.after(self.heartbeat_interval);
                    out.calls.push(Call::Ping);
                }
                self.reconcile_again(out);
            }
        }
    }

    /// How often the master is to hear something while no step is taken; `None` without a subscription.
    #[must_use]
    pub fn heartbeat(&self) -> Option<Duration> {
        self.is_subscribed().then_some(self.heartbeat_interval)
    }

    fn patience(&self) -> Duration {
        self.heartbeat_interval.saturating_mul(MISSED_HEARTBEATS)
    }

    /// Runs a method of the scheduler and vets what it asks for.
    fn run<R>(&mut self, out: &mut Output, method: impl FnOnce(&mut S, &mut Context<'_>) -> R) -> R {
        self.run_holding(out, &mut Vec::new(), method)
    }

    /// As [`Session::run`]; collects the offers that are to be held.
    fn run_holding<R>(
        &mut self,
        out: &mut Output,
        held: &mut Vec<OfferId>,
        method: impl FnOnce(&mut S, &mut Context<'_>) -> R,
    ) -> R {
        let mut asked = Output::default();
        let mut cx = Context::new(self.now, &mut self.rng, &mut asked, held);
        let result = method(&mut self.scheduler, &mut cx);
        self.follow_info(out);
        self.vet(asked, out);
        result
    }
}

//! One thing happens, one step is made of it, and the step is carried out: commit, answer, send.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::ControlFlow;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use proffer_grpc::leader::Masters;
use proffer_session::{Input, Output, Scheduler, Session, Write};
use proffer_store::CommitError;
use proffer_types::FrameworkInfo;
use proffer_types::scheduler_link::{Call, Event};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Config, Driver, RunError};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::handle::{Command, Deliver};
use crate::link::{Link, LinkError, Pings};
use crate::records::{OpenError, Records};
use crate::{CallError, Handle, Progress};

/// Calls taken in one step: enough to share a commit, few enough not to delay the master's events.
const CALLS_PER_STEP: usize = 64;

/// Where a step is cut, in bytes of keys and values to write: the store takes 16 MiB in one commit, and what one event or
/// call leads to comes on top.
const WRITES_PER_STEP: usize = 4 << 20;

/// The longest commit during which the framework calls itself well. Nothing is launched before it has ended, so a store that
/// takes longer makes it one whose offers are for others: the master takes it for silent then.
const LONGEST_COMMIT: Duration = Duration::from_secs(30);

pub(super) struct Running<S> {
    config: Config,
    records: Records,
    session: Session<S>,
    wire: Wire,
    /// Found while carrying out a step; the next step starts with it.
    lost: Option<LinkError>,
    /// Events of the last frame that wait for the step before them to be carried out.
    backlog: VecDeque<Event>,
    /// Calls that were taken, and wait for the step before them to be carried out.
    calls: VecDeque<Command<S>>,
    queue: mpsc::Receiver<Command<S>>,
    /// Keeps the queue open when nobody else holds a handle.
    _handle: Handle<S>,
    progress: watch::Sender<Progress>,
    /// How many tasks without a record were left to run, when last looked.
    n_kept: usize,
    clock: Clock,
    backoff: Backoff,
    masters: Masters,
}

enum Wire {
    Dialling(BoxFuture<'static, Result<Link, LinkError>>),
    Up(Link),
}

enum Happened<S> {
    Shutdown,
    Deposed,
    Commands(Vec<Command<S>>),
    Dialled(Result<Link, LinkError>),
    Events(Vec<Event>),
    Lost(LinkError),
    Deadline,
}

/// What a step leaves to be carried out.
#[derive(Default)]
struct Step {
    out: Output,
    deliveries: Vec<Deliver>,
    changed: bool,
}

impl<S: Scheduler + 'static> Running<S> {
    pub(super) async fn start(driver: Driver<S>) -> Result<Self, RunError> {
        let Driver {
            config,
            mut records,
            scheduler,
            queue,
            handle,
            progress,
        } = driver;
        let found = records.open().await?;
        let session = recover(&config, found, scheduler)?;
        let mut running = Self {
            masters: Masters::new(config.masters.clone()),
            config,
            records,
            session,
            wire: Wire::Dialling(Box::pin(futures::future::pending())),
            lost: None,
            backlog: VecDeque::new(),
            calls: VecDeque::new(),
            queue,
            _handle: handle,
            progress,
            n_kept: 0,
            clock: Clock::start(),
            backoff: Backoff::new(ChaCha8Rng::seed_from_u64(seed())),
        };
        running.dial(Duration::ZERO);
        Ok(running)
    }

    pub(super) async fn run(mut self, shutdown: &CancellationToken) -> Result<S, RunError> {
        loop {
            let happened = match self.lost.take() {
                Some(error) => Happened::Lost(error),
                None if !self.backlog.is_empty() => Happened::Events(Vec::new()),
                None if !self.calls.is_empty() => Happened::Commands(Vec::new()),
                None => self.wait(shutdown).await,
            };
            if matches!(happened, Happened::Shutdown) {
                if let Wire::Up(link) = self.wire {
                    link.close().await;
                }
                return Ok(self.session.into_scheduler());
            }
            if matches!(happened, Happened::Deposed) {
                return Err(RunError::Deposed);
            }
            let step = self.step(happened);
            let is_torn_down = step.out.torn_down;
            let carried_out = self.carry_out(step).await?;
            if is_torn_down && carried_out.is_ok() {
                info!("the framework is torn down");
                return Ok(self.session.into_scheduler());
            }
            if let Err(error) = carried_out {
                match self.recover(error, shutdown).await? {
                    ControlFlow::Continue(recovered) => self = recovered,
                    ControlFlow::Break(scheduler) => return Ok(scheduler),
                }
            }
        }
    }

    async fn wait(&mut self, shutdown: &CancellationToken) -> Happened<S> {
        let deadline = self.session.next_deadline().map(|at| self.clock.instant(at));
        let mut commands = Vec::new();
        tokio::select! {
            () = shutdown.cancelled() => Happened::Shutdown,
            () = self.records.lost() => Happened::Deposed,
            _ = self.queue.recv_many(&mut commands, CALLS_PER_STEP) => Happened::Commands(commands),
            happened = heard_or_due(&mut self.wire, deadline) => happened,
        }
    }

    fn step(&mut self, happened: Happened<S>) -> Step {
        let now = self.clock.now();
        let mut step = Step::default();
        let out = &mut step.out;
        match happened {
            Happened::Shutdown | Happened::Deposed => {}
            Happened::Commands(commands) => {
                self.calls.extend(commands);
                let mut n_bytes = 0;
                while n_bytes < WRITES_PER_STEP
                    && let Some(command) = self.calls.pop_front()
                {
                    let n_writes = out.writes.len();
                    step.deliveries.push(command(&mut self.session, now, out));
                    n_bytes += size(&out.writes[n_writes..]);
                }
            }
            Happened::Dialled(Ok(link)) => {
                debug!(master = %link.master, "connected to master");
                self.wire = Wire::Up(link);
                self.session.step(now, Input::Connected, out);
            }
            Happened::Dialled(Err(error)) => self.redial(&error),
            Happened::Events(events) => {
                self.backlog.extend(events);
                let mut n_bytes = 0;
                while n_bytes < WRITES_PER_STEP
                    && let Some(event) = self.backlog.pop_front()
                {
                    step.changed |= event != Event::Heartbeat;
                    let n_writes = out.writes.len();
                    self.session.step(now, Input::Event(event), out);
                    n_bytes += size(&out.writes[n_writes..]);
                }
                // Not left to the timer: while events keep coming, it is never the first to be ready.
                if self.session.next_deadline().is_some_and(|due| due <= now) {
                    self.session.step(now, Input::Tick, out);
                }
            }
            Happened::Lost(error) => {
                self.redial(&error);
                self.backlog.clear();
                step.changed = true;
                self.session.step(now, Input::Disconnected, out);
            }
            Happened::Deadline => self.session.step(now, Input::Tick, out),
        }
        step.changed |= !step.out.writes.is_empty() || step.out.calls.iter().any(|call| *call != Call::Ping);
        step
    }

    /// Commits, then answers callers, then sends. The inner error means that nobody was told anything, and that only the
    /// store knows whether it happened.
    async fn carry_out(&mut self, step: Step) -> Result<Result<(), CommitError>, RunError> {
        let Step {
            out,
            deliveries,
            changed,
        } = step;
        if !out.writes.is_empty()
            && let Err(error) = commit(&self.records, out.writes, self.pings()).await
        {
            return refuse(deliveries, error).map(Err);
        }
        // The commit may have taken long, or this process have been stopped: who is not sure to lead says nothing.
        if !self.records.may_act() {
            let deposed = |deliver: Deliver| deliver(Err(CallError::Deposed));
            deliveries.into_iter().for_each(deposed);
            return Err(RunError::Deposed);
        }
        self.show_progress(changed);
        deliveries.into_iter().for_each(|deliver| deliver(Ok(())));
        if let Wire::Up(link) = &self.wire {
            self.lost = link.send(&out.calls).err();
        }
        if let Some(message) = out.refused {
            return Err(RunError::Refused(message));
        }
        if out.disconnect && self.lost.is_none() {
            self.lost = Some(LinkError::GivenUp);
        }
        Ok(Ok(()))
    }

    /// What the master hears while a step is carried out, and how often.
    fn pings(&self) -> Option<(Pings, Duration)> {
        match &self.wire {
            Wire::Up(link) => Some((link.pings(), self.session.heartbeat()?)),
            Wire::Dialling(_) => None,
        }
    }

    fn show_progress(&mut self, changed: bool) {
        let n_kept = self.session.kept_tasks().len();
        if n_kept > self.n_kept {
            warn!(n_tasks = n_kept, "tasks without a record are left to run");
        }
        self.n_kept = n_kept;
        let subscribed = self.session.is_subscribed();
        let framework_id = self.session.framework_id();
        self.progress.send_if_modified(|progress| {
            if subscribed && !progress.subscribed {
                self.backoff.reset();
                info!(framework_id = ?framework_id, "subscribed");
            }
            progress.subscribed = subscribed;
            progress.framework_id = framework_id.cloned();
            progress.changes += u64::from(changed);
            changed
        });
    }

    fn redial(&mut self, error: &LinkError) {
        if let LinkError::Standby(leader) = error {
            self.masters.follow(leader);
            self.backoff.shorten();
        }
        let pause = self.backoff.next();
        warn!(error = %chain(error), ?pause, "no link to a master");
        self.dial(pause);
    }

    fn dial(&mut self, pause: Duration) {
        let master = self.masters.dial();
        self.wire = Wire::Dialling(Box::pin(async move {
            tokio::time::sleep(pause).await;
            match master {
                Some(master) => Link::open(master).await,
                None => Err(LinkError::Closed),
            }
        }));
    }

    /// Starts again from the store, on the same scheduler; breaks off when the shutdown comes first. A leader begins a new
    /// term for that.
    async fn recover(
        mut self,
        error: CommitError,
        shutdown: &CancellationToken,
    ) -> Result<ControlFlow<S, Self>, RunError> {
        warn!(error = %chain(&error), "the store failed, starting again from it");
        self.wire = Wire::Dialling(Box::pin(futures::future::pending()));
        let records = loop {
            let pause = self.backoff.next();
            tokio::select! {
                () = shutdown.cancelled() => return Ok(ControlFlow::Break(self.session.into_scheduler())),
                () = tokio::time::sleep(pause) => {}
            }
            if !self.records.may_act() {
                return Err(RunError::Deposed);
            }
            match self.records.open().await {
                Ok(records) => break records,
                Err(error @ OpenError::Foreign { .. }) => return Err(error.into()),
                Err(error) => warn!(error = %chain(&error), "the store cannot be read"),
            }
        };
        let scheduler = self.session.into_scheduler();
        self.session = recover(&self.config, records, scheduler)?;
        self.lost = None;
        self.backlog.clear();
        self.dial(Duration::ZERO);
        self.show_progress(true);
        info!("recovered from the store");
        Ok(ControlFlow::Continue(self))
    }
}

fn recover<S: Scheduler>(
    config: &Config,
    records: Vec<(String, Vec<u8>)>,
    scheduler: S,
) -> Result<Session<S>, RunError> {
    let adopt = config.adopt.clone();
    let info = FrameworkInfo {
        id: adopt.clone().or_else(|| config.info.id.clone()),
        ..config.info.clone()
    };
    let session = Session::recover(info, seed(), records, scheduler)?;
    let session = session.with_unknown_tasks(config.unknown_tasks);
    match (adopt, session.framework_id()) {
        (Some(adopt), Some(kept)) if adopt != *kept => Err(RunError::Adopt {
            adopt,
            kept: kept.clone(),
        }),
        (Some(_), _) => Ok(session.adopting()),
        (None, _) => Ok(session),
    }
}

fn size(writes: &[Write]) -> usize {
    let size = |write: &Write| match write {
        Write::Put { key, value } => key.len() + value.len(),
        Write::Delete { key } => key.len(),
    };
    writes.iter().map(size).sum()
}

async fn listen<S>(wire: &mut Wire) -> Happened<S> {
    match wire {
        Wire::Dialling(dial) => Happened::Dialled(dial.await),
        Wire::Up(link) => match link.events().await {
            Ok(events) => Happened::Events(events),
            Err(error) => Happened::Lost(error),
        },
    }
}

/// What came while a slow commit was waited for comes before the time that passed meanwhile: the master was not silent.
async fn heard_or_due<S>(wire: &mut Wire, deadline: Option<tokio::time::Instant>) -> Happened<S> {
    tokio::select! {
        biased;
        heard = listen(wire) => heard,
        () = sleep_until(deadline) => Happened::Deadline,
    }
}

/// Tells callers that their step was not committed. Where it never can be, the last of them is to blame, if there is one: a
/// step ends with the call that makes it large.
fn refuse(mut deliveries: Vec<Deliver>, error: CommitError) -> Result<CommitError, RunError> {
    let is_too_large = matches!(error, CommitError::TooLarge { .. });
    let is_hopeless = is_too_large || matches!(error, CommitError::BadKey { .. });
    if is_hopeless && deliveries.is_empty() {
        return Err(RunError::Write(error));
    }
    let cause = chain(&error);
    if is_too_large && let Some(blamed) = deliveries.pop() {
        blamed(Err(CallError::TooLarge(cause.clone())));
    }
    for deliver in deliveries {
        deliver(Err(CallError::NotStored(cause.clone())));
    }
    Ok(error)
}

/// Commits, with pings meanwhile: no step is taken before it has ended, and disks may take seconds.
async fn commit(
    records: &Records,
    writes: Vec<Write>,
    pings: Option<(Pings, Duration)>,
) -> Result<(), CommitError> {
    let mut committing = pin!(records.commit(writes));
    let Some((pings, interval)) = pings else {
        return committing.await;
    };
    let started = Instant::now();
    while started.elapsed() < LONGEST_COMMIT {
        if let Ok(committed) = tokio::time::timeout(interval, &mut committing).await {
            if started.elapsed() > interval {
                warn!(took = ?started.elapsed(), "a commit took long");
            }
            return committed;
        }
        if records.may_act() {
            pings.send();
        }
    }
    committing.await
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// A seed from the operating system: std seeds its hashers with it.
pub(crate) fn seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// An error with everything below it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

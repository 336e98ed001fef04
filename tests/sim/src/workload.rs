//! A small real scheduler: it has jobs, and runs each to its end once.
//!
//! Each attempt at a job has a task id of its own, written down before the master hears of it; so no attempt is ever
//! launched twice, whatever crashes. A job is done when an attempt ended as its command says it should.

mod stated;
mod suspended;
mod volumes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proffer_session::{Context, RecoverError, Scheduler};
use proffer_types::{
    AgentId, ContainerSpec, Filters, FrameworkId, KillPolicy, Offer, OfferId, Operation, Ranges,
    ResourceName, Resources, Shape, StatusReason, TaskId, TaskInfo, TaskState, TaskStatus, Timestamp,
};
use rand::RngExt;

use crate::facts::Promises;
use crate::scenario::{FrameworkPlan, Job};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Launched,
    Done,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    attempt: u32,
    state: State,
    /// In which of the plan's roles the present attempt was launched: only there it is resumed.
    role: u8,
    /// When the present attempt is to be killed.
    kill_at: Option<Timestamp>,
    kill_asked: bool,
    /// When an unreachable attempt is given up: its agent may have lost its id, and never come back.
    give_up_at: Option<Timestamp>,
}

const FRESH: Progress = Progress {
    attempt: 0,
    state: State::Waiting,
    role: 0,
    kill_at: None,
    kill_asked: false,
    give_up_at: None,
};

#[derive(Debug)]
pub(crate) struct Workload {
    plan: Arc<FrameworkPlan>,
    jobs: Vec<Progress>,
    /// Jobs that were there at the last look.
    n_arrived: usize,
    held: BTreeMap<OfferId, (Timestamp, Offer)>,
    suppressed: bool,
    /// Jobs whose attempt is suspended, and where.
    suspended: BTreeMap<usize, AgentId>,
    /// The demand that was stated last.
    stated: Option<Vec<Shape>>,
}

impl Workload {
    pub(crate) fn new(plan: Arc<FrameworkPlan>) -> Self {
        let progress = |job: &Job| Progress {
            state: if job.is_left_out {
                State::Done
            } else {
                State::Waiting
            },
            ..FRESH
        };
        Self {
            jobs: plan.jobs.iter().map(progress).collect(),
            plan,
            n_arrived: 0,
            held: BTreeMap::new(),
            suppressed: false,
            suspended: BTreeMap::new(),
            stated: None,
        }
    }

    /// The jobs that are not done though they have to be, for people.
    pub(crate) fn left(&self) -> Vec<String> {
        if self.plan.habits.may_wait_for_ever {
            return Vec::new();
        }
        let left = self
            .jobs
            .iter()
            .enumerate()
            .filter(|(_, job)| job.state != State::Done);
        left.map(|(n, job)| format!("{} {:?}", task_id(n, job.attempt), job.state))
            .collect()
    }

    fn is_done(&self) -> bool {
        self.jobs.iter().all(|job| job.state == State::Done)
    }

    /// What its user was told: which jobs are done.
    pub(crate) fn promises(&self) -> Promises {
        let end = |job: &Progress| (job.state == State::Done).then(|| "done".to_owned());
        let jobs = self.jobs.iter().enumerate();
        jobs.map(|(n, job)| (format!("j{n}"), end(job))).collect()
    }

    fn waiting(&self, now: Timestamp) -> impl Iterator<Item = usize> {
        let ready =
            move |n: &usize| self.jobs[*n].state == State::Waiting && self.plan.jobs[*n].arrives <= now;
        (0..self.jobs.len()).filter(ready)
    }

    fn write(&self, cx: &mut Context<'_>, n: usize) {
        let job = &self.jobs[n];
        let state = match job.state {
            State::Waiting => b'w',
            State::Launched => b'l',
            State::Done => b'd',
        };
        let mut value = vec![state];
        value.extend(job.attempt.to_be_bytes());
        value.push(job.role);
        cx.put(format!("job/{n:04}"), value);
    }

    /// Fills an offer with what waits and fits; what is left is declined.
    fn fill(&mut self, cx: &mut Context<'_>, offer: &Offer) {
        if self.plan.habits.states_demand {
            return self.fill_stated(cx, offer);
        }
        let mut free = offer.resources.clone();
        let resumed = self.resume(offer, &mut free);
        let mut tasks = Vec::new();
        for n in self.waiting(cx.now()).collect::<Vec<_>>() {
            let Some(resources) = fit(&self.plan.jobs[n], &free) else {
                continue;
            };
            free.subtract(&resources);
            self.jobs[n].state = State::Launched;
            self.jobs[n].role = self.role(offer);
            tasks.push(self.task(n, resources, offer));
            self.write(cx, n);
            if self.plan.habits.one_at_a_time {
                break;
            }
        }
        let refusal = self.refusal(cx);
        let mut operations = resumed;
        operations.extend(self.changes(cx, offer, &mut tasks));
        if tasks.is_empty() && operations.is_empty() {
            return cx.decline(offer, refusal.refuse);
        }
        operations.push(if self.plan.habits.groups {
            Operation::LaunchGroup(tasks)
        } else {
            Operation::Launch(tasks)
        });
        cx.accept(std::slice::from_ref(offer), operations, refusal);
    }

    /// Which of the plan's roles an offer is to.
    fn role(&self, offer: &Offer) -> u8 {
        let place = self.plan.roles.iter().position(|role| *role == offer.role);
        place
            .and_then(|place| u8::try_from(place).ok())
            .unwrap_or_default()
    }

    fn refusal(&self, cx: &mut Context<'_>) -> Filters {
        let max = u64::try_from(self.plan.habits.max_refuse.as_millis()).unwrap_or(u64::MAX);
        let refuse = match cx.rng().random_range(0..3) {
            0 => Duration::ZERO,
            1 => Filters::DEFAULT.refuse,
            _ => Duration::from_millis(cx.rng().random_range(0..max + 1)),
        };
        let at_least = self.chance(cx, 100).then(|| Resources::of(500, 0, 0));
        Filters { refuse, at_least }
    }

    /// True that many times in a thousand.
    fn chance(&self, cx: &mut Context<'_>, permille: u32) -> bool {
        cx.rng().random_range(0..1000) < permille
    }

    fn task(&self, n: usize, resources: Resources, offer: &Offer) -> TaskInfo {
        let job = &self.plan.jobs[n];
        TaskInfo {
            id: task_id(n, self.jobs[n].attempt),
            name: format!("job {n}"),
            agent_id: offer.agent_id.clone(),
            resources,
            container: ContainerSpec {
                command: job.behaviour.command(),
                ..ContainerSpec::default()
            },
            kill_policy: KillPolicy {
                grace_period: Some(job.grace),
            },
            labels: BTreeMap::new(),
            max_completion_time: job.max_completion_time,
            limits: Default::default(),
            shape: None,
            executor: None,
            data: Vec::new(),
        }
    }

    fn retry(&mut self, cx: &mut Context<'_>, n: usize) {
        self.jobs[n] = Progress {
            attempt: self.jobs[n].attempt + 1,
            ..FRESH
        };
        self.write(cx, n);
        self.want(cx);
    }

    fn done(&mut self, cx: &mut Context<'_>, n: usize) {
        self.jobs[n].state = State::Done;
        self.write(cx, n);
        self.rest(cx);
    }

    /// Something waits: offers are wanted again.
    fn want(&mut self, cx: &mut Context<'_>) {
        if self.suppressed {
            self.suppressed = false;
            cx.revive();
        }
    }

    fn rest(&mut self, cx: &mut Context<'_>) {
        let wants_nothing = self.suspended.is_empty() && self.waiting(cx.now()).next().is_none();
        if self.plan.habits.suppresses && !self.suppressed && wants_nothing {
            self.suppressed = true;
            cx.suppress();
        }
    }

    /// Whether the end is the one the job's command comes to by itself, or was brought about on purpose.
    fn is_meant(&self, n: usize, status: &TaskStatus) -> bool {
        let job = &self.plan.jobs[n];
        let is_killed = self.jobs[n].kill_asked || job.killed_after.is_some();
        match (status.state, status.reason) {
            (TaskState::Finished, _) => true,
            (TaskState::Failed, Some(StatusReason::CommandFailed)) => job.behaviour.code != 0,
            (TaskState::Failed, Some(StatusReason::MaxCompletionTimeReached)) => {
                job.max_completion_time.is_some()
            }
            (TaskState::Killed, _) => is_killed,
            (_, _) => false,
        }
    }

    fn kill_due(&mut self, cx: &mut Context<'_>) {
        for n in 0..self.jobs.len() {
            let job = &mut self.jobs[n];
            if job.state == State::Launched && !job.kill_asked && job.kill_at.is_some_and(|at| at <= cx.now())
            {
                job.kill_asked = true;
                cx.kill(&task_id(n, job.attempt), KillPolicy::default());
            }
        }
    }

    fn give_up_due(&mut self, cx: &mut Context<'_>) {
        for n in 0..self.jobs.len() {
            let job = self.jobs[n];
            if job.state == State::Launched && job.give_up_at.is_some_and(|at| at <= cx.now()) {
                cx.kill(&task_id(n, job.attempt), KillPolicy::default());
                self.suspended.remove(&n);
                self.retry(cx, n);
            }
        }
    }

    fn release_held(&mut self, cx: &mut Context<'_>) {
        let due = |(until, _): &(Timestamp, Offer)| *until <= cx.now();
        let ids: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| due(held))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            if let Some((_, offer)) = self.held.remove(&id) {
                self.fill(cx, &offer);
            }
        }
    }
}

impl Scheduler for Workload {
    fn recover(&mut self, records: &[(String, Vec<u8>)]) -> Result<(), RecoverError> {
        *self = Self::new(Arc::clone(&self.plan));
        for (key, value) in records {
            let n: usize = key
                .strip_prefix("job/")
                .and_then(|n| n.parse().ok())
                .ok_or_else(|| RecoverError::new(key, "key"))?;
            let [state, attempt @ .., role] = value.as_slice() else {
                return Err(RecoverError::new(key, "length"));
            };
            let attempt = attempt.try_into().map_err(|_| RecoverError::new(key, "length"))?;
            self.jobs[n] = Progress {
                attempt: u32::from_be_bytes(attempt),
                state: match state {
                    b'w' => State::Waiting,
                    b'l' => State::Launched,
                    _ => State::Done,
                },
                role: *role,
                ..FRESH
            };
        }
        Ok(())
    }

    fn subscribed(&mut self, cx: &mut Context<'_>, _framework_id: &FrameworkId) {
        // A revival asked for while the link was down went nowhere.
        if self.waiting(cx.now()).next().is_some() || !self.suspended.is_empty() {
            self.suppressed = false;
            cx.revive();
        }
        self.state(cx);
    }

    fn disconnected(&mut self, _cx: &mut Context<'_>) {
        self.held.clear();
    }

    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) {
        if self.plan.habits.hoards {
            return offers.iter().for_each(|offer| cx.hold(offer));
        }
        for offer in self.take_gangs(cx, offers) {
            if cx.rng().random_range(0..1000) < self.plan.habits.holds {
                let until = cx
                    .now()
                    .after(Duration::from_millis(cx.rng().random_range(0..20_000)));
                cx.hold(&offer);
                self.held.insert(offer.id.clone(), (until, offer));
            } else {
                self.fill(cx, &offer);
            }
        }
        self.rest(cx);
        self.state(cx);
    }

    fn rescinded(&mut self, _cx: &mut Context<'_>, offer: &OfferId) {
        self.held.remove(offer);
    }

    fn update(&mut self, cx: &mut Context<'_>, status: &TaskStatus) {
        let Some((n, attempt)) = parse(&status.task_id).filter(|(n, _)| *n < self.jobs.len()) else {
            return;
        };
        let job = self.jobs[n];
        if attempt == job.attempt {
            self.suspended.remove(&n);
        }
        if attempt != job.attempt || job.state != State::Launched {
            // An attempt that was given up came back: one of it is enough.
            let is_there = !matches!(status.state, TaskState::Unknown | TaskState::Unreachable);
            if attempt != job.attempt && !status.state.is_terminal() && is_there {
                cx.kill(&status.task_id, KillPolicy::default());
            }
        } else if status.state.is_terminal() {
            if self.is_meant(n, status) {
                self.done(cx, n)
            } else {
                self.retry(cx, n)
            }
        } else if status.state == TaskState::Unknown {
            self.retry(cx, n);
        } else if status.state == TaskState::Unreachable {
            let give_up_at = cx.now().after(self.plan.habits.unreachable_patience);
            self.jobs[n].give_up_at.get_or_insert(give_up_at);
        } else {
            let running = (status.state == TaskState::Running).then_some(&self.plan.jobs[n]);
            let killed_after = running.and_then(|job| job.killed_after);
            let kill_at = killed_after.map(|after| cx.now().after(after));
            self.jobs[n].kill_at = self.jobs[n].kill_at.or(kill_at);
            if !status.condition.is_suspended() {
                self.jobs[n].give_up_at = None;
            }
            self.consider(cx, n, status);
        }
        self.state(cx);
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        self.kill_due(cx);
        self.give_up_due(cx);
        self.release_held(cx);
        let now = cx.now();
        let n_arrived = self.plan.jobs.iter().filter(|job| job.arrives <= now).count();
        if n_arrived > self.n_arrived {
            self.n_arrived = n_arrived;
            if self.waiting(now).next().is_some() {
                // Some revive when there is more to do; the others wait for their filters.
                if cx.rng().random_range(0..2) == 0 {
                    cx.revive();
                    self.suppressed = false;
                }
                self.want(cx);
            }
        }
        self.state(cx);
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let mut arrivals: Vec<_> = self.plan.jobs.iter().map(|job| job.arrives).collect();
        arrivals.sort_unstable();
        let arrival = arrivals.get(self.n_arrived).copied();
        let running = self
            .jobs
            .iter()
            .filter(|job| job.state == State::Launched && !job.kill_asked);
        let kill = running.filter_map(|job| job.kill_at).min();
        let held = self.held.values().map(|(until, _)| *until).min();
        let launched = self.jobs.iter().filter(|job| job.state == State::Launched);
        let give_up = launched.filter_map(|job| job.give_up_at).min();
        [arrival, kill, held, give_up].into_iter().flatten().min()
    }
}

fn task_id(n: usize, attempt: u32) -> TaskId {
    TaskId::new(format!("j{n}.{attempt}")).expect("a valid id")
}

fn parse(id: &TaskId) -> Option<(usize, u32)> {
    let (n, attempt) = id.as_str().strip_prefix('j')?.split_once('.')?;
    Some((n.parse().ok()?, attempt.parse().ok()?))
}

/// What of `free` the job takes, if it fits.
fn fit(job: &Job, free: &Resources) -> Option<Resources> {
    let mut resources = job.resources.clone();
    if job.takes_port {
        let port = free.ranges(&ResourceName::Ports)?.iter().next()?.0;
        resources = resources.with_ranges(ResourceName::Ports, Ranges::new([(port, port)]));
    }
    // What is reserved to the role comes first.
    free.take(&resources)
}

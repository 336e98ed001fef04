//! Time slices: what has run for one gives up its cpus where somebody waits who goes before it, and goes on in its turn.
//!
//! Whether an instance is suspended is the agent's to say, and is not recorded: after a start from the records, and after a
//! new link, the master tells it again. One that is suspended is in [`Phase::Running`] still. What is asked for may come to
//! nothing, so each end of a slice begins another one: who did not give up its cpus is asked again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proffer_session::Context;
use proffer_types::{AgentId, Role, StatusReason, StatusSource, TaskId, TaskState, TaskStatus, Timestamp};

use super::Batch;
use crate::Policy;
use crate::job::{Job, Phase, Place};
use crate::queue::{Turn, Wake};
use crate::slices::Waits;

/// Slices that end in one step; the rest ends in the next, which comes at once.
const MAX_ENDS_PER_STEP: usize = 10_000;
/// How many of those that wait are looked at for what gives up its cpus: many more than an agent has room for.
const MAX_CANDIDATES: usize = 1000;
/// Slices end together at multiples of this, in milliseconds: who waits is looked at that often, and not for each of them.
const GRAIN_MS: u64 = 100;
/// When what could not be resumed is to be resumed again: what was wrong with the offer is over by then.
const RESUME_AGAIN: Duration = Duration::from_secs(1);

/// Somebody for whom room may be made.
#[derive(Debug, Clone)]
struct Candidate {
    waits: Waits,
    job: u64,
    /// Of one instance.
    cpu_millis: u64,
    n: u32,
    /// The only agent that is of use.
    agent: Option<AgentId>,
}

/// When a slice that begins now is over.
fn end(now: Timestamp, slice: Duration) -> Timestamp {
    Timestamp(now.after(slice).0.next_multiple_of(GRAIN_MS))
}

impl Batch {
    /// How long what runs of a task may go on before others have their turn; none where it is not suspended for that. A gang is
    /// not, because its instances wait for each other; and without cpus there is nothing to give up.
    fn slice_of(&self, job: &Job, task: usize) -> Option<Duration> {
        let settings = self.queue.settings(&job.spec.role);
        let has_cpus = job.task_spec(task).resources.cpu_millis() > 0;
        (settings.policy == Policy::TimeSlice && has_cpus && job.gang(task).is_none())
            .then_some(settings.slice)
    }

    /// Hears of an attempt that goes on, or may.
    pub(super) fn hear_of_turn(&mut self, place: Place, status: &TaskStatus, now: Timestamp) {
        let suspension = status.condition.suspension;
        let Some(agent) = &status.agent_id else {
            return;
        };
        match status.state {
            TaskState::Running if suspension == 0 => self.runs(place, agent, status.reason, now),
            TaskState::Running => {
                // The master says what is; an agent may not have heard of the resumption.
                let is_news = status.source == StatusSource::Master || self.slices.is_news(place, suspension);
                match status.reason {
                    Some(StatusReason::TaskResumeFailed) => {
                        self.suspended(place, agent, Some(RESUME_AGAIN), now)
                    }
                    Some(_) | None if is_news => self.suspended(place, agent, None, now),
                    Some(_) | None => {}
                }
            }
            TaskState::Killing | TaskState::Unreachable => {
                self.slices.end(place);
                self.takes_back(place);
                self.leave_queue(place);
            }
            TaskState::Staging
            | TaskState::Starting
            | TaskState::Finished
            | TaskState::Failed
            | TaskState::Killed
            | TaskState::Error
            | TaskState::Dropped
            | TaskState::Lost
            | TaskState::Gone
            | TaskState::GoneByOperator
            | TaskState::Unknown => {}
        }
    }

    /// An instance runs, and has its cpus.
    fn runs(&mut self, place: Place, agent: &AgentId, reason: Option<StatusReason>, now: Timestamp) {
        self.set_suspended(place, false);
        self.leave_queue(place);
        let job = self.jobs.get(&place.job);
        let Some(slice) = job.and_then(|job| self.slice_of(job, place.task)) else {
            return self.slices.end(place);
        };
        let refuses = reason == Some(StatusReason::TaskSuspendFailed);
        if refuses {
            self.takes_back(place);
        }
        let goes_on = refuses || reason == Some(StatusReason::TaskResumed);
        if goes_on || self.slices.agent(place) != Some(agent) {
            self.slices.begin(place, agent, end(now, slice));
        }
    }

    /// An instance gave up its cpus; it goes on in its turn, or waits for a while first.
    fn suspended(&mut self, place: Place, agent: &AgentId, wait: Option<Duration>, now: Timestamp) {
        self.slices.answered(place);
        self.slices.end(place);
        self.set_suspended(place, true);
        let since = self.leave_queue(place).unwrap_or(now);
        match wait {
            Some(wait) => {
                self.slices.put_off(place, now.after(wait));
                self.has_changed(place);
            }
            None => self.line_up(place, agent, since),
        }
    }

    /// An instance keeps its cpus, though it may have been asked for them; or gave them up, and who they were for did not come.
    fn takes_back(&mut self, place: Place) {
        let waits = self.slices.gives_up_for(place);
        if let Some(job) = waits.and_then(|waits| self.jobs.get(&waits.job())) {
            self.queue.break_promise(job);
        }
        if self.slices.taken_back(place) {
            self.has_changed(place);
        }
    }

    /// What is wanted beside an instance may have changed.
    fn has_changed(&mut self, place: Place) {
        let role = self.jobs.get(&place.job).map(|job| job.spec.role.clone());
        self.changed.extend(role);
    }

    fn set_suspended(&mut self, place: Place, suspended: bool) {
        if let Some(job) = self.jobs.get_mut(&place.job) {
            job.tasks[place.task].set_suspended(place.index, suspended);
        }
    }

    /// A suspended instance waits for its turn, unless it is to be killed.
    fn line_up(&mut self, place: Place, agent: &AgentId, since: Timestamp) {
        let Some(job) = self.jobs.get(&place.job) else {
            return;
        };
        let launched = job.tasks[place.task].launched(place.index);
        if job.cancelled || launched.is_none_or(|instance| instance.is_requeued()) {
            return;
        }
        let spec = job.task_spec(place.task);
        let wake = Wake {
            agent: agent.clone(),
            cpu_millis: spec.resources.cpu_millis(),
            limit: spec.timeout,
        };
        self.queue.lie_down(job, place, wake, since);
        self.changed.insert(job.spec.role.clone());
    }

    /// An instance is not to go on, or goes on. Says since when it waited for that.
    pub(super) fn leave_queue(&mut self, place: Place) -> Option<Timestamp> {
        let asleep = self.queue.get_up(place)?;
        let since = asleep.since();
        self.changed.insert(asleep.role);
        Some(since)
    }

    /// Lets a suspended instance go on, on an offer of its cpus.
    pub(super) fn resume_one(&mut self, place: Place, cx: &Context<'_>) -> Option<TaskId> {
        let asleep = self.queue.get_up(place)?;
        self.changed.insert(asleep.role);
        self.set_suspended(place, false);
        let job = self.jobs.get(&place.job)?;
        let launched = job.tasks[place.task].launched(place.index)?;
        let suspension = launched.status.as_deref().map_or(0, |report| report.suspension());
        self.slices.resumed(place, suspension);
        self.slices.taken_back(place);
        self.slices.taken(Waits::Resume(place), asleep.wake.cpu_millis);
        self.queue.serve(job);
        if let Some(slice) = self.slice_of(job, place.task) {
            self.slices.begin(place, &asleep.wake.agent, end(cx.now(), slice));
        }
        job.task_id(place.task, place.index)
    }

    /// An instance was started: perhaps with what others gave up for it.
    pub(super) fn took_room(&mut self, place: Place) {
        let (job, task) = (place.job, place.task);
        if let Some(of) = self.jobs.get(&job) {
            let cpu_millis = of.task_spec(task).resources.cpu_millis();
            self.slices.taken(Waits::Start { job, task }, cpu_millis);
        }
    }

    /// A queue is set: what runs in it has slices from now on, or none; what is suspended goes on in its order.
    pub(super) fn slice_anew(&mut self, role: &Role, now: Timestamp) {
        for (place, asleep) in self.queue.asleep_in(role) {
            if let Some(job) = self.jobs.get(&place.job) {
                let since = asleep.since();
                self.queue.lie_down(job, place, asleep.wake, since);
            }
        }
        for job in self.jobs.values().filter(|job| job.spec.role == *role) {
            for (task, state) in job.tasks.iter().enumerate() {
                let slice = self.slice_of(job, task);
                for (index, instance) in state.launched_in(Phase::Running) {
                    let place = job.place(task, index);
                    let runs = instance
                        .status
                        .as_deref()
                        .filter(|report| report.state == TaskState::Running);
                    let agent = runs.and_then(|report| report.agent_id());
                    match slice.zip(agent).filter(|_| !state.suspended().contains(index)) {
                        Some((slice, agent)) => self.slices.begin(place, agent, end(now, slice)),
                        None => self.slices.end(place),
                    }
                }
            }
        }
    }

    /// Has those give up their cpus that have run for a slice, where somebody waits who goes before them.
    pub(super) fn end_slices(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        let due: Vec<_> = self.slices.due(now).take(MAX_ENDS_PER_STEP).collect();
        if due.is_empty() {
            return;
        }
        for place in self.slices.late(now) {
            self.takes_back(place);
        }
        let mut ended: BTreeMap<Role, BTreeMap<AgentId, VecDeque<Place>>> = BTreeMap::new();
        for place in due {
            match (self.slices.agent(place).cloned(), self.jobs.get(&place.job)) {
                (Some(agent), Some(job)) => {
                    let of_role = ended.entry(job.spec.role.clone()).or_default();
                    of_role.entry(agent).or_default().push_back(place);
                }
                (None, Some(_)) => self.line_up_again(place, now),
                (_, None) => self.slices.end(place),
            }
        }
        for (role, of_role) in ended {
            let candidates = self.candidates(&role, &of_role, now);
            for (agent, places) in of_role {
                self.end_slices_on(&agent, places, &candidates, cx);
            }
        }
    }

    /// What could not be resumed waits for its turn again.
    fn line_up_again(&mut self, place: Place, now: Timestamp) {
        self.slices.end(place);
        let launched = self.jobs.get(&place.job).and_then(|job| {
            let state = &job.tasks[place.task];
            state
                .launched(place.index)
                .filter(|_| state.suspended().contains(place.index))
        });
        let report = launched.and_then(|instance| instance.status.as_deref());
        if let Some(agent) = report.and_then(|report| report.agent_id()).cloned() {
            self.line_up(place, &agent, now);
        }
    }

    /// Who waits in a role and may be helped by some agents, in turn.
    fn candidates(
        &self,
        role: &Role,
        agents: &BTreeMap<AgentId, VecDeque<Place>>,
        now: Timestamp,
    ) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        let mut n_starts = 0;
        for turn in self.queue.tasks(role, now) {
            match turn {
                Turn::Start(next) => {
                    let job = self.jobs.get(&next.job).filter(|job| job.may_start(next.task));
                    let n = job.map_or(0, |job| job.n_startable(next.task));
                    let Some(job) = job.filter(|_| n > 0 && n_starts < MAX_CANDIDATES) else {
                        continue;
                    };
                    n_starts += 1;
                    candidates.push(Candidate {
                        waits: Waits::Start {
                            job: next.job,
                            task: next.task,
                        },
                        job: next.job,
                        cpu_millis: job.task_spec(next.task).resources.cpu_millis(),
                        n,
                        agent: None,
                    });
                }
                Turn::Resume(sleepers) if agents.contains_key(&sleepers.wake.agent) => {
                    let candidate = |place: Place| Candidate {
                        waits: Waits::Resume(place),
                        job: place.job,
                        cpu_millis: sleepers.wake.cpu_millis,
                        n: 1,
                        agent: Some(sleepers.wake.agent.clone()),
                    };
                    candidates.extend(sleepers.places().take(MAX_CANDIDATES).map(candidate));
                }
                Turn::Resume(_) => {}
            }
        }
        // Where no cpus are wanted, none have to be given up.
        candidates.retain(|candidate| candidate.cpu_millis > 0);
        candidates
    }

    /// On one agent: those of the first who wait that go before, as far as no room is being made for them yet.
    fn end_slices_on(
        &mut self,
        agent: &AgentId,
        mut places: VecDeque<Place>,
        candidates: &[Candidate],
        cx: &mut Context<'_>,
    ) {
        let now = cx.now();
        while let Some(first) = places.front().copied() {
            let Some(job) = self.jobs.get(&first.job) else {
                places.pop_front();
                continue;
            };
            let again = end(now, self.queue.settings(&job.spec.role).slice);
            let is_doomed = {
                let launched = job.tasks[first.task].launched(first.index);
                job.cancelled || launched.is_none_or(|instance| instance.is_requeued())
            };
            let next = match is_doomed || !self.connected {
                true => None,
                false => candidates
                    .iter()
                    .find(|candidate| self.is_kept_waiting(candidate, job, agent)),
            };
            let Some(candidate) = next else {
                if !candidates.is_empty() {
                    self.queue.serve(job);
                }
                self.slices.put_off(first, again);
                places.pop_front();
                continue;
            };
            let missing = candidate.cpu_millis - self.slices.room(candidate.waits) % candidate.cpu_millis;
            let (mut freed, mut giving) = (0, Vec::new());
            places.retain(|place| {
                let Some(runs) = self.jobs.get(&place.job).filter(|_| freed < missing) else {
                    return true;
                };
                let gives = self
                    .jobs
                    .get(&candidate.job)
                    .is_some_and(|waits| self.queue.goes_before(waits, runs));
                if gives {
                    let cpu_millis = runs.task_spec(place.task).resources.cpu_millis();
                    freed += cpu_millis;
                    giving.push((*place, cpu_millis));
                }
                !gives
            });
            // All that is needed is given up at once, or nothing before there is nothing more to come.
            let later = self.slices.next_on(agent, now).filter(|_| freed < missing);
            for (place, cpu_millis) in giving {
                match later {
                    Some(later) => self.slices.put_off(place, later),
                    None => {
                        self.slices.give_up(place, candidate.waits, cpu_millis, again);
                        self.slices.put_off(place, again);
                        let id = self
                            .jobs
                            .get(&place.job)
                            .and_then(|job| job.task_id(place.task, place.index));
                        id.into_iter().for_each(|id| cx.suspend(&id));
                    }
                }
            }
            if later.is_none() {
                self.has_changed(first);
            }
            if later.is_none()
                && let Some(waits) = self.jobs.get(&candidate.job)
            {
                self.queue.promise(waits);
            }
        }
    }

    /// Whether somebody waits for what an agent has, goes before what runs there, and has not all the room made for it.
    fn is_kept_waiting(&self, candidate: &Candidate, runs: &Job, agent: &AgentId) -> bool {
        let is_of_use = candidate.agent.as_ref().is_none_or(|only| only == agent);
        let wanted = candidate.cpu_millis.saturating_mul(u64::from(candidate.n));
        is_of_use
            && self.slices.room(candidate.waits) < wanted
            && self
                .jobs
                .get(&candidate.job)
                .is_some_and(|waits| self.queue.goes_before(waits, runs))
    }
}

//! No window is missed without a cause, and the cause is the true one: each window that is behind has a run, or a record
//! of why it has none, and what is said to have been missed did not run.
//!
//! Windows are computed here from the schedule alone. An `at_most_once` job misses one only while its scheduler is down,
//! stands still or is cut off, or there is no room; an `at_least_once` job misses none but by choice.
//!
//! Source: chronos#508: jobs that were not run any more after a failover.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_batch_core::{
    Fate, Missed, MissedCause, MissedPolicy, Overlap, RecurringState, RecurringView, When,
};
use proffer_master_core::{AgentState, Snapshot};
use proffer_types::{AgentId, FrameworkId, Resources, Timestamp};

use super::Invariant;
use super::window_starts::WindowStarts;
use crate::clock::Clock;
use crate::facts::{Fact, Standing};

/// After the healing, when whoever was away is back or given up (75 s), room is offered to who wants it.
const SETTLED_AFTER: Duration = Duration::from_secs(90);
/// A shorter time than this to start in may pass with a few slow frames.
const ENOUGH: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Framework {
    id: Option<FrameworkId>,
    /// Since when it stands how, the earliest first.
    stood: Vec<(Timestamp, Standing)>,
    hung: Vec<(Timestamp, Timestamp)>,
}

#[derive(Debug, Default)]
struct Job {
    /// Windows before it are decided about.
    behind: Timestamp,
    /// Missed, and found to be so for a reason.
    judged: BTreeSet<Timestamp>,
    /// What the largest of its tasks needs.
    needs: Resources,
    /// Since when some agent has had room for it.
    has_room: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(crate) struct WindowsKept {
    frameworks: BTreeMap<usize, Framework>,
    /// By framework and name.
    jobs: BTreeMap<(usize, String), Job>,
    starts: WindowStarts,
    healed: Option<Timestamp>,
}

/// One look at a job.
struct Look<'a> {
    framework: usize,
    clock: Clock,
    view: &'a RecurringView,
}

impl Invariant for WindowsKept {
    fn name(&self) -> &'static str {
        "no window is missed without a cause"
    }

    fn observe(&mut self, now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        self.starts.observe(fact);
        match fact {
            Fact::Healed => self.healed = Some(now),
            Fact::Stands { framework, standing } => {
                let stood = &mut self.frameworks.entry(*framework).or_default().stood;
                stood.push((now, *standing));
            }
            Fact::FrameworkHangs { framework, until } => {
                let hung = &mut self.frameworks.entry(*framework).or_default().hung;
                hung.push((now, *until));
            }
            Fact::MasterStarted(_) => self.jobs.values_mut().for_each(|job| job.has_room = None),
            Fact::MasterState { snapshot, .. } if self.healed.is_some() => self.look_for_room(now, snapshot),
            Fact::Windows {
                framework,
                framework_id,
                clock,
                job,
            } => {
                let id = framework_id.cloned();
                self.frameworks.entry(*framework).or_default().id = id;
                return self.look(&Look {
                    framework: *framework,
                    clock: *clock,
                    view: job,
                });
            }
            _ => {}
        }
        Ok(())
    }
}

impl WindowsKept {
    fn look(&mut self, look: &Look<'_>) -> Result<(), String> {
        let name = &look.view.spec.name;
        let key = (look.framework, name.clone());
        let mut job = self.jobs.remove(&key).unwrap_or_default();
        job.behind = job.behind.max(look.view.next.unwrap_or_default());
        let tasks = look.view.spec.tasks.iter();
        let largest = tasks.max_by_key(|task| (task.resources.cpu_millis(), task.resources.mem_bytes()));
        job.needs = largest.map(|task| task.resources.clone()).unwrap_or_default();
        let result = self.judge_all(look, &mut job);
        self.jobs.insert(key, job);
        result
    }

    fn judge_all(&self, look: &Look<'_>, job: &mut Job) -> Result<(), String> {
        let (mut runs, mut missed) = (BTreeSet::new(), Vec::new());
        for window in &look.view.windows {
            match &window.fate {
                Fate::Run { triggered: true, .. } => {}
                Fate::Run { .. } => {
                    runs.insert(window.at);
                }
                Fate::Missed(span) => missed.push(span),
            }
        }
        let name = &look.view.spec.name;
        for at in windows(look.view).take_while(|at| *at < job.behind) {
            let span = missed.iter().find(|span| span.first <= at && at <= span.last);
            match span {
                None if runs.contains(&at) => {}
                None => {
                    return Err(format!(
                        "window {at:?} of {name} has no run, and no cause: {:?}",
                        look.view
                    ));
                }
                Some(_) if runs.contains(&at) => {
                    return Err(format!(
                        "window {at:?} of {name} has a run, and is missed: {:?}",
                        look.view
                    ));
                }
                Some(span) => {
                    if job.judged.insert(at) {
                        self.judge(look, job, at, span)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a window was missed for the reason that is told.
    fn judge(&self, look: &Look<'_>, job: &Job, at: Timestamp, span: &Missed) -> Result<(), String> {
        let name = &look.view.spec.name;
        let Some(schedule) = &look.view.spec.schedule else {
            return Err(format!("{name} has lost its schedule"));
        };
        let run = format!("{name}@{}", clock_face(at));
        let framework = self.frameworks.get(&look.framework);
        let id = framework.and_then(|framework| framework.id.clone());
        if id.is_some_and(|id| self.starts.has_run(&id, &run)) {
            return Err(format!("{run} ran, and is told to be missed: {:?}", span.reason));
        }
        let (from, to) = (look.clock.when(at), look.clock.when(at.after(schedule.epsilon())));
        let is_true = match span.reason.cause {
            MissedCause::StillRunning => schedule.overlap == Overlap::Skip,
            MissedCause::Replaced => schedule.overlap == Overlap::Replace,
            MissedCause::Cancelled => look.view.state == RecurringState::Cancelled,
            // Nobody does any of it here, and no job has as many windows.
            MissedCause::Paused | MissedCause::ClockJumped | MissedCause::TooManyRuns => false,
            _ if schedule.missed == MissedPolicy::AtLeastOnce => false,
            // Whoever starts cannot tell whether the one before was down or stood still.
            MissedCause::SchedulerAway | MissedCause::SchedulerStalled => {
                framework.is_some_and(|of| of.was_away(from, to))
            }
            MissedCause::CutOff => framework.is_some_and(|of| of.was_cut_off(from, to)),
            MissedCause::NoRoom => to.since(from) < ENOUGH || !self.had_room(job, from),
        };
        match is_true {
            true => Ok(()),
            false => Err(format!(
                "{run} is told to be missed for {:?}; {job:?}, {framework:?}",
                span.reason
            )),
        }
    }

    /// Whether there was room from then on, all the time, and nothing in the way of its being offered.
    fn had_room(&self, job: &Job, from: Timestamp) -> bool {
        let settled = self.healed.map(|healed| healed.after(SETTLED_AFTER));
        settled.is_some_and(|settled| settled <= from) && job.has_room.is_some_and(|since| since <= from)
    }

    fn look_for_room(&mut self, now: Timestamp, snapshot: &Snapshot) {
        let has_quota = snapshot.roles.iter().any(|role| !role.quota.is_default());
        for ((framework, _), job) in &mut self.jobs {
            let id = self
                .frameworks
                .get(framework)
                .and_then(|framework| framework.id.as_ref());
            let has_room = !has_quota && id.is_some_and(|id| has_room(snapshot, id, &job.needs));
            job.has_room = has_room.then(|| job.has_room.unwrap_or(now));
        }
    }
}

/// Whether some agent that is in use has room that nobody else uses or was offered, and that is kept for nobody who has
/// waited longer.
fn has_room(snapshot: &Snapshot, framework: &FrameworkId, needs: &Resources) -> bool {
    let ledger = &snapshot.ledger;
    let is_kept = |agent: &AgentId| {
        let agent = ledger.agent_ix(agent);
        agent.is_some_and(|agent| ledger.held_on(agent).is_some())
    };
    snapshot.agents.iter().any(|agent| {
        let of_others = snapshot.offers.iter();
        let of_others =
            of_others.filter(|offer| offer.agent_id == agent.agent_id && offer.framework_id != *framework);
        let taken: Resources = of_others.map(|offer| &offer.resources).chain([&agent.used]).sum();
        let free = agent.info.resources.unreserved().minus(&taken.unreserved());
        let is_open = agent.state == AgentState::Active && agent.upkeep.is_offered();
        is_open && !is_kept(&agent.agent_id) && free.contains(needs)
    })
}

impl Framework {
    /// What it stood like, and until when, from some time on.
    fn spans(&self) -> impl Iterator<Item = (Timestamp, Timestamp, Standing)> {
        let ends = self
            .stood
            .iter()
            .skip(1)
            .map(|(end, _)| *end)
            .chain([Timestamp(u64::MAX)]);
        self.stood
            .iter()
            .zip(ends)
            .map(|((from, standing), to)| (*from, to, *standing))
    }

    fn was_away(&self, from: Timestamp, to: Timestamp) -> bool {
        let mut down = self.spans().filter(|(.., standing)| *standing == Standing::Down);
        down.any(|(since, until, _)| since <= to && from <= until)
            || self
                .hung
                .iter()
                .any(|(since, until)| *since <= to && from <= *until)
    }

    /// For half of the time, or nearly: windows are whole seconds of a clock that is off.
    fn was_cut_off(&self, from: Timestamp, to: Timestamp) -> bool {
        let alone = self
            .spans()
            .filter(|(.., standing)| *standing != Standing::Subscribed);
        let alone = alone.map(|(since, until, _)| until.min(to).since(since.max(from)));
        alone.sum::<Duration>() >= to.since(from).mul_f64(0.45)
    }
}

/// All windows of a job, from its schedule.
fn windows(job: &RecurringView) -> impl Iterator<Item = Timestamp> {
    let schedule = job.spec.schedule.as_ref();
    let interval = schedule.and_then(|schedule| match schedule.when {
        When::Every {
            interval,
            start: None,
        } => Some(interval),
        When::Every { .. } | When::Cron { .. } => None,
    });
    let first = Timestamp(job.submitted.0.div_ceil(1_000) * 1_000);
    std::iter::successors(interval.map(|_| first), move |at| Some(at.after(interval?)))
}

/// As runs are named by their windows; no run here lasts for a day.
fn clock_face(at: Timestamp) -> String {
    let seconds = at.0 / 1_000;
    format!(
        "19700101T{:02}{:02}{:02}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

//! Why a job is not running, in sentences, the most important first.

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_types::{Resources, Timestamp};

use super::demand::shape_id;
use super::offers::end_of;
use super::{Batch, NoSuchJob};
use crate::job::{Job, Phase};
use crate::schedule::rfc3339;
use crate::validate::{check_fit, is_amounts};
use crate::{Fate, JobState, On, RecurringState, RecurringView, SubmitError, TaskSpec, TemplateView};

fn explain_template(job: &TemplateView) -> String {
    let title = format!("job `{}`", job.spec.name);
    let open = match job.n_open {
        0 => "none of its runs is open".to_owned(),
        1 => "one of its runs has not ended".to_owned(),
        n => format!("{n} of its runs have not ended"),
    };
    match job.cancelled {
        Some(_) if job.n_open == 0 => format!("{title} was cancelled."),
        Some(_) => format!("{title} was cancelled, and {open}."),
        None => format!("{title} runs when it is dispatched; {open}."),
    }
}

impl Batch {
    /// Says what each task of a job waits for. Takes the name of a job or the id of one of its tasks.
    pub fn explain(&self, name: &str, now: Timestamp) -> Result<Vec<String>, NoSuchJob> {
        if let Some(job) = self.get_recurring(name) {
            return Ok(self.explain_recurring(&job, now));
        }
        if let Some(job) = self.get_template(name) {
            return Ok(vec![explain_template(&job)]);
        }
        let job = self.named(name).or_else(|error| self.owner(name).ok_or(error))?;
        let title = format!("job `{}`", job.name);
        let mut reasons = match job.state() {
            JobState::Finished => return Ok(vec![format!("{title} has finished.")]),
            JobState::Failed if job.expired => vec![format!("{title} has failed: its deadline had passed.")],
            JobState::Failed => vec![format!("{title} has failed.")],
            JobState::Cancelled => {
                return Ok(vec![match &job.reason {
                    Some(reason) => format!("{title} was cancelled: {reason}."),
                    None => format!("{title} was cancelled."),
                }]);
            }
            JobState::Pending | JobState::Running if job.cancelled => {
                let n = job.count(Phase::Running);
                vec![format!(
                    "{title} was cancelled; the kill of {} is on its way.",
                    instances(n)
                )]
            }
            JobState::Pending | JobState::Running if !self.connected => {
                vec!["the batch framework is not connected to a master.".to_owned()]
            }
            JobState::Pending | JobState::Running if !job.waits.is_empty() => {
                vec![format!(
                    "{title} must come after other jobs: {}.",
                    self.waited_for(job)
                )]
            }
            JobState::Pending | JobState::Running if job.held => {
                vec![format!(
                    "{title} is held; nothing more of it is started before it is released."
                )]
            }
            JobState::Pending | JobState::Running => Vec::new(),
        };
        for task in 0..job.tasks.len() {
            self.explain_task(job, task, now, &mut reasons);
        }
        Ok(reasons)
    }

    /// The job of a task id, which is `<job>-<number>.<task>.<index>`.
    fn owner(&self, task_id: &str) -> Option<&Job> {
        let (rest, _) = task_id.rsplit_once('.')?;
        let (job, _) = rest.rsplit_once('.')?;
        let (name, number) = job.rsplit_once('-')?;
        let found = self.jobs.get(&number.parse().ok()?)?;
        (found.name == name).then_some(found)
    }

    fn explain_recurring(&self, job: &RecurringView, now: Timestamp) -> Vec<String> {
        let title = format!("job `{}`", job.spec.name);
        let mut reasons = match (job.state, job.next) {
            (RecurringState::Cancelled, _) => vec![format!("{title} was cancelled.")],
            (RecurringState::Paused(since), _) => {
                vec![format!("{title} is paused since {}.", rfc3339(since))]
            }
            (RecurringState::Scheduled, Some(next)) => {
                vec![format!("{title} is due next at {}.", rfc3339(next))]
            }
            (RecurringState::Scheduled, None) => vec![format!("{title} is never due again.")],
        };
        for window in &job.windows {
            match &window.fate {
                Fate::Run {
                    name,
                    state: JobState::Pending | JobState::Running,
                    ..
                } => {
                    let why = self.explain(name, now).unwrap_or_default();
                    reasons.extend(why.into_iter().map(|why| format!("`{name}`: {why}")));
                }
                Fate::Run { .. } | Fate::Missed(_) => {}
            }
        }
        let missed = job.windows.iter().rev().find_map(|window| match &window.fate {
            Fate::Missed(missed) => Some(missed),
            Fate::Run { .. } => None,
        });
        reasons.extend(missed.map(|missed| {
            let windows = if missed.n == 1 { "window" } else { "windows" };
            let n = missed.n;
            format!(
                "{n} {windows} up to {} did not run: {}",
                rfc3339(missed.last),
                missed.reason.why
            )
        }));
        reasons
    }

    fn explain_task(&self, job: &Job, task: usize, now: Timestamp, reasons: &mut Vec<String>) {
        let state = &job.tasks[task];
        let spec = job.task_spec(task);
        let of = |n: u32| format!("{} of `{}`", instances(n), spec.name);
        let mut say = |n: u32, sentence: &dyn Fn() -> String| {
            if n > 0 {
                reasons.push(format!("{} {}", of(n), sentence()));
            }
        };
        say(state.count(Phase::Failed), &|| {
            format!("ended as {}.", last_words(job, task))
        });
        say(state.count(Phase::Waiting), &|| {
            let whole = match job.gang_start(task) {
                Some((n, n_running)) => format!(" for all {} of its gang at once", n + n_running),
                None => String::new(),
            };
            let why = self.explain_waiting(job, task, now);
            format!("must wait for an offer with {}{whole}: {why}", wanted(spec))
        });
        say(state.count(Phase::Delayed), &|| {
            let first = self.delays.of_task(job.number, task);
            let until = first.map_or(now, |(_, until)| until);
            let left = humantime(until.since(now));
            format!("failed and must wait before the next attempt, the first of them for {left}.")
        });
        say(state.count(Phase::Blocked), &|| {
            format!("must come after {}.", before(job, task))
        });
        let cut_off = self.cut_off.of_task(job.number, task);
        let (n_cut_off, given_up_at) = cut_off.unwrap_or((0, now));
        say(n_cut_off, &|| {
            let subject = if n_cut_off == 1 { "it is" } else { "the first is" };
            let what = if job.cancelled {
                "given up"
            } else {
                "started again"
            };
            let left = minutes(given_up_at.since(now));
            format!(
                "cannot be reached, its agent is unreachable; {subject} {what} in {left}, unless the agent is back before."
            )
        });
        // What is out of reach may have been suspended before.
        let n_asleep = state.n_suspended().min(state.count(Phase::Running) - n_cut_off);
        say(n_asleep, &|| {
            let turn = match self.position_asleep(job.number, task, now) {
                None => String::new(),
                Some(0) => ": its turn is next".to_owned(),
                Some(1) => ": its turn is after 1 other".to_owned(),
                Some(n) => format!(": its turn is after {n} others"),
            };
            let first = if n_asleep == 1 || turn.is_empty() {
                ""
            } else {
                ", the first of them"
            };
            let verb = if n_asleep == 1 { "is" } else { "are" };
            format!("{verb} suspended{}{turn}.", first)
        });
        say(state.count(Phase::Running) - n_cut_off - n_asleep, &|| {
            "started and did not end yet.".to_owned()
        });
    }

    pub(super) fn explain_waiting(&self, job: &Job, task: usize, now: Timestamp) -> String {
        if let Some((_, n)) = job.gang_start(task).filter(|(_, n_running)| *n_running > 0) {
            let whom = instances(n);
            return format!("{whom} of the gang must end first, whose kill is on its way.");
        }
        if job.held {
            return "the job is held.".to_owned();
        }
        if !job.waits.is_empty() {
            return "other jobs must end first.".to_owned();
        }
        let spec = job.task_spec(task);
        if let Some(most) = spec.max_running.filter(|_| job.n_startable(task) == 0) {
            return format!("{most} of it run, and no more are to run at once.");
        }
        if !is_amounts(&spec.resources) {
            return format!("{}.", SubmitError::NotAmounts(spec.name.clone()));
        }
        if let Err(error) = check_fit(spec, &self.largest) {
            return format!("{error}.");
        }
        if self.largest.is_empty() {
            return "there is no agent.".to_owned();
        }
        if let Some((n, most)) = self.too_few_agents(job, task) {
            return format!(
                "{n} are more than the {most} that {} can hold.",
                agents(self.n_agents)
            );
        }
        let id = shape_id(job.number, task);
        let shapes = self.demand(&job.spec.role, now).shapes;
        let place = self.explain_position(job, task, now) + &self.explain_start(job, task, now);
        if shapes.iter().all(|shape| shape.id != id) {
            let n = shapes.len();
            return format!(
                "{n} other tasks of the role go before, and no more are asked for at once.{place}"
            );
        }
        let but = [self.explain_avoided(now), self.explain_closing(spec, now)];
        let but: Vec<_> = but.into_iter().flatten().collect();
        match but.is_empty() {
            true => format!("none was made yet.{place}"),
            false => format!("none was made yet, but by {}.{place}", but.join(", and by ")),
        }
    }

    /// Where it stands in the queue, where anything else waits there.
    fn explain_position(&self, job: &Job, task: usize, now: Timestamp) -> String {
        let role = &job.spec.role;
        let settings = self.queue.settings(role);
        match self.position(job.number, task, now) {
            Some((0, _)) | None => String::new(),
            Some((n_before, n_all)) => {
                let policy = settings.policy;
                format!(" {n_before} of {n_all} that wait in the queue of role {role} ({policy}) go before.")
            }
        }
    }

    fn explain_start(&self, job: &Job, task: usize, now: Timestamp) -> String {
        match self.estimated_start(job, task, now) {
            Some(at) if at > now => format!(
                " By what runs, it may start in about {}.",
                humantime(at.since(now))
            ),
            Some(_) => " By what runs, it may start at any moment.".to_owned(),
            None => String::new(),
        }
    }

    fn explain_avoided(&self, now: Timestamp) -> Option<String> {
        let n = self.avoided.count(now);
        (n > 0).then(|| {
            format!(
                "agents that could not start what was launched there and are left alone for up to a minute: {n}"
            )
        })
    }

    /// Agents that are not used for the task, as it might not end there in time.
    fn explain_closing(&self, spec: &TaskSpec, now: Timestamp) -> Option<String> {
        let now = self.wall_at(now);
        let (n, first) = self.closing.before(now, end_of(spec, now))?;
        let within = match spec.timeout {
            Some(timeout) => format!("its timeout of {timeout:?}"),
            None => "the minute that a task without a timeout is given".to_owned(),
        };
        Some(format!(
            "agents whose maintenance window begins within {within}: {n}, the first at {}",
            rfc3339(first)
        ))
    }

    /// Of a task that has to start whole: how many instances that is, and how many the agents hold at the very most.
    fn too_few_agents(&self, job: &Job, task: usize) -> Option<(u32, u64)> {
        job.gang(task)?;
        let spec = job.task_spec(task);
        let n = job.tasks[task].count(Phase::Waiting);
        let on_one = |agent: &Resources| {
            let fits = spec.resources.scalars();
            let fits = fits.map(|(name, units)| agent.scalar(name) / units).min();
            let most = spec.rules.max_per_agent.map_or(u64::MAX, u64::from);
            fits.unwrap_or(0).min(most)
        };
        let on_largest = self.largest.iter().map(on_one).max()?;
        let most = on_largest.saturating_mul(u64::from(self.n_agents));
        (most < u64::from(n)).then_some((n, most))
    }
}

/// What a task asks of an offer.
fn wanted(spec: &TaskSpec) -> String {
    match spec.rules.constraints.is_empty() {
        true => spec.resources.to_string(),
        false => format!("{} where {}", spec.resources, spec.rules.constraints),
    }
}

fn agents(n: u32) -> String {
    format!("{n} {}", if n == 1 { "agent" } else { "agents" })
}

fn instances(n: impl Into<u64>) -> String {
    let n = n.into();
    format!("{n} {}", if n == 1 { "instance" } else { "instances" })
}

/// A wait in seconds, rounded up, or in minutes.
fn humantime(wait: Duration) -> String {
    match wait.as_millis().div_ceil(1000).max(1) {
        seconds @ ..120 => format!("{seconds} s"),
        _ => minutes(wait),
    }
}

/// A wait in whole minutes, rounded up.
fn minutes(wait: Duration) -> String {
    format!("{} min", wait.as_millis().div_ceil(60_000).max(1))
}

/// What a task still has to come after, and how far that is.
fn before(job: &Job, task: usize) -> String {
    let after = job.tasks[task].after.iter().map(|edge| {
        let (earlier, name) = (&job.tasks[edge.task], &job.task_spec(edge.task).name);
        let count = |phase| earlier.count(phase);
        let (n, what) = match edge.on {
            On::Success => (count(Phase::Finished), "finished"),
            On::Failure => (count(Phase::Failed), "failed"),
            On::Any => (
                count(Phase::Finished) + count(Phase::Failed) + count(Phase::Cancelled),
                "ended",
            ),
        };
        let each = if edge.each { "each index of " } else { "" };
        format!("{each}`{name}` ({n} of {} {what})", earlier.len())
    });
    after.collect::<Vec<_>>().join(", ")
}

/// How the failed instances of a task ended, each way once.
fn last_words(job: &Job, task: usize) -> String {
    let failed = job.tasks[task].launched_in(Phase::Failed);
    let words: BTreeSet<_> = failed
        .filter_map(|(_, instance)| instance.status.as_deref())
        .map(|status| match status.reason {
            Some(reason) => format!("{} {}", status.state.as_str(), reason.as_str()),
            None => status.state.as_str().to_owned(),
        })
        .collect();
    let words: Vec<_> = words.into_iter().collect();
    words.join(", ")
}

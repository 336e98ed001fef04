//! When what waits is thought to start: as if all that waits started in the order of its queue, each as soon as what ended before
//! has given back as much as it needs (list scheduling, Graham 1969).
//!
//! What the agents have is one pool here, and only what runs of the same role gives anything back: nobody but the master knows
//! more. Tasks are thought to take as long as those of their kind took so far; where none has ended, as long as they may; where
//! that has no end, as long as tasks of the role took of late.

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::ops::{Deref, Range};
use std::time::Duration;

use proffer_types::{Resources, Role, Timestamp};

use super::Batch;
use crate::Policy;
use crate::accounts::day_of;
use crate::job::{Job, Phase};
use crate::usage::Sums;

/// Starts that are played through, at some microseconds each; for what comes behind them it goes on at the same rate.
const MAX_STARTS: u64 = 10_000;
/// Days, with today, that tell how long tasks of a role take.
const DAYS: u64 = 7;

/// What will be given back, and when.
#[derive(Debug, Default)]
struct Ends {
    by: BTreeSet<(Timestamp, usize)>,
    resources: Vec<Resources>,
}

impl Ends {
    fn add(&mut self, at: Timestamp, resources: Resources) {
        self.by.insert((at, self.resources.len()));
        self.resources.push(resources);
    }

    fn next(&mut self) -> Option<(Timestamp, &Resources)> {
        let (at, place) = self.by.pop_first()?;
        Some((at, self.resources.get(place)?))
    }
}

impl Batch {
    /// When the next instance of a task that waits is thought to start; `None` where nothing tells.
    #[must_use]
    pub(super) fn estimated_start(&self, job: &Job, task: usize, now: Timestamp) -> Option<Timestamp> {
        let role = &job.spec.role;
        // What runs gives its cpus back before it ends, and takes them again.
        if self.queue.settings(role).policy == Policy::TimeSlice {
            return None;
        }
        let of_role = LazyCell::new(|| self.lately(role, now));
        let mut ends = self.ends(role, &of_role, now);
        let mut free = Resources::new();
        let (mut at, mut n_starts) = (now, 0);
        for next in self.queue.starts(role, now) {
            let other = self.jobs.get(&next.job)?;
            let is_it = |member: usize| (next.job, member) == (job.number, task);
            let (wanted, n, is_it) = match other.gang(next.task) {
                // All of it at once, at the turn of its first.
                Some(gang) if gang.start != next.task => continue,
                Some(gang) => (of_gang(other, gang.clone()), 1, gang.clone().any(is_it)),
                None => {
                    let wanted = other.task_spec(next.task).resources.clone();
                    (wanted, other.n_startable(next.task), is_it(next.task))
                }
            };
            let lasts = lasts(other, next.task, &of_role);
            let n = if is_it { 1 } else { n };
            for _ in 0..n {
                while !free.contains(&wanted) {
                    let (end, given_back) = ends.next()?;
                    at = at.max(end);
                    free.add(given_back);
                }
                if is_it {
                    return Some(at);
                }
                free.subtract(&wanted);
                if let Some(lasts) = lasts {
                    ends.add(at.after(lasts), wanted.clone());
                }
                n_starts += 1;
                if n_starts == MAX_STARTS {
                    let (n_before, _) = self.position(job.number, task, now)?;
                    let so_far = at.since(now).as_millis();
                    let in_all = so_far * u128::from(n_before.max(n_starts)) / u128::from(n_starts);
                    return Some(now.after(Duration::from_millis(u64::try_from(in_all).ok()?)));
                }
            }
        }
        None
    }

    /// The ends of what runs of a role, as far as anything tells.
    fn ends(&self, role: &Role, of_role: &impl Deref<Target = Option<Duration>>, now: Timestamp) -> Ends {
        let mut ends = Ends::default();
        for place in self.running.values() {
            let Some(job) = self.jobs.get(&place.job).filter(|job| job.spec.role == *role) else {
                continue;
            };
            let started = job.tasks[place.task]
                .launched(place.index)
                .map_or(now, |instance| instance.since);
            let spec = job.task_spec(place.task);
            let thought = lasts(job, place.task, of_role).map(|lasts| started.after(lasts));
            // It takes longer than was thought: until its limit, or else it may end at any moment.
            let longer = || spec.timeout.map_or(now, |timeout| started.after(timeout));
            if let Some(end) = thought.map(|end| if end < now { longer() } else { end }) {
                ends.add(end, spec.resources.clone());
            }
        }
        ends
    }

    /// How long tasks of a role took in the last days, on average.
    fn lately(&self, role: &Role, now: Timestamp) -> Option<Duration> {
        let today = day_of(self.wall_at(now));
        let days = self.accounts.between(today.saturating_sub(DAYS - 1), today);
        let of_role = days.filter(|(_, of, ..)| *of == role);
        of_role.map(|(.., sums)| sums).collect::<Sums>().mean_running()
    }
}

/// What all that waits of a gang needs.
fn of_gang(job: &Job, gang: Range<usize>) -> Resources {
    gang.fold(Resources::new(), |sum, task| {
        let n = job.tasks[task].count(Phase::Waiting);
        sum.plus(&job.task_spec(task).resources.times(n))
    })
}

/// How long a task is thought to take.
fn lasts(job: &Job, task: usize, of_role: &impl Deref<Target = Option<Duration>>) -> Option<Duration> {
    let so_far = job.tasks[task].sums.as_ref().and_then(|sums| sums.mean_running());
    let limit = job.task_spec(task).timeout;
    match (so_far, limit) {
        (Some(so_far), Some(limit)) => Some(so_far.min(limit)),
        (Some(lasts), None) | (None, Some(lasts)) => Some(lasts),
        (None, None) => **of_role,
    }
}

//! What follows in a job from what became of its instances: what comes after a task, and what is of one gang with it.
//!
//! Only what may have changed is looked at, so the end of an instance costs no more than there are tasks that come right
//! after it, however large the job is.

use std::collections::BTreeSet;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::job::Job;
use crate::task::Task;
use crate::validate::quoted;
use crate::{JobSpec, On, Phase, SubmitError};

/// A task comes after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    /// The other one, by its place in the spec.
    pub(crate) task: usize,
    pub(crate) on: On,
    /// Each index waits for the same index of the other, not for all of it.
    pub(crate) each: bool,
}

/// What has become of a task as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Verdict {
    is_over: bool,
    has_failed: bool,
    was_cancelled: bool,
}

/// Whether what comes after may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Open,
    Met,
    /// It never will be.
    Doomed,
}

impl Verdict {
    fn of(task: &Task) -> Self {
        let any = |phase| task.count(phase) > 0;
        Self {
            is_over: !Phase::OPEN.into_iter().any(any),
            has_failed: any(Phase::Failed),
            was_cancelled: any(Phase::Cancelled),
        }
    }

    fn condition(self, on: On) -> Condition {
        match on {
            On::Success if self.has_failed || self.was_cancelled => Condition::Doomed,
            On::Failure if self.is_over && !self.has_failed => Condition::Doomed,
            On::Success | On::Failure | On::Any if self.is_over => Condition::Met,
            On::Success | On::Failure | On::Any => Condition::Open,
        }
    }
}

impl On {
    /// The phases of an index that let the same index of what comes after start, and those that never will.
    fn phases(self) -> (&'static [Phase], &'static [Phase]) {
        match self {
            Self::Success => (&[Phase::Finished], &[Phase::Failed, Phase::Cancelled]),
            Self::Failure => (&[Phase::Failed], &[Phase::Finished, Phase::Cancelled]),
            Self::Any => (&[Phase::Finished, Phase::Failed, Phase::Cancelled], &[]),
        }
    }
}

/// Where what comes after is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    task: usize,
    /// The only index of which something may have changed.
    only: Option<u32>,
}

impl Job {
    /// Moves whatever is due, from the beginning; returns the tasks whose instances began or ceased to wait.
    pub(crate) fn settle(&mut self) -> Vec<usize> {
        let order = self.order.clone();
        let looks = order.iter().rev().map(|task| Look {
            task: *task,
            only: None,
        });
        self.settle_all(looks.collect())
    }

    /// As [`Job::settle`], when only one instance changed.
    pub(crate) fn settle_after(&mut self, task: usize, index: u32) -> Vec<usize> {
        let gang = self.gang(task).filter(|_| self.gang_has_failed(task));
        let gang = gang.into_iter().flatten();
        let mut looks: Vec<_> = gang.map(|task| Look { task, only: None }).collect();
        looks.extend(self.later(task, Some(index)));
        self.settle_all(looks)
    }

    /// Settles the last of the looks, then what follows from that, until nothing is left to look at.
    fn settle_all(&mut self, mut looks: Vec<Look>) -> Vec<usize> {
        let mut changed = Vec::new();
        while let Some(look) = looks.pop() {
            let task = look.task;
            let before = self.tasks[task].count(Phase::Waiting);
            let has_moved = self.settle_task(look);
            if self.tasks[task].count(Phase::Waiting) != before {
                changed.push(task);
            }
            if has_moved || look.only.is_none() {
                looks.extend(self.later(task, look.only));
            }
        }
        changed
    }

    /// Moves what is due of one task; returns whether anything was.
    fn settle_task(&mut self, Look { task, only }: Look) -> bool {
        let Task { n_open, n_doomed, .. } = self.tasks[task];
        let open =
            |job: &Self| [Phase::Blocked, Phase::Waiting, Phase::Delayed].map(|phase| job.count(phase));
        let before = open(self);
        if self.cancelled || n_doomed > 0 {
            self.move_all(task, Phase::Blocked, Phase::Cancelled);
        } else if self.tasks[task].after.iter().any(|edge| edge.each) {
            self.settle_each(task, only, n_open == 0);
        } else if n_open == 0 {
            self.move_all(task, Phase::Blocked, Phase::Waiting);
        }
        if self.cancelled || self.gang_has_failed(task) {
            self.drop_open(task);
        }
        before != open(self)
    }

    /// Moves the indexes that wait for the same index of others, and are not kept back by a whole task.
    fn settle_each(&mut self, task: usize, only: Option<u32>, may_start: bool) {
        let blocked = match only {
            Some(index) => {
                let blocked = self.tasks[task].in_phase(Phase::Blocked);
                RoaringBitmap::from_iter(blocked.contains(index).then_some(index))
            }
            None => self.tasks[task].in_phase(Phase::Blocked).clone(),
        };
        let (mut ready, mut doomed) = (blocked.clone(), RoaringBitmap::new());
        for edge in self.tasks[task].after.iter().filter(|edge| edge.each) {
            let earlier = &self.tasks[edge.task];
            let among = |phases: &[Phase]| {
                let phases = phases.iter().map(|phase| &blocked & earlier.in_phase(*phase));
                phases.reduce(|one, other| one | other).unwrap_or_default()
            };
            let (met, never) = edge.on.phases();
            ready &= among(met);
            doomed |= among(never);
        }
        self.move_some(task, &doomed, Phase::Cancelled);
        if may_start {
            self.move_some(task, &(ready - doomed), Phase::Waiting);
        }
    }

    /// Tells the tasks that come after this one what has become of it; returns where to look.
    fn later(&mut self, task: usize, only: Option<u32>) -> Vec<Look> {
        let verdict = Verdict::of(&self.tasks[task]);
        let before = std::mem::replace(&mut self.tasks[task].verdict, verdict);
        if verdict == before && !self.tasks[task].has_each_later {
            return Vec::new();
        }
        let mut looks = Vec::new();
        for (later, edge) in self.tasks[task].before.clone() {
            let edge = self.tasks[later].after[edge];
            let (before, now) = (before.condition(edge.on), verdict.condition(edge.on));
            if edge.each {
                looks.push(Look { task: later, only });
            } else if before != now {
                self.tasks[later].count_condition(before, now);
                looks.push(Look {
                    task: later,
                    only: None,
                });
            }
        }
        looks
    }
}

impl Task {
    fn count_condition(&mut self, before: Condition, now: Condition) {
        self.n_open += u32::from(now != Condition::Met);
        self.n_open -= u32::from(before != Condition::Met);
        self.n_doomed += u32::from(now == Condition::Doomed);
        self.n_doomed -= u32::from(before == Condition::Doomed);
    }
}

/// The tasks of a spec, and how they come after each other; nothing has happened yet.
pub(crate) fn tasks(spec: &JobSpec) -> Vec<Task> {
    let places = spec.places();
    let edges = spec.tasks.iter().map(|task| {
        let edges = task.after.iter().filter_map(|after| {
            Some(Edge {
                task: *places.get(after.task.as_str())?,
                on: after.on,
                each: after.each,
            })
        });
        edges.collect::<Vec<_>>()
    });
    let edges: Vec<_> = edges.collect();
    let counts = spec.tasks.iter().map(|task| task.count);
    let mut tasks: Vec<_> = counts
        .zip(&edges)
        .map(|(count, after)| Task::new(count, after.clone()))
        .collect();
    for (later, edges) in edges.iter().enumerate() {
        for (nth, edge) in edges.iter().enumerate() {
            tasks[edge.task].before.push((later, nth));
            tasks[edge.task].has_each_later |= edge.each;
        }
    }
    tasks
}

/// The tasks of a spec by their places, each after those it comes after.
///
/// # Errors
///
/// A name that is used twice or not at all, arrays that are to go index by index and are not of one size, or a cycle.
pub(crate) fn order(spec: &JobSpec) -> Result<Arc<[usize]>, SubmitError> {
    let places = spec.places();
    if places.len() < spec.tasks.len() {
        let mut names = BTreeSet::new();
        let twice = spec.tasks.iter().find(|task| !names.insert(&task.name));
        return Err(SubmitError::TaskTwice(
            twice.map_or_else(String::new, |task| task.name.clone()),
        ));
    }
    for task in &spec.tasks {
        for after in &task.after {
            let earlier = places.get(after.task.as_str()).map(|place| &spec.tasks[*place]);
            let earlier = earlier.ok_or_else(|| SubmitError::UnknownAfter {
                task: task.name.clone(),
                after: quoted(&after.task),
            })?;
            if after.each && earlier.count != task.count {
                return Err(SubmitError::UnevenAfter {
                    task: task.name.clone(),
                    after: after.task.clone(),
                    n: earlier.count,
                    count: task.count,
                });
            }
        }
    }
    sort(&tasks(spec)).map_err(|cycle| {
        let names: Vec<_> = cycle
            .into_iter()
            .map(|place| spec.tasks[place].name.as_str())
            .collect();
        SubmitError::Cycle(names.join(" -> "))
    })
}

/// Sorts tasks topologically, by counting what each still comes after (Kahn, CACM 1962); fails with a cycle, whose first
/// is its last too.
fn sort(tasks: &[Task]) -> Result<Arc<[usize]>, Vec<usize>> {
    let mut n_open: Vec<_> = tasks.iter().map(|task| task.after.len()).collect();
    let mut order: Vec<_> = (0..tasks.len()).filter(|task| n_open[*task] == 0).collect();
    let mut done = 0;
    while let Some(task) = order.get(done).copied() {
        done += 1;
        for (later, _) in &tasks[task].before {
            n_open[*later] -= 1;
            if n_open[*later] == 0 {
                order.push(*later);
            }
        }
    }
    let Some(mut task) = (0..tasks.len()).find(|task| n_open[*task] > 0) else {
        return Ok(order.into());
    };
    // Each that is left comes after another that is left: going back from one leads into a cycle.
    let mut path = Vec::new();
    let mut seen = vec![false; tasks.len()];
    while !std::mem::replace(&mut seen[task], true) {
        path.push(task);
        let earlier = tasks[task].after.iter().map(|edge| edge.task);
        task = earlier
            .into_iter()
            .find(|earlier| n_open[*earlier] > 0)
            .unwrap_or(task);
    }
    let begin = path.iter().position(|other| *other == task).unwrap_or_default();
    path.push(task);
    Err(path.split_off(begin))
}

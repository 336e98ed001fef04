//! What the master is asked for: of each role a shape for each task that has instances waiting, and for what is suspended on
//! one agent and alike.
//!
//! It is stated anew in every step that changed what waits, after all that the step launched.

use std::collections::BTreeSet;

use proffer_session::Context;
use proffer_types::{Demand, GangId, Placement, Resources, Role, Shape, ShapeId, StatementRoom, Timestamp};

use super::{Batch, put};
use crate::job::Job;
use crate::queue::{Next, Sleepers, Turn};
use crate::records;
use crate::validate::{MAX_TASKS, is_amounts};

/// The bits of a shape's id that tell the task; the others tell the job.
const TASK_BITS: u32 = 14;
const _: () = assert!(
    MAX_TASKS <= 1 << TASK_BITS,
    "the tasks of a job have different shapes"
);

/// The shape of a task; a running task keeps it over all restarts.
pub(super) fn shape_id(job: u64, task: usize) -> ShapeId {
    ShapeId((job << TASK_BITS) | task as u64)
}

/// The job and the task of a shape.
pub(super) fn of_shape(id: ShapeId) -> (u64, usize) {
    (id.0 >> TASK_BITS, (id.0 & ((1 << TASK_BITS) - 1)) as usize)
}

/// The shape of what is suspended has this bit, which no job's number comes to.
const RESUMES: u64 = 1 << 63;

/// The number that suspended instances are stated under, if a shape is one of theirs.
pub(super) fn of_resumption(id: ShapeId) -> Option<u64> {
    (id.0 & RESUMES != 0).then_some(id.0 & !RESUMES)
}

/// What suspended instances need to go on: of all they have but their cpus.
fn resumption(sleepers: Sleepers<'_>) -> Shape {
    let (wake, flow) = (sleepers.wake, sleepers.flow);
    let cpus = Resources::of(wake.cpu_millis, 0, 0);
    Shape {
        flow,
        agent: Some(wake.agent.clone()),
        resumes: true,
        time_limit: wake.limit,
        ..Shape::new(ShapeId(wake.number(flow) | RESUMES), cpus, sleepers.len())
    }
}

/// A gang goes by its first shape.
fn gang_id(job: &Job, task: usize) -> Option<GangId> {
    Some(GangId(shape_id(job.number, job.gang(task)?.start).0))
}

impl Batch {
    /// States the demand of the roles where it changed.
    pub(super) fn state_demand(&mut self, cx: &mut Context<'_>) {
        for (role, user, used) in self.queue.settle(cx.now()) {
            match used {
                Some(used) => put(cx, records::used(&role, &user, &used)),
                None => cx.delete(records::used_key(&role, &user)),
            }
        }
        for role in std::mem::take(&mut self.changed) {
            cx.state_demand(&role, self.demand(&role, cx.now()));
        }
    }

    /// What waits in a role, in its order, as far as one statement has room for it. A gang of which something still
    /// runs is not asked for: it starts whole.
    pub(super) fn demand(&self, role: &Role, now: Timestamp) -> Demand {
        let mut room = StatementRoom::default();
        let mut shapes: Vec<Shape> = Vec::new();
        let mut gangs = BTreeSet::new();
        for turn in self.queue.tasks(role, now) {
            let Next { job, task, flow } = match turn {
                Turn::Start(next) => next,
                Turn::Resume(sleepers) if self.slices.is_asked(&sleepers.wake.agent) => continue,
                Turn::Resume(sleepers) => {
                    let wanted = resumption(sleepers);
                    if !room.take(std::slice::from_ref(&wanted)) {
                        break;
                    }
                    shapes.push(wanted);
                    continue;
                }
            };
            let job = self.jobs.get(&job);
            let Some(job) =
                job.filter(|job| job.may_start(task) && is_amounts(&job.task_spec(task).resources))
            else {
                continue;
            };
            // The other tasks of a gang came with the first of them.
            if gang_id(job, task).is_some_and(|gang| !gangs.insert(gang)) {
                continue;
            }
            let tasks = job.gang(task).unwrap_or(task..task + 1);
            let wanted: Vec<_> = tasks.filter_map(|task| wanted(job, task, flow)).collect();
            if !room.take(&wanted) {
                break;
            }
            shapes.extend(wanted);
        }
        let backfill = self.queue.settings(role).backfill;
        Demand { shapes, backfill }
    }
}

/// The shape of a task; none when nothing of it may be started.
fn wanted(job: &Job, task: usize, flow: u64) -> Option<Shape> {
    let count = job.n_startable(task);
    (count > 0).then(|| Shape {
        flow,
        ..shape(job, task, count)
    })
}

/// So many instances of a task, as the master is asked for them.
pub(super) fn shape(job: &Job, task: usize, count: u32) -> Shape {
    let spec = job.task_spec(task);
    Shape {
        constraints: spec.rules.constraints.clone(),
        max_per_agent: spec.rules.max_per_agent,
        placement: spec.rules.placement.unwrap_or(Placement::Pack),
        gang: gang_id(job, task),
        time_limit: spec.timeout,
        n_ports: spec.container.network.n_dynamic_ports(),
        ..Shape::new(shape_id(job.number, task), spec.resources.clone(), count)
    }
}

/// Whether each gang of a job can be asked for in one statement.
pub(super) fn can_be_stated(job: &Job) -> bool {
    let n_tasks = job.tasks.len();
    let gangs = (0..n_tasks).filter_map(|task| job.gang(task).filter(|gang| gang.start == task));
    let mut gangs = gangs.map(|gang| {
        let shapes = gang.map(|task| shape(job, task, job.task_spec(task).count));
        shapes.collect::<Vec<_>>()
    });
    gangs.all(|shapes| StatementRoom::default().take(&shapes))
}

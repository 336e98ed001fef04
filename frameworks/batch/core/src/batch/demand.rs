//! What the master is asked for: of each role a shape for each task that has instances waiting.
//!
//! It is stated anew in every step that changed what waits, after all that the step launched.

use proffer_session::Context;
use proffer_types::{GangId, Placement, Role, Shape, ShapeId, StatementRoom};

use super::Batch;
use crate::job::Job;
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

/// A gang goes by its first shape.
fn gang_id(job: &Job, task: usize) -> Option<GangId> {
    Some(GangId(shape_id(job.number, job.gang(task)?.start).0))
}

impl Batch {
    /// States the demand of the roles where it changed.
    pub(super) fn state_demand(&mut self, cx: &mut Context<'_>) {
        for role in std::mem::take(&mut self.changed) {
            cx.state_demand(&role, self.demand(&role));
        }
    }

    /// What waits in a role, in its order, as far as one statement has room for it. A gang of which something still
    /// runs is not asked for: it starts whole.
    pub(super) fn demand(&self, role: &Role) -> Vec<Shape> {
        let mut room = StatementRoom::default();
        let mut demand: Vec<Shape> = Vec::new();
        for (number, task) in self.queue.tasks(role) {
            let job = self.jobs.get(&number);
            let Some(job) =
                job.filter(|job| job.may_start(task) && is_amounts(&job.task_spec(task).resources))
            else {
                continue;
            };
            let gang = gang_id(job, task);
            // The tasks of a gang stand one after the other, and came with the first of them.
            if gang.is_some() && demand.last().is_some_and(|last| last.gang == gang) {
                continue;
            }
            let tasks = job.gang(task).unwrap_or(task..task + 1);
            let shapes: Vec<_> = tasks.filter_map(|task| self.shape(job, task)).collect();
            if !room.take(&shapes) {
                break;
            }
            demand.extend(shapes);
        }
        demand
    }

    /// The shape of a task; none when nothing of it waits.
    fn shape(&self, job: &Job, task: usize) -> Option<Shape> {
        let count = job.n_startable(task);
        (count > 0).then(|| shape(job, task, count))
    }
}

/// So many instances of a task, as the master is asked for them.
fn shape(job: &Job, task: usize, count: u32) -> Shape {
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

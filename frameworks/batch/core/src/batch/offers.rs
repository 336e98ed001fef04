//! Using an offer: the waiting instances in order, as many as fit.

use std::time::Duration;

use proffer_session::Context;
use proffer_types::{Filters, Offer, ResourceName, Resources, TaskInfo};

use super::{Batch, put};
use crate::job::{Phase, Place};
use crate::records;
use crate::validate::container_bytes;

/// While more waits than fits: soon enough to notice what others give back, late enough not to be asked all the time.
const SHORT: Filters = Filters {
    refuse: Duration::from_secs(1),
};
/// The bytes of commands and environments sent for one offer; with ids and names it stays well under the
/// 4 MiB a message may have. What did not go is launched on the next offer, which comes at once.
const MAX_LAUNCH_BYTES: usize = 1 << 20;
/// Launches in one step, over all offers: with its records each takes a few hundred bytes of a commit, which
/// holds 16 MiB.
const MAX_LAUNCHES_PER_STEP: usize = 20_000;
/// What a task costs in a message beside its command and environment, in bytes.
const TASK_OVERHEAD_BYTES: usize = 512;

/// Offers that a waiting task could not use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Misses {
    pub(super) n_offers: u64,
    /// The latest of them: what it lacked, and all it had.
    pub(super) latest: Option<(ResourceName, Resources)>,
}

/// What is to be done with one offer.
#[derive(Default)]
struct Plan {
    launches: Vec<Place>,
    misses: Vec<(u64, usize, ResourceName)>,
    /// Something fits and was left out for the size of the message or of the step.
    full: bool,
}

impl Batch {
    pub(super) fn take_all(&mut self, offers: &[Offer], cx: &mut Context<'_>) {
        let mut n_left = MAX_LAUNCHES_PER_STEP;
        for offer in offers {
            self.take(offer, &mut n_left, cx);
        }
        self.follow_demand(cx);
    }

    fn take(&mut self, offer: &Offer, n_left: &mut usize, cx: &mut Context<'_>) {
        if let Some(left) = self.avoided.left(&offer.agent_id, cx.now()) {
            cx.decline(offer, left);
            return;
        }
        let plan = self.plan(offer, *n_left);
        *n_left -= plan.launches.len();
        for (job, task, lacking) in plan.misses {
            let misses = self.misses.entry((job, task)).or_default();
            misses.n_offers += 1;
            misses.latest = Some((lacking, offer.resources.clone()));
        }
        let tasks: Vec<_> = plan
            .launches
            .into_iter()
            .filter_map(|place| self.launch(place, offer, cx))
            .collect();
        let filters = match (plan.full, self.queue.wants(&offer.role)) {
            (true, _) => Filters::NONE,
            (false, true) => SHORT,
            (false, false) => Filters::DEFAULT,
        };
        if tasks.is_empty() {
            cx.decline(offer, filters.refuse);
        } else {
            cx.launch(offer, tasks, filters);
        }
    }

    fn plan(&self, offer: &Offer, n_left: usize) -> Plan {
        let mut plan = Plan::default();
        let mut rest = offer.resources.clone();
        let mut room = MAX_LAUNCH_BYTES;
        for (number, task, waiting) in self.queue.groups(&offer.role) {
            let Some(job) = self.jobs.get(&number) else {
                continue;
            };
            let spec = job.task_spec(task);
            let size = container_bytes(spec) + TASK_OVERHEAD_BYTES;
            for index in waiting {
                if let Some(lacking) = rest.first_lacking(&spec.resources) {
                    if offer.resources.first_lacking(&spec.resources).is_some() {
                        plan.misses.push((number, task, lacking.clone()));
                    }
                    break;
                }
                if size > room || plan.launches.len() == n_left {
                    plan.full = true;
                    return plan;
                }
                room -= size;
                rest.subtract(&spec.resources);
                plan.launches.push(Place {
                    job: number,
                    task,
                    index: *index,
                });
            }
        }
        plan
    }

    fn launch(&mut self, place: Place, offer: &Offer, cx: &mut Context<'_>) -> Option<TaskInfo> {
        let job = self.jobs.get_mut(&place.job)?;
        let instance = &mut job.tasks[place.task].instances[place.index];
        instance.attempts += 1;
        instance.status = None;
        self.move_to(place, Phase::Running);
        let job = self.jobs.get(&place.job)?;
        put(cx, records::instance(job, place));
        let spec = job.task_spec(place.task);
        let mut container = spec.container.clone();
        container.env.extend([
            ("PROFFER_JOB".to_owned(), job.spec.name.clone()),
            ("PROFFER_TASK_NAME".to_owned(), spec.name.clone()),
            ("PROFFER_TASK_INDEX".to_owned(), place.index.to_string()),
        ]);
        Some(TaskInfo {
            id: job.task_id(place.task, place.index)?,
            name: format!("{}.{}", job.spec.name, spec.name),
            agent_id: offer.agent_id.clone(),
            resources: spec.resources.clone(),
            container,
            kill_policy: spec.kill_policy,
            labels: Default::default(),
            max_completion_time: spec.timeout,
        })
    }
}

//! Some attempts are suspended for a while: they go on when their agent is offered again.

use std::time::Duration;

use proffer_session::Context;
use proffer_types::{Offer, Operation, Resources, TaskState, TaskStatus};

use super::{Workload, task_id};

/// How many reports of running attempts in a thousand are answered by a suspension.
const SUSPEND_PERMILLE: u32 = 200;

/// How long an attempt that waits to go on is waited for: others may have its cpus for long.
const PATIENCE: Duration = Duration::from_secs(120);

impl Workload {
    /// Whether it suspends at all. Who states demand is not offered what a suspended task needs.
    fn suspends(&self) -> bool {
        let habits = &self.plan.habits;
        self.plan.jobs.len().is_multiple_of(2) && !habits.states_demand && !habits.hoards
    }

    /// Suspends a running attempt now and then, and keeps account of what is suspended.
    pub(super) fn consider(&mut self, cx: &mut Context<'_>, n: usize, status: &TaskStatus) {
        if status.condition.is_suspended() && status.state == TaskState::Running {
            self.suspended
                .extend(status.agent_id.clone().map(|agent| (n, agent)));
            self.jobs[n].give_up_at.get_or_insert(cx.now().after(PATIENCE));
            self.want(cx);
        } else if status.state == TaskState::Running && self.suspends() && self.chance(cx, SUSPEND_PERMILLE) {
            cx.suspend(&status.task_id);
        }
    }

    /// What goes on with the cpus of an offer, which are taken out of `free`.
    pub(super) fn resume(&mut self, offer: &Offer, free: &mut Resources) -> Vec<Operation> {
        let mut tasks = Vec::new();
        for (n, agent) in &self.suspended {
            let cpus = self.plan.jobs[*n].resources.cpus();
            let is_there = *agent == offer.agent_id && self.jobs[*n].role == self.role(offer);
            if is_there && free.contains(&cpus) {
                free.subtract(&cpus);
                tasks.push((*n, task_id(*n, self.jobs[*n].attempt)));
            }
        }
        for (n, _) in &tasks {
            self.suspended.remove(n);
        }
        let tasks: Vec<_> = tasks.into_iter().map(|(_, id)| id).collect();
        match tasks.is_empty() {
            true => Vec::new(),
            false => vec![Operation::Resume(tasks)],
        }
    }
}

//! Demand: a shape for each job that waits, some of them in pairs that start together.

use std::collections::BTreeMap;

use proffer_session::Context;
use proffer_types::{GangId, Offer, Operation, Placement, Resources, Shape, ShapeId, TaskInfo};

use super::{State, Workload};

/// Half of what the smallest agent has: a pair of such jobs fits on any.
fn half_an_agent() -> Resources {
    Resources::of(1000, 512 << 20, 1 << 30)
}

impl Workload {
    /// States what waits, where that is not what was stated before. Nothing is wanted in roles beside the first.
    pub(super) fn state(&mut self, cx: &mut Context<'_>) {
        if !self.plan.habits.states_demand {
            return;
        }
        let waiting: Vec<_> = self.waiting(cx.now()).collect();
        let shapes: Vec<_> = waiting.iter().map(|n| self.shape(*n, &waiting)).collect();
        if self.stated.as_ref() == Some(&shapes) {
            return;
        }
        self.stated = Some(shapes.clone());
        if let Some((first, others)) = self.plan.roles.split_first() {
            cx.state_demand(first, shapes);
            for role in others.iter().filter(|role| *role != first) {
                cx.state_demand(role, Vec::new());
            }
        }
    }

    fn shape(&self, n: usize, waiting: &[usize]) -> Shape {
        let job = &self.plan.jobs[n];
        let pairs = self.plan.habits.gangs
            && waiting.contains(&(n ^ 1))
            && [n, n ^ 1]
                .iter()
                .all(|n| half_an_agent().contains(&self.plan.jobs[*n].resources));
        Shape {
            n_ports: u32::from(job.takes_port),
            gang: pairs.then_some(GangId(n as u64 / 2)),
            placement: if job.behaviour.deaf {
                Placement::Spread
            } else {
                Placement::Pack
            },
            time_limit: job.max_completion_time,
            ..Shape::new(ShapeId(n as u64), job.resources.clone(), 1)
        }
    }

    /// Takes out of a batch of offers those that are answered together, and answers them.
    pub(super) fn take_gangs(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) -> Vec<Offer> {
        let mut gangs: BTreeMap<GangId, Vec<Offer>> = BTreeMap::new();
        let mut others = Vec::new();
        for offer in offers {
            match offer.gang {
                Some(gang) => gangs.entry(gang.id).or_default().push(offer),
                None => others.push(offer),
            }
        }
        for offers in gangs.into_values() {
            self.fill_gang(cx, &offers);
        }
        others
    }

    fn fill_gang(&mut self, cx: &mut Context<'_>, offers: &[Offer]) {
        let jobs: Vec<_> = offers
            .iter()
            .flat_map(|offer| jobs_of(offer).map(move |n| (n, offer)))
            .collect();
        let refusal = self.refusal(cx);
        let wanted = jobs
            .iter()
            .all(|(n, _)| self.jobs.get(*n).is_some_and(|job| job.state == State::Waiting));
        let spoils_it = self.chance(cx, 100);
        match offers.first() {
            Some(first) if !wanted || self.chance(cx, 200) => cx.decline(first, refusal.refuse),
            Some(_) => {
                let mut free: BTreeMap<_, _> = offers
                    .iter()
                    .map(|offer| (offer.agent_id.clone(), offer.resources.clone()))
                    .collect();
                let mut tasks = Vec::new();
                for (n, offer) in jobs {
                    if let Some(free) = free.get_mut(&offer.agent_id)
                        && let Some(task) = self.take(cx, n, offer, free)
                    {
                        tasks.push(task);
                    }
                }
                if spoils_it && let Some(task) = tasks.last_mut() {
                    // Then the others must not start either.
                    task.container.command.clear();
                }
                cx.accept(offers, vec![Operation::Launch(tasks)], refusal);
            }
            None => {}
        }
    }

    /// Launches what an offer has room for by its shapes.
    pub(super) fn fill_stated(&mut self, cx: &mut Context<'_>, offer: &Offer) {
        let mut free = offer.resources.clone();
        let jobs: Vec<_> = jobs_of(offer)
            .filter(|n| self.jobs.get(*n).is_some_and(|job| job.state == State::Waiting))
            .collect();
        let tasks: Vec<_> = jobs
            .into_iter()
            .filter_map(|n| self.take(cx, n, offer, &mut free))
            .collect();
        let refusal = self.refusal(cx);
        if tasks.is_empty() {
            cx.decline(offer, refusal.refuse);
        } else {
            cx.launch(offer, tasks, refusal);
        }
    }

    fn take(
        &mut self,
        cx: &mut Context<'_>,
        n: usize,
        offer: &Offer,
        free: &mut Resources,
    ) -> Option<TaskInfo> {
        let resources = super::fit(&self.plan.jobs[n], free)?;
        free.subtract(&resources);
        self.jobs[n].state = State::Launched;
        self.write(cx, n);
        let task = self.task(n, resources, offer);
        Some(TaskInfo {
            shape: Some(ShapeId(n as u64)),
            ..task
        })
    }
}

fn jobs_of(offer: &Offer) -> impl Iterator<Item = usize> {
    let shapes = offer.shapes.iter();
    shapes.filter_map(|(shape, _)| usize::try_from(shape.0).ok())
}

//! Using offers: what an offer was made for first, then whatever waits and fits.
//!
//! What is left is declined without a filter: the demand that follows says what is wanted instead. A gang is launched
//! whole on the offers of its bundle, or not at all. Nothing starts on an agent with a maintenance window before it would end.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_session::Context;
use proffer_types::{
    AgentId, Backfill, Filters, GangId, Offer, Operation, Resources, Role, ShapeId, TaskId, TaskInfo,
    Timestamp,
};

use super::demand::{of_resumption, of_shape, shape_id};
use super::{Batch, peers, put};
use crate::TaskSpec;
use crate::job::{Job, Phase, Place};
use crate::queue::{Next, Turn};
use crate::records;
use crate::schedule::rfc3339;
use crate::validate::{MAX_GANG_BYTES, launch_bytes};

/// The bytes of commands and environments sent for one offer; with ids and names it stays well under the 4 MiB a
/// message may have. What did not go is launched on the next offer, which comes at once.
const MAX_LAUNCH_BYTES: usize = 1 << 20;
/// What a task that goes on takes of those: its id.
const RESUME_BYTES: usize = 256;
/// Launches in one step, over all offers: with its records each takes a few hundred bytes of a commit, which
/// holds 16 MiB.
const MAX_LAUNCHES_PER_STEP: usize = 20_000;

/// What a task without a time limit is thought to take, at least: an agent whose window begins sooner is not worth its start.
const UNKNOWN_LENGTH: Duration = Duration::from_secs(60);
/// How long not to be offered an agent on which what waits would not end before a maintenance window: other agents have their
/// turn meanwhile, and a window that is taken back is noticed soon.
const WINDOW_REFUSAL: Duration = Duration::from_secs(10);

/// What one offer, or the offers of a gang, still have room for.
struct Room {
    resources: Resources,
    /// In the message that uses them.
    n_bytes: usize,
    /// In this step.
    n_launches: usize,
}

/// An instance, where it goes, and the very resources it gets.
type Launch = (Place, AgentId, Resources);

impl Room {
    fn of(offer: &Offer, n_launches: usize) -> Self {
        Self {
            resources: offer.resources.clone(),
            n_bytes: MAX_LAUNCH_BYTES,
            n_launches,
        }
    }

    /// What one instance would get.
    fn pick(&self, spec: &TaskSpec) -> Option<Resources> {
        let n_ports = spec.container.network.n_dynamic_ports();
        self.resources.take_with_ports(&spec.resources, n_ports)
    }

    /// Takes the cpus of one that goes on.
    fn take_cpus(&mut self, cpu_millis: u64) -> Option<()> {
        let cpus = self.resources.take(&Resources::of(cpu_millis, 0, 0))?;
        let n_bytes = self.n_bytes.checked_sub(RESUME_BYTES)?;
        self.resources.subtract(&cpus);
        self.n_bytes = n_bytes;
        Some(())
    }

    /// Takes the room of one instance.
    fn take(&mut self, job: &Job, task: usize) -> Option<Resources> {
        let spec = job.task_spec(task);
        let n_bytes = self.n_bytes.checked_sub(launch_bytes(&job.spec, spec))?;
        let n_launches = self.n_launches.checked_sub(1)?;
        let taken = self.pick(spec)?;
        self.resources.subtract(&taken);
        (self.n_bytes, self.n_launches) = (n_bytes, n_launches);
        Some(taken)
    }
}

/// When a task that starts now would end, at the latest that is thought of.
pub(super) fn end_of(spec: &TaskSpec, now: Timestamp) -> Timestamp {
    now.after(spec.timeout.unwrap_or(UNKNOWN_LENGTH))
}

/// Whether a task that starts now, by the host's clock, could outlast the agent's time until its next maintenance window.
fn outlasts(offer: &Offer, spec: &TaskSpec, now: Timestamp) -> bool {
    let end = end_of(spec, now);
    offer.unavailability.is_some_and(|window| end > window.start)
}

impl Batch {
    pub(super) fn take_all(&mut self, offers: Vec<Offer>, cx: &mut Context<'_>) {
        let mut n_left = MAX_LAUNCHES_PER_STEP;
        let mut gangs: BTreeMap<(Role, GangId), Vec<Offer>> = BTreeMap::new();
        let now = self.wall(cx);
        for offer in offers {
            self.closing.offered(&offer, now);
            match offer.gang {
                Some(gang) => gangs
                    .entry((offer.role.clone(), gang.id))
                    .or_default()
                    .push(offer),
                None => n_left -= self.take(&offer, n_left, cx),
            }
        }
        for ((_, id), bundle) in gangs {
            n_left -= self.take_gang(id, &bundle, n_left, cx);
        }
        self.state_demand(cx);
    }

    /// Uses one offer; returns how many tasks were launched. On an agent that is avoided, what is suspended there may go on.
    fn take(&mut self, offer: &Offer, n_left: usize, cx: &mut Context<'_>) -> usize {
        let avoided = self.avoided.left(&offer.agent_id, cx.now());
        let now = self.wall(cx);
        let mut room = Room::of(offer, if avoided.is_some() { 0 } else { n_left });
        let (mut tasks, mut resumed) = (Vec::new(), Vec::new());
        for (shape, n) in &offer.shapes {
            match of_resumption(*shape) {
                Some(number) => resumed.extend(self.resume_stated(offer, number, *n, &mut room, cx)),
                None => tasks.extend(self.launch(self.plan_shape(offer, *shape, *n, &mut room, now), cx)),
            }
        }
        let (plan, sleepers) = self.plan_rest(offer, &mut room, now);
        resumed.extend(
            sleepers
                .into_iter()
                .filter_map(|place| self.resume_one(place, cx)),
        );
        tasks.extend(self.launch(plan, cx));
        let n_tasks = tasks.len();
        let resumes = (!resumed.is_empty()).then_some(Operation::Resume(resumed));
        let launches = (!tasks.is_empty()).then_some(Operation::Launch(tasks));
        let operations: Vec<_> = resumes.into_iter().chain(launches).collect();
        match operations.is_empty() {
            true => cx.decline(offer, avoided.unwrap_or_else(|| self.refusal(offer, now))),
            false => cx.accept(std::slice::from_ref(offer), operations, Filters::NONE),
        }
        n_tasks
    }

    /// Lets go on what an offer was made for, as far as it is still suspended.
    fn resume_stated(
        &mut self,
        offer: &Offer,
        number: u64,
        n: u32,
        room: &mut Room,
        cx: &Context<'_>,
    ) -> Vec<TaskId> {
        let mut resumed = Vec::new();
        for _ in 0..n {
            let found = self.queue.stated_as(&offer.role, &offer.agent_id, number);
            let Some(place) = found.filter(|place| self.has_room(*place, room)) else {
                break;
            };
            resumed.extend(self.resume_one(place, cx));
        }
        resumed
    }

    /// Takes the room that a suspended instance needs, if it is there.
    fn has_room(&self, place: Place, room: &mut Room) -> bool {
        let asleep = self.queue.asleep(place);
        asleep.is_some_and(|asleep| room.take_cpus(asleep.wake.cpu_millis).is_some())
    }

    /// How long not to be offered an agent again of which nothing was used.
    fn refusal(&self, offer: &Offer, now: Timestamp) -> Duration {
        let owners = offer.shapes.iter();
        let mut owners = owners.filter_map(|(shape, _)| self.owner_of(*shape, &offer.role));
        match owners.any(|(job, task)| outlasts(offer, job.task_spec(task), now)) {
            true => WINDOW_REFUSAL,
            false => Filters::NONE.refuse,
        }
    }

    /// What an offer was made for, as far as it still waits.
    fn plan_shape(
        &self,
        offer: &Offer,
        shape: ShapeId,
        n: u32,
        room: &mut Room,
        now: Timestamp,
    ) -> Vec<Launch> {
        let owner = self.owner_of(shape, &offer.role);
        let may_start = |(job, task): &(&Job, usize)| {
            job.gang(*task).is_none() && !outlasts(offer, job.task_spec(*task), now)
        };
        let Some((job, task)) = owner.filter(may_start) else {
            return Vec::new();
        };
        let waiting = job.tasks[task].in_phase(Phase::Waiting).iter();
        let launch = |index| {
            let taken = room.take(job, task)?;
            Some((job.place(task, index), offer.agent_id.clone(), taken))
        };
        let n = n.min(job.n_startable(task));
        waiting.take(n as usize).map_while(launch).collect()
    }

    /// Whatever else waits and fits in what is left, and what is suspended there. How many of a task are on the agent only the
    /// master knows.
    fn plan_rest(&self, offer: &Offer, room: &mut Room, now: Timestamp) -> (Vec<Launch>, Vec<Place>) {
        let (mut plan, mut resumed) = (Vec::new(), Vec::new());
        let in_order = self.queue.settings(&offer.role).backfill == Backfill::None;
        for turn in self.queue.tasks(&offer.role, now) {
            if room.resources.is_empty() {
                break;
            }
            let n_missing = match turn {
                Turn::Start(next) => self.plan_next(offer, next, room, now, &mut plan),
                Turn::Resume(sleepers) if self.slices.is_asked(&sleepers.wake.agent) => 0,
                Turn::Resume(sleepers) if sleepers.wake.agent == offer.agent_id => {
                    let before = resumed.len();
                    resumed.extend(sleepers.places().take_while(|place| self.has_room(*place, room)));
                    sleepers.len() as usize - (resumed.len() - before)
                }
                Turn::Resume(_) => 1,
            };
            if in_order && n_missing > 0 {
                break;
            }
        }
        (plan, resumed)
    }

    /// As many instances of a task as fit; returns how many could start and do not.
    fn plan_next(
        &self,
        offer: &Offer,
        next: Next,
        room: &mut Room,
        now: Timestamp,
        plan: &mut Vec<Launch>,
    ) -> usize {
        let (task, Some(job)) = (next.task, self.jobs.get(&next.job)) else {
            return 0;
        };
        let spec = job.task_spec(task);
        let alone = job.gang(task).is_none() && spec.rules.max_per_agent.is_none();
        let n = job.n_startable(task) as usize;
        if !alone || outlasts(offer, spec, now) || !offer.meets(&spec.rules.constraints) {
            return n;
        }
        let waiting = job.tasks[task].in_phase(Phase::Waiting).iter().take(n);
        let launch = |index| {
            let taken = room.take(job, task)?;
            Some((job.place(task, index), offer.agent_id.clone(), taken))
        };
        let before = plan.len();
        plan.extend(waiting.map_while(launch));
        n - (plan.len() - before)
    }

    /// Uses the offers of a gang; returns how many tasks were launched.
    fn take_gang(&mut self, id: GangId, bundle: &[Offer], n_left: usize, cx: &mut Context<'_>) -> usize {
        let avoided = bundle
            .iter()
            .map(|offer| self.avoided.left(&offer.agent_id, cx.now()));
        let refuse = avoided.max().flatten();
        let now = self.wall(cx);
        let plan = match refuse {
            None => self.plan_gang(id, bundle, n_left, now),
            Some(_) => None,
        };
        let Some(plan) = plan else {
            if let Some(offer) = bundle.first() {
                let windows = bundle.iter().map(|offer| self.refusal(offer, now));
                cx.decline(offer, windows.chain(refuse).max().unwrap_or_default());
            }
            return 0;
        };
        let places: Vec<_> = plan.iter().map(|(place, ..)| *place).collect();
        let mut tasks = self.launch(plan, cx);
        peers::introduce(&mut tasks, &places, bundle);
        let n_tasks = tasks.len();
        cx.accept(bundle, vec![Operation::Launch(tasks)], Filters::NONE);
        n_tasks
    }

    /// Everything of a gang that waits, or nothing.
    fn plan_gang(&self, id: GangId, bundle: &[Offer], n_left: usize, now: Timestamp) -> Option<Vec<Launch>> {
        let (job, first) = self.owner_of(ShapeId(id.0), &bundle.first()?.role)?;
        let (n_waiting, n_running) = job.gang_start(first)?;
        if n_running > 0 {
            return None;
        }
        let waiting = |task: usize| job.tasks[task].in_phase(Phase::Waiting).iter();
        let mut waiting: BTreeMap<_, _> = job.gang(first)?.map(|task| (task, waiting(task))).collect();
        let (mut n_bytes, mut n_launches) = (MAX_GANG_BYTES, n_left);
        let mut plan = Vec::new();
        for offer in bundle {
            let mut room = Room {
                resources: offer.resources.clone(),
                n_bytes,
                n_launches,
            };
            for (shape, n) in &offer.shapes {
                let task = of_shape(*shape).1;
                let waiting = waiting
                    .get_mut(&task)
                    .filter(|_| *shape == shape_id(job.number, task))?;
                if outlasts(offer, job.task_spec(task), now) {
                    return None;
                }
                for index in waiting.take(*n as usize) {
                    let taken = room.take(job, task)?;
                    plan.push((job.place(task, index), offer.agent_id.clone(), taken));
                }
            }
            (n_bytes, n_launches) = (room.n_bytes, room.n_launches);
        }
        (plan.len() == n_waiting as usize).then_some(plan)
    }

    /// The task that a shape of a role stands for, if it may be started.
    fn owner_of(&self, shape: ShapeId, role: &Role) -> Option<(&Job, usize)> {
        let (number, task) = of_shape(shape);
        let job = self.jobs.get(&number)?;
        (job.spec.role == *role && task < job.tasks.len() && !job.is_kept_back()).then_some((job, task))
    }

    fn launch(&mut self, plan: Vec<Launch>, cx: &mut Context<'_>) -> Vec<TaskInfo> {
        let launch = |(place, agent, resources)| self.launch_one(place, agent, resources, cx);
        plan.into_iter().filter_map(launch).collect()
    }

    fn launch_one(
        &mut self,
        place: Place,
        agent_id: AgentId,
        resources: Resources,
        cx: &mut Context<'_>,
    ) -> Option<TaskInfo> {
        let job = self.jobs.get_mut(&place.job)?;
        job.launch(place, cx.now());
        self.move_to(place, Phase::Running);
        self.took_room(place);
        let job = self.jobs.get(&place.job)?;
        put(cx, records::instance(job, place));
        self.run_launched(place, cx);
        let job = self.jobs.get(&place.job)?;
        let spec = job.task_spec(place.task);
        let mut container = spec.container.clone();
        container.env.extend([
            ("PROFFER_JOB".to_owned(), job.spec.name.clone()),
            ("PROFFER_TASK_NAME".to_owned(), spec.name.clone()),
            ("PROFFER_TASK_INDEX".to_owned(), place.index.to_string()),
        ]);
        let window = job.run.as_ref().map(|run| rfc3339(run.at));
        let window = window.map(|window| ("PROFFER_WINDOW".to_owned(), window));
        container.env.extend(window);
        if let Some(dispatch) = &job.spec.dispatch {
            dispatch.add_to(&mut container);
        }
        Some(TaskInfo {
            id: job.task_id(place.task, place.index)?,
            name: format!("{}.{}", job.spec.name, spec.name),
            agent_id,
            resources,
            container,
            kill_policy: spec.kill_policy,
            labels: job.spec.labels.clone(),
            max_completion_time: spec.timeout,
            limits: spec.limits,
            shape: Some(shape_id(place.job, place.task)),
            executor: None,
            data: Vec::new(),
        })
    }
}

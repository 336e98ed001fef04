//! Whatever the cluster does: one attempt of an instance at a time but for those given up, nothing forgotten in a crash,
//! a gang starts whole or not at all, what is stated is what waits, and every job ends.

mod offers;
mod suspended;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_session::Scheduler;
use proffer_types::scheduler_link::Call;
use proffer_types::{Offer, Resources, Role, Shape, ShapeId, TaskId, TaskInfo, Usage};
use proptest::prelude::*;

use super::world::{World, launched, offer, resumed, spec_of, status};
use crate::{
    After, AfterJob, Batch, Dispatch, JobSpec, On, Parameter, Payload, Phase, Pick, Policy, QueueSettings,
    Requeue, Template,
};

#[derive(Debug, Clone)]
enum Step {
    /// Submits a job of four tasks: the second after the first, in one way or another, the last after the second, whatever
    /// became of it; at most one of the third on an agent.
    Submit {
        name: u8,
        count: u32,
        retries: u32,
        gang: Gang,
        on: On,
        each: bool,
        backoff: u64,
        max_running: Option<u32>,
        waits: Option<(u8, On)>,
    },
    /// The remainder of an agent.
    Offer {
        cpus: u32,
    },
    /// What was asked for, as much of it as fits.
    OfferDemand {
        cpus: u32,
    },
    /// The first gang that was asked for; or all of it but one, to be refused.
    OfferGang {
        whole: bool,
    },
    /// One of the running tasks, whatever it is, reports.
    Update {
        nth: usize,
        state: &'static str,
    },
    /// The same task reports again what it reported last.
    Repeat,
    Wait {
        seconds: u64,
    },
    /// An attempt that was given up is back, running.
    Return,
    Cancel {
        name: u8,
    },
    Hold {
        name: u8,
        held: bool,
    },
    Requeue {
        name: u8,
        all: bool,
        /// Only this task, and this index of it.
        task: Option<&'static str>,
        index: Option<u32>,
    },
    /// A template of one task, of whose runs one that has ended is kept.
    Template {
        name: u8,
    },
    Dispatch {
        name: u8,
        token: u8,
    },
    /// All of a run is run again.
    RequeueRun {
        name: u8,
        token: u8,
    },
    /// And, if they are not to be kept, all of its runs.
    CancelTemplate {
        name: u8,
        keep_runs: bool,
    },
    Crash,
    /// The queue is set to a policy.
    Queue {
        policy: Policy,
    },
    /// What was asked to give up its cpus does, or refuses.
    Suspend {
        refuses: bool,
    },
    /// What was resumed goes on; or stays as it is.
    GoOn {
        stays: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gang {
    None,
    /// The first task.
    Array,
    /// All of them, in no order.
    Job,
}

const STATES: [&str; 9] = [
    "RUNNING",
    "FINISHED",
    "FAILED",
    "KILLED",
    "ERROR",
    "GONE",
    "UNKNOWN",
    "DROPPED",
    "UNREACHABLE",
];

fn step() -> impl Strategy<Value = Step> {
    let gang = prop_oneof![Just(Gang::None), Just(Gang::Array), Just(Gang::Job)];
    let on = prop_oneof![Just(On::Success), Just(On::Failure), Just(On::Any)];
    let other_on = prop_oneof![Just(On::Success), Just(On::Failure), Just(On::Any)];
    let waits = proptest::option::weighted(0.3, (0..3_u8, other_on));
    let requeued = prop_oneof![
        Just((None, None)),
        (
            proptest::sample::select(&["a", "b", "c", "d"][..]),
            proptest::option::of(0..3_u32)
        )
            .prop_map(|(task, index)| (Some(task), index)),
    ];
    prop_oneof![
        2 => (0..3_u8, 1..4_u32, 0..3_u32, gang, on, any::<bool>(), 0..3_u64, proptest::option::of(1..3_u32), waits)
            .prop_map(|(name, count, retries, gang, on, each, backoff, max_running, waits)| {
                Step::Submit { name, count, retries, gang, on, each, backoff, max_running, waits }
            }),
        1 => (1..5_u32).prop_map(|cpus| Step::Offer { cpus }),
        3 => (1..5_u32).prop_map(|cpus| Step::OfferDemand { cpus }),
        3 => prop::bool::weighted(0.8).prop_map(|whole| Step::OfferGang { whole }),
        8 => (0..8_usize, proptest::sample::select(&STATES[..])).prop_map(|(nth, state)| Step::Update { nth, state }),
        1 => Just(Step::Repeat),
        2 => (1..400_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Return),
        1 => (0..3_u8).prop_map(|name| Step::Cancel { name }),
        1 => (0..3_u8, any::<bool>()).prop_map(|(name, held)| Step::Hold { name, held }),
        1 => (0..3_u8, any::<bool>(), requeued).prop_map(|(name, all, (task, index))| Step::Requeue { name, all, task, index }),
        1 => (0..2_u8).prop_map(|name| Step::Template { name }),
        2 => (0..2_u8, 0..4_u8).prop_map(|(name, token)| Step::Dispatch { name, token }),
        1 => (0..2_u8, 0..4_u8).prop_map(|(name, token)| Step::RequeueRun { name, token }),
        1 => (0..2_u8, any::<bool>()).prop_map(|(name, keep_runs)| Step::CancelTemplate { name, keep_runs }),
        1 => Just(Step::Crash),
        1 => proptest::sample::select(&[Policy::TimeSlice, Policy::TimeSlice, Policy::Priority, Policy::RoundRobin][..])
            .prop_map(|policy| Step::Queue { policy }),
        4 => prop::bool::weighted(0.2).prop_map(|refuses| Step::Suspend { refuses }),
        3 => prop::bool::weighted(0.2).prop_map(|stays| Step::GoOn { stays }),
    ]
}

/// The cluster's side: what runs there, and what was ever launched.
#[derive(Debug, Default)]
struct Cluster {
    n_offers: u32,
    running: BTreeSet<TaskId>,
    /// Of those, what is known to be unreachable.
    unreachable: BTreeSet<TaskId>,
    given_up: BTreeSet<TaskId>,
    launched: BTreeSet<TaskId>,
    /// Attempts that have ended, or were given up, and may have run.
    n_ended: u64,
    last: Option<(TaskId, &'static str)>,
    /// As it was stated last.
    demand: Vec<Shape>,
    /// What was asked to give up its cpus.
    asked: BTreeSet<TaskId>,
    /// What did, by the number of the suspension.
    suspended: BTreeMap<TaskId, u32>,
    /// What was resumed, and has yet to hear of it, likewise.
    resumed: BTreeMap<TaskId, u32>,
    /// How often each was suspended.
    n_suspended: BTreeMap<TaskId, u32>,
    /// Those that are killed, and are not to be resumed.
    killed: BTreeSet<TaskId>,
}

impl Cluster {
    fn hear(&mut self, calls: &[Call]) {
        self.hear_of(calls, &[]);
    }

    /// Takes what came of some offers.
    fn hear_of(&mut self, calls: &[Call], offers: &[Offer]) {
        for call in calls {
            if let Call::Accept { operations, .. } = call {
                let tasks: Vec<_> = launched(operations).collect();
                self.check_whole(&tasks, offers);
                tasks.into_iter().for_each(|task| self.launch(&task.id));
                resumed(operations).for_each(|id| self.resume(id));
            }
            if let Call::Suspend { task_id, .. } = call {
                assert!(self.running.contains(task_id), "{task_id} does not run");
                assert!(
                    !self.suspended.contains_key(task_id),
                    "{task_id} is suspended already"
                );
                self.asked.insert(task_id.clone());
            }
            if let Call::Kill { task_id, .. } = call {
                self.killed.insert(task_id.clone());
            }
            if let Call::Demand { demand, .. } = call {
                self.demand = demand.clone().unwrap().shapes;
            }
        }
    }

    fn launch(&mut self, id: &TaskId) {
        assert!(self.launched.insert(id.clone()), "{id} is used twice");
        let instance = instance(id);
        let twin = self.running.iter().find(|id| self::instance(id) == instance);
        assert_eq!(twin, None, "{id} runs twice");
        self.running.insert(id.clone());
    }

    /// Of a gang as much is launched as was asked for; of what only the master can count, as much as it said.
    fn check_whole(&self, tasks: &[&TaskInfo], offers: &[Offer]) {
        let mut n_launched: BTreeMap<ShapeId, u32> = BTreeMap::new();
        for task in tasks {
            *n_launched.entry(task.shape.unwrap()).or_default() += 1;
        }
        let n_of = |shape: &Shape| n_launched.get(&shape.id).copied().unwrap_or(0);
        for shape in self.demand.iter().filter(|shape| n_of(shape) > 0) {
            let gang = self
                .demand
                .iter()
                .filter(|other| shape.gang.is_some() && other.gang == shape.gang);
            gang.for_each(|other| assert_eq!(n_of(other), other.count, "{tasks:?} are a part of a gang"));
            let offered = offers.iter().flat_map(|offer| &offer.shapes);
            let offered: u32 = offered.filter(|(id, _)| *id == shape.id).map(|(_, n)| n).sum();
            assert!(shape.max_per_agent.is_none() || n_of(shape) <= offered);
        }
    }

    fn report(&mut self, world: &mut World, id: &TaskId, state: &'static str) {
        let mut status = status(id.as_str(), state);
        if let Some(n) = self.suspended.get(id).filter(|_| state == "RUNNING") {
            return self.tell(world, &id.clone(), &format!("SUSPENDED:{n}"));
        }
        self.asked.remove(id);
        if status.state.is_terminal() || state == "UNKNOWN" {
            let was_running = self.running.remove(id);
            self.forget(id);
            self.n_ended += u64::from(was_running && state != "DROPPED");
            status.usage = matches!(state, "FINISHED" | "FAILED" | "KILLED").then(|| Usage {
                wall_time_us: self.n_ended,
                ..Usage::default()
            });
        }
        if state == "UNREACHABLE" {
            self.unreachable.insert(id.clone());
        } else {
            self.unreachable.remove(id);
        }
        self.last = Some((id.clone(), state));
        let ((), calls) = world.run(|batch, cx| batch.update(cx, &status));
        self.hear(&calls);
    }

    /// Time passes; what was unreachable may be given up, and nothing else, but for the rest of its gang.
    fn wait(&mut self, world: &mut World, seconds: u64) {
        world.wait(seconds);
        let calls = world.tick_if_due();
        self.hear(&calls);
        let kills = calls.into_iter().filter_map(|call| {
            let Call::Kill { task_id, .. } = call else {
                return None;
            };
            Some(task_id)
        });
        let given_up: BTreeSet<_> = kills.filter(|id| !world.batch.running.contains_key(id)).collect();
        for id in given_up {
            assert!(self.unreachable.remove(&id), "{id} is given up");
            self.forget(&id);
            self.n_ended += 1;
            self.given_up.insert(id);
        }
    }

    fn back(&self, world: &mut World) {
        if let Some(id) = self.given_up.first() {
            let status = status(id.as_str(), "RUNNING");
            let ((), calls) = world.run(|batch, cx| batch.update(cx, &status));
            let killed = |call: &Call| matches!(call, Call::Kill { task_id, .. } if task_id == id);
            assert!(calls.iter().all(killed) && calls.len() == 1, "{calls:?}");
        }
    }
}

/// A task id without its attempt.
fn instance(id: &TaskId) -> String {
    let (head, tail) = id.as_str().rsplit_once('.').unwrap();
    format!("{head}.{}", tail.split('-').next().unwrap())
}

fn apply(world: &mut World, cluster: &mut Cluster, step: Step) {
    match step {
        Step::Submit {
            name,
            count,
            retries,
            gang,
            on,
            each,
            backoff,
            max_running,
            waits,
        } => {
            let may_come_after = gang != Gang::Job;
            let small = Resources::of(1000, 1 << 20, 0);
            let mut tasks = vec![
                spec_of("a", count, None, small.clone()),
                spec_of("b", count, None, small.clone()),
                spec_of(
                    "c",
                    1,
                    None,
                    small.clone().with(proffer_types::ResourceName::Cpus, 2000),
                ),
                spec_of("d", 1, may_come_after.then_some("b~"), small),
            ];
            let task = "a".to_owned();
            let after = After { task, on, each };
            tasks[1].after.extend(may_come_after.then_some(after));
            for task in &mut tasks {
                task.retries = retries;
                task.retry.backoff = Duration::from_secs(backoff * 10);
            }
            tasks[1].max_running = max_running.filter(|_| may_come_after);
            tasks[0].gang = gang == Gang::Array;
            tasks[2].rules.max_per_agent = Some(1);
            let after_jobs = waits.into_iter().map(|(job, on)| AfterJob {
                job: format!("J{job}"),
                on,
            });
            let spec = JobSpec {
                name: format!("J{name}"),
                role: Role::default(),
                priority: i32::from(name),
                tasks,
                gang: gang == Gang::Job,
                after_jobs: after_jobs.collect(),
                ..JobSpec::default()
            };
            let (_, calls) = world.run(|batch, cx| batch.submit(spec, cx));
            cluster.hear(&calls);
        }
        Step::Offer { cpus } => {
            let offer = offer("O", &format!("cpus:{cpus};mem:1GiB"), None);
            cluster.offer(world, vec![offer]);
        }
        Step::OfferDemand { cpus } => cluster.offer_demand(world, cpus),
        Step::OfferGang { whole } => cluster.offer_gang(world, whole),
        Step::Update { nth, state } => {
            let n = cluster.running.len().max(1);
            if let Some(id) = cluster.running.iter().nth(nth % n).cloned() {
                cluster.report(world, &id, state);
            }
        }
        Step::Repeat => {
            if let Some((id, state)) = cluster.last.clone() {
                cluster.report(world, &id, state);
            }
        }
        Step::Wait { seconds } => cluster.wait(world, seconds),
        Step::Return => cluster.back(world),
        Step::Cancel { name } => {
            let (_, calls) = world.run(|batch, cx| batch.cancel(&format!("J{name}"), cx));
            cluster.hear(&calls);
        }
        Step::Hold { name, held } => {
            let name = format!("J{name}");
            let (_, calls) = world.run(|batch, cx| match held {
                true => batch.hold(&name, cx),
                false => batch.release(&name, cx),
            });
            cluster.hear(&calls);
        }
        Step::Requeue {
            name,
            all,
            task,
            index,
        } => {
            let which = Requeue {
                all,
                task: task.map(str::to_owned),
                index,
                after: None,
            };
            let (_, calls) = world.run(|batch, cx| batch.requeue(&format!("J{name}"), &which, cx));
            cluster.hear(&calls);
        }
        Step::Template { name } => {
            let mut task = spec_of("a", 2, None, Resources::of(1000, 1 << 20, 0));
            task.container.command.push("${param.x}".to_owned());
            let parameter = Parameter {
                required: true,
                ..Parameter::default()
            };
            let spec = JobSpec {
                name: format!("T{name}"),
                tasks: vec![task],
                template: Some(Template {
                    parameters: [("x".to_owned(), parameter)].into(),
                    payload: Payload::Optional,
                    history: 1,
                }),
                ..JobSpec::default()
            };
            let (_, calls) = world.run(|batch, cx| batch.submit(spec, cx));
            cluster.hear(&calls);
        }
        Step::Dispatch { name, token } => {
            let given = Dispatch {
                token: format!("t{token}"),
                values: [("x".to_owned(), format!("{token}${{param.x}}"))].into(),
                payload: (token > 1).then(|| vec![token; 3]),
            };
            let before = world.batch.list().len();
            let (result, calls) = world
                .run(|batch, cx| batch.dispatch(&format!("T{name}"), given, Some(token.into()), None, cx));
            if let Ok(of) = result {
                assert_eq!(world.batch.list().len(), before + usize::from(!of.existed));
                let run = world.batch.get(&of.run, &Pick::NONE).unwrap();
                assert_eq!(
                    run.spec.tasks[0].container.command[1],
                    format!("{token}${{param.x}}")
                );
            }
            cluster.hear(&calls);
        }
        Step::RequeueRun { name, token } => {
            let which = Requeue {
                all: true,
                ..Requeue::default()
            };
            let (_, calls) = world.run(|batch, cx| batch.requeue(&format!("T{name}@t{token}"), &which, cx));
            cluster.hear(&calls);
        }
        Step::CancelTemplate { name, keep_runs } => {
            let name = format!("T{name}");
            let (_, calls) = world.run(|batch, cx| match keep_runs {
                true => batch.cancel_schedule(&name, cx),
                false => batch.cancel(&name, cx),
            });
            cluster.hear(&calls);
        }
        Step::Crash => {
            let calls = world.crash();
            cluster.hear(&calls);
            cluster.unreachable.clear();
            cluster.list(world);
        }
        Step::Queue { policy } => {
            let settings = QueueSettings {
                policy,
                slice: Duration::from_secs(10),
                ..QueueSettings::default()
            };
            let (set, calls) = world.run(|batch, cx| batch.set_queue(&Role::default(), settings, cx));
            set.unwrap();
            cluster.hear(&calls);
        }
        Step::Suspend { refuses } => {
            if let Some(id) = cluster.asked.first().cloned() {
                match refuses {
                    true => cluster.tell(world, &id, "REFUSES"),
                    false => cluster.suspend(world, &id),
                }
            }
        }
        Step::GoOn { stays } => {
            if let Some((id, n)) = cluster.resumed.pop_first() {
                if stays {
                    cluster.suspended.insert(id.clone(), n);
                }
                let state = if stays {
                    format!("STAYS:{n}")
                } else {
                    "RESUMED".to_owned()
                };
                cluster.tell(world, &id, &state);
            }
        }
    }
}

/// The scheduler without what it learns from the master anew.
fn durable(batch: &Batch) -> Batch {
    let mut batch = batch.clone();
    for job in batch.jobs.values_mut() {
        for task in &mut job.tasks {
            // What was never launched: since when it waits is found from what it comes after.
            task.opened = None;
            for index in task.in_phase(Phase::Running).clone() {
                task.launched_mut(index).unwrap().status = None;
                task.set_suspended(index, false);
            }
        }
    }
    batch.recurrings.clock = Default::default();
    batch.queue.forget_turns();
    Batch {
        changed: BTreeSet::new(),
        connected: false,
        n_agents: 0,
        largest: Vec::new(),
        avoided: Default::default(),
        closing: Default::default(),
        agents: Default::default(),
        cut_off: Default::default(),
        delays: Default::default(),
        slices: Default::default(),
        ..batch
    }
}

fn check(world: &World, cluster: &Cluster) {
    assert_eq!(durable(&world.recovered()), durable(&world.batch));
    let known: BTreeSet<_> = world.batch.running.keys().cloned().collect();
    assert_eq!(known, cluster.running);
    suspended::check(world, cluster);
    assert_eq!(
        cluster.demand,
        world
            .batch
            .demand(&Role::default(), proffer_types::Timestamp(0))
            .shapes
    );
    let accounts = world.batch.accounts.between(0, u64::MAX);
    assert_eq!(
        accounts.map(|(.., sums)| sums.attempts).sum::<u64>(),
        cluster.n_ended
    );
}

proptest! {
    #[test]
    fn one_attempt_at_a_time_nothing_forgotten_and_every_job_ends(steps in proptest::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        let mut cluster = Cluster::default();
        for step in steps {
            apply(&mut world, &mut cluster, step);
            check(&world, &cluster);
        }
        for name in 0..3 {
            apply(&mut world, &mut cluster, Step::Hold { name, held: false });
        }
        // A healthy cluster finishes what is left: each round launches or ends something, or waits for what is unreachable.
        while world.batch.list().iter().any(|job| job.ended.is_none()) {
            let before = (cluster.launched.len(), cluster.given_up.len());
            while let Some(id) = cluster.asked.first().cloned() {
                cluster.suspend(&mut world, &id);
            }
            // Longer than any agent is left alone for.
            cluster.wait(&mut world, 60);
            apply(&mut world, &mut cluster, Step::OfferDemand { cpus: 4 });
            apply(&mut world, &mut cluster, Step::OfferGang { whole: true });
            while !cluster.resumed.is_empty() {
                apply(&mut world, &mut cluster, Step::GoOn { stays: false });
            }
            let running: Vec<_> = cluster.running.iter().cloned().collect();
            let after = (cluster.launched.len(), cluster.given_up.len());
            prop_assert!(after > before || cluster.suspended.len() < running.len(), "{:?}", world.batch);
            let reachable = running.into_iter().filter(|id| {
                let waits = cluster.suspended.contains_key(id) && !cluster.killed.contains(id);
                !cluster.unreachable.contains(id) && !waits
            });
            let running: Vec<_> = reachable.collect();
            for id in running {
                cluster.report(&mut world, &id, "FINISHED");
            }
            check(&world, &cluster);
        }
    }
}

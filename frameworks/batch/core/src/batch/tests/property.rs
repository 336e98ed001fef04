//! Whatever the cluster does: one attempt of an instance at a time but for those given up, nothing forgotten in a crash,
//! and every job ends.

use std::collections::BTreeSet;

use proffer_session::Scheduler;
use proffer_types::scheduler_link::{Call, Operation};
use proffer_types::{Resources, Role, TaskId};
use proptest::prelude::*;

use super::world::{World, offer, spec_of, status};
use crate::{Batch, JobSpec, Phase};

#[derive(Debug, Clone)]
enum Step {
    /// Submits a job of three tasks, the second after the first.
    Submit {
        name: u8,
        count: u32,
        retries: u32,
    },
    Offer {
        cpus: u32,
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
    Crash,
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
    prop_oneof![
        2 => (0..3_u8, 1..4_u32, 0..3_u32).prop_map(|(name, count, retries)| Step::Submit { name, count, retries }),
        4 => (1..5_u32).prop_map(|cpus| Step::Offer { cpus }),
        8 => (0..8_usize, proptest::sample::select(&STATES[..])).prop_map(|(nth, state)| Step::Update { nth, state }),
        1 => Just(Step::Repeat),
        2 => (1..400_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Return),
        1 => (0..3_u8).prop_map(|name| Step::Cancel { name }),
        1 => Just(Step::Crash),
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
    last: Option<(TaskId, &'static str)>,
}

impl Cluster {
    fn hear(&mut self, calls: &[Call]) {
        for call in calls {
            if let Call::Accept { operations, .. } = call {
                let Operation::Launch(tasks) = &operations[0];
                for task in tasks {
                    assert!(self.launched.insert(task.id.clone()), "{} is used twice", task.id);
                    let instance = instance(&task.id);
                    let twin = self.running.iter().find(|id| self::instance(id) == instance);
                    assert_eq!(twin, None, "{} runs twice", task.id);
                    self.running.insert(task.id.clone());
                }
            }
        }
    }

    fn report(&mut self, world: &mut World, id: &TaskId, state: &'static str) {
        let status = status(id.as_str(), state);
        if status.state.is_terminal() || state == "UNKNOWN" {
            self.running.remove(id);
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

    /// Time passes; what was unreachable may be given up, and nothing else.
    fn wait(&mut self, world: &mut World, seconds: u64) {
        world.wait(seconds);
        for call in world.tick_if_due() {
            if let Call::Kill { task_id, .. } = call {
                assert!(self.unreachable.remove(&task_id), "{task_id} is given up");
                self.running.remove(&task_id);
                self.given_up.insert(task_id);
            }
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
        Step::Submit { name, count, retries } => {
            let small = Resources::of(1000, 1 << 20, 0);
            let mut tasks = vec![
                spec_of("a", count, None, small.clone()),
                spec_of("b", count, Some("a"), small.clone()),
                spec_of("c", 1, None, small.with(proffer_types::ResourceName::Cpus, 2000)),
            ];
            tasks.iter_mut().for_each(|task| task.retries = retries);
            let spec = JobSpec {
                name: format!("J{name}"),
                role: Role::default(),
                priority: i32::from(name),
                tasks,
            };
            let _ = world.run(|batch, cx| batch.submit(spec, cx));
        }
        Step::Offer { cpus } => {
            cluster.n_offers += 1;
            let offer = offer(
                &format!("O{}", cluster.n_offers),
                &format!("cpus:{cpus};mem:1GiB"),
                None,
            );
            let ((), calls) = world.run(|batch, cx| batch.offers(cx, vec![offer]));
            cluster.hear(&calls);
        }
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
            let _ = world.run(|batch, cx| batch.cancel(&format!("J{name}"), cx));
        }
        Step::Crash => {
            world.crash();
            cluster.unreachable.clear();
        }
    }
}

/// The scheduler without what it learns from the master anew.
fn durable(batch: &Batch) -> Batch {
    let mut batch = batch.clone();
    for job in batch.jobs.values_mut() {
        let instances = job.tasks.iter_mut().flat_map(|task| &mut task.instances);
        for instance in instances.filter(|instance| instance.phase == Phase::Running) {
            instance.status = None;
        }
    }
    Batch {
        fresh: BTreeSet::new(),
        suppressed: BTreeSet::new(),
        connected: false,
        largest: Vec::new(),
        misses: Default::default(),
        avoided: Default::default(),
        cut_off: Default::default(),
        ..batch
    }
}

fn check(world: &World, cluster: &Cluster) {
    assert_eq!(durable(&world.recovered()), durable(&world.batch));
    let known: BTreeSet<_> = world.batch.running.keys().cloned().collect();
    assert_eq!(known, cluster.running);
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
        // A healthy cluster finishes what is left: each round launches or ends something, or waits for what is unreachable.
        while world.batch.list().iter().any(|job| job.ended.is_none()) {
            let before = (cluster.launched.len(), cluster.given_up.len());
            // Longer than any agent is left alone for.
            cluster.wait(&mut world, 60);
            apply(&mut world, &mut cluster, Step::Offer { cpus: 4 });
            let running: Vec<_> = cluster.running.iter().cloned().collect();
            let after = (cluster.launched.len(), cluster.given_up.len());
            prop_assert!(after > before || !running.is_empty(), "{:?}", world.batch);
            let reachable = running.into_iter().filter(|id| !cluster.unreachable.contains(id));
            let running: Vec<_> = reachable.collect();
            for id in running {
                cluster.report(&mut world, &id, "FINISHED");
            }
            check(&world, &cluster);
        }
    }
}

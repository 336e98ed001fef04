//! Services that scale by themselves, by what they use and by what a query gives.

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_session::Scheduler as _;
use proffer_types::{AgentId, TaskId, TaskState, Timestamp};

use super::world::{World, spec};
use crate::{
    Amount, Autoscaling, INTERVAL, MAX_DECISIONS, Metric, Mode, Pace, Query, Reading, ReplicaState, STALE,
    ScaleError, ScalingTarget, ServiceSpec, ServiceView,
};

mod load;

const SECOND: Duration = Duration::from_secs(1);

fn target(metric: Metric, milli: u64) -> ScalingTarget {
    ScalingTarget { metric, milli }
}

fn query(per_replica: bool) -> Query {
    Query {
        url: "http://prometheus:9090".to_owned(),
        promql: "sum(queue_length)".to_owned(),
        per_replica,
    }
}

/// From 2 to 10 replicas of half a cpu; fewer after 30 s.
fn scaled(targets: Vec<ScalingTarget>) -> ServiceSpec {
    let mut spec = spec("web", 0, "cpus:0.5;mem:64MiB", &[]);
    spec.scaling = Some(Autoscaling {
        min: 2,
        max: 10,
        targets,
        up: Pace::default(),
        down: Pace {
            window: Some(30 * SECOND),
            step: None,
        },
    });
    spec
}

/// A cluster that starts everything at once, with tasks that use what they are told to.
struct Busy {
    world: World,
    /// Of all tasks, in microseconds of a cpu.
    used_us: u64,
}

impl Busy {
    fn new(spec: ServiceSpec) -> Self {
        let mut world = World::new();
        world.subscribe();
        world.run(|services, cx| services.apply(spec, cx)).0.unwrap();
        let mut busy = Self { world, used_us: 0 };
        busy.place();
        busy
    }

    fn view(&self) -> ServiceView {
        self.world.services.get("web").unwrap()
    }

    fn replicas(&self) -> u32 {
        self.view().spec.replicas
    }

    fn tasks(&self) -> Vec<TaskId> {
        let replicas = self.view().replicas.into_iter();
        replicas.filter_map(|replica| replica.task_id).collect()
    }

    /// Starts what waits, and ends what is to stop.
    fn place(&mut self) {
        self.world.line("offer A cpus:50;mem:50GiB");
        for replica in self.view().replicas {
            let Some(task) = replica.task_id else { continue };
            match replica.state {
                ReplicaState::Starting => self.world.status(&task, TaskState::Running),
                ReplicaState::Stopping => self.world.status(&task, TaskState::Killed),
                ReplicaState::Waiting | ReplicaState::BackingOff | ReplicaState::Running => Vec::new(),
            };
        }
    }

    /// A second in which each of the first `n` tasks uses so many thousandths of a cpu, and no other is measured.
    fn second_of(&mut self, n: usize, millis: u64) {
        self.world.now = self.world.now.after(SECOND);
        self.used_us += millis * 1000;
        let (now, used_us) = (self.world.now, self.used_us);
        let tasks = self.tasks();
        let readings = tasks.into_iter().take(n).map(|task| {
            let reading = Reading {
                at: now,
                cpu_us: used_us,
                mem_bytes: 16 << 20,
            };
            (task, reading)
        });
        let readings = readings.collect::<Vec<_>>();
        let agent = AgentId::new("A").unwrap();
        self.world
            .run(|services, cx| services.used(&agent, &readings, cx.now()));
        self.tick();
    }

    fn tick(&mut self) {
        self.world.run(|services, cx| services.tick(cx));
        self.place();
    }

    /// As many seconds in which all tasks together use so many thousandths of a cpu, as far as they can.
    fn seconds(&mut self, n: u64, millis: u64) {
        for _ in 0..n {
            let n_tasks = self.tasks().len().max(1);
            let each = (millis / n_tasks as u64).min(500);
            self.second_of(n_tasks, each);
        }
    }

    /// So many seconds in which nothing is measured.
    fn silence(&mut self, n: u64) {
        for _ in 0..n {
            self.world.now = self.world.now.after(SECOND);
            self.tick();
        }
    }

    /// The decisions, as `2>4`.
    fn decisions(&self) -> Vec<String> {
        let scaling = self.view().scaling.unwrap_or_default();
        let decisions = scaling.decisions.iter();
        decisions
            .map(|decision| format!("{}>{}", decision.from, decision.to))
            .collect()
    }

    fn message(&self) -> String {
        self.view().scaling.unwrap_or_default().message
    }

    fn now(&self) -> Timestamp {
        self.world.now
    }
}

fn cpu(percent: u64) -> Vec<ScalingTarget> {
    vec![target(Metric::Cpu, percent * 1000)]
}

#[test]
fn a_service_grows_under_load_and_shrinks_when_the_window_is_over() {
    let mut busy = Busy::new(scaled(cpu(60)));
    assert_eq!(busy.replicas(), 2);
    busy.seconds(20, 900);
    // 900 of a thousand, each replica with 300 on target.
    assert_eq!((busy.replicas(), busy.decisions()), (3, vec!["2>3".to_owned()]));
    let log = busy.view().scaling.unwrap().decisions;
    assert_eq!(log[0].why, "cpu 90% of 60% asks for 3");
    busy.seconds(30, 100);
    assert_eq!(busy.replicas(), 3);
    assert_eq!(busy.message(), "1 are asked for, and the window for down is 30s");
    busy.seconds(30, 100);
    assert_eq!(
        (busy.replicas(), busy.decisions()),
        (2, vec!["2>3".to_owned(), "3>2".to_owned()])
    );
    assert_eq!(busy.message(), "1 are asked for, and 2 is min");
}

#[test]
fn nothing_is_decided_while_nothing_is_measured() {
    let mut busy = Busy::new(scaled(cpu(60)));
    busy.silence(600);
    assert_eq!((busy.replicas(), busy.decisions()), (2, Vec::<String>::new()));
    busy.seconds(20, 5000);
    let grown = busy.replicas();
    assert!(grown > 2);
    // What was measured is too old to go by, long before the window would be over.
    busy.silence(STALE.as_secs());
    let before = busy.decisions();
    busy.silence(600);
    assert_eq!(busy.decisions(), before);
    let figures = busy.view().scaling.unwrap().figures;
    assert!(figures[0].problem.as_ref().unwrap().contains("none is measured"));
}

#[test]
fn readings_of_tasks_that_do_not_serve_or_of_other_agents_are_not_taken() {
    let mut busy = Busy::new(scaled(cpu(60)));
    let task = busy.tasks()[0].clone();
    let reading = |at| Reading {
        at,
        cpu_us: 0,
        mem_bytes: 0,
    };
    let [a, b] = ["A", "B"].map(|agent| AgentId::new(agent).unwrap());
    let now = busy.now();
    busy.world.services.used(&b, &[(task.clone(), reading(now))], now);
    assert!(busy.world.services.autoscaler.is_blank());
    busy.world.status(&task, TaskState::Failed);
    busy.world.services.used(&a, &[(task, reading(now))], now);
    assert!(busy.world.services.autoscaler.is_blank());
}

#[test]
fn the_same_file_again_leaves_the_number_and_other_bounds_hold_at_once() {
    let mut busy = Busy::new(scaled(cpu(60)));
    busy.seconds(20, 1200);
    assert_eq!(busy.replicas(), 4);
    let again = |busy: &mut Busy, spec| busy.world.run(|services, cx| services.apply(spec, cx)).0.unwrap();
    for replicas in [0, 2, 7] {
        let mut spec = scaled(cpu(60));
        spec.replicas = replicas;
        assert!(!again(&mut busy, spec).created);
        assert_eq!(busy.replicas(), 4);
    }
    let mut spec = scaled(cpu(60));
    spec.scaling.as_mut().unwrap().min = 6;
    assert_eq!(
        busy.world.services.plan(&spec, &BTreeSet::new()).unwrap().starts,
        2
    );
    again(&mut busy, spec);
    assert_eq!(busy.replicas(), 6);
    // Without, the file's number counts, and the log is kept.
    let mut spec = scaled(Vec::new());
    (spec.scaling, spec.replicas) = (None, 1);
    again(&mut busy, spec);
    assert_eq!((busy.replicas(), busy.view().scaling), (1, None));
    assert_eq!(busy.world.services.next_look(), None);
}

#[test]
fn people_are_refused_to_scale_what_scales_by_itself() {
    let mut busy = Busy::new(scaled(cpu(60)));
    let refused = busy.world.run(|services, cx| services.scale("web", 5, cx)).0;
    assert!(
        matches!(refused, Err(ScaleError::ByItself { min: 2, max: 10, .. })),
        "{refused:?}"
    );
    assert_eq!(busy.replicas(), 2);
}

#[test]
fn decisions_outlive_a_restart_and_are_bounded() {
    let mut spec = scaled(cpu(60));
    let pace = Pace {
        window: Some(Duration::ZERO),
        step: None,
    };
    let scaling = spec.scaling.as_mut().unwrap();
    (scaling.up, scaling.down) = (pace, pace);
    let mut busy = Busy::new(spec);
    for _ in 0..MAX_DECISIONS {
        busy.seconds(20, 900);
        busy.seconds(20, 100);
    }
    let before = busy.decisions();
    assert_eq!(before.len(), MAX_DECISIONS);
    busy.world.restart();
    assert_eq!(busy.decisions(), before);
    // What there are counts as asked for until then, so nothing is hurried.
    busy.world.subscribe();
    busy.seconds(600, 900);
    busy.world.line("delete web");
    busy.place();
    assert!(
        busy.world.records.keys().all(|key| key == "start_floor"),
        "{:?}",
        busy.world.records.keys()
    );
}

#[test]
fn a_query_asks_for_replicas_by_its_answer_and_says_why_it_has_none() {
    let of = query(true);
    let mut busy = Busy::new(scaled(vec![target(Metric::Prometheus(of.clone()), 10_000)]));
    assert_eq!(busy.world.services.queries(), [("web".to_owned(), of.clone())]);
    let answer = |busy: &mut Busy, answer: Result<f64, String>| {
        let now = busy.now();
        busy.world.services.answered("web", &of, answer, now);
        busy.silence(INTERVAL.as_secs());
    };
    answer(&mut busy, Ok(55.0));
    assert_eq!(busy.replicas(), 6);
    for (bad, problem) in [
        (Ok(f64::NAN), "it gives NaN"),
        (Err("no route".to_owned()), "no route"),
    ] {
        answer(&mut busy, bad);
        let figures = busy.view().scaling.unwrap().figures;
        assert_eq!(figures[0].problem.as_deref(), Some(problem));
    }
    for enormous in [f64::MAX, 1e18] {
        answer(&mut busy, Ok(enormous));
        assert_eq!(busy.replicas(), 10);
    }
    for _ in 0..10 {
        answer(&mut busy, Ok(-5.0));
    }
    assert_eq!(busy.replicas(), 2);
    let (other, now) = (query(false), busy.now());
    busy.world.services.answered("web", &other, Ok(1e9), now);
    busy.world.services.answered("nobody", &other, Ok(1e9), now);
    busy.silence(INTERVAL.as_secs());
    assert_eq!(busy.replicas(), 2);
}

#[test]
fn wrong_policies_are_refused_with_what_is_wrong() {
    let refusal = |change: fn(&mut ServiceSpec)| {
        let mut spec = scaled(cpu(60));
        change(&mut spec);
        spec.check()
            .map_or_else(|error| error.to_string(), |()| "good".to_owned())
    };
    assert_eq!(refusal(|_| {}), "good");
    for (change, part) in [
        (
            (|spec| spec.scaling.as_mut().unwrap().min = 0) as fn(&mut ServiceSpec),
            "from 0 to 10",
        ),
        (|spec| spec.scaling.as_mut().unwrap().min = 11, "from 11 to 10"),
        (
            |spec| spec.scaling.as_mut().unwrap().max = 10_001,
            "at most 10000",
        ),
        (|spec| spec.replicas = 11, "begins with 11"),
        (|spec| spec.scaling.as_mut().unwrap().targets.clear(), "0 targets"),
        (
            |spec| {
                spec.scaling
                    .as_mut()
                    .unwrap()
                    .targets
                    .push(target(Metric::Cpu, 1))
            },
            "two targets for cpu",
        ),
        (
            |spec| spec.scaling.as_mut().unwrap().targets[0].milli = 0,
            "a target of 0 for cpu",
        ),
        (
            |spec| spec.scaling.as_mut().unwrap().targets = vec![target(Metric::Errors, 100_001)],
            "more than 100%",
        ),
        (
            |spec| {
                spec.scaling.as_mut().unwrap().targets = vec![target(Metric::Latency { percentile: 100 }, 1)]
            },
            "latency p100; it must be p1 to p99",
        ),
        (
            |spec| spec.scaling.as_mut().unwrap().up.window = Some(Duration::from_secs(3601)),
            "window for up",
        ),
        (
            |spec| spec.scaling.as_mut().unwrap().down.step = Some(Amount::Percent(0)),
            "step for down",
        ),
        (|spec| spec.mode = Mode::Daemon, "no scaling"),
    ] {
        let refusal = refusal(change);
        assert!(refusal.contains(part), "{refusal}");
    }
    for (url, promql, part) in [
        ("prometheus:9090", "up", "not `http://`"),
        ("http://", "up", "not `http://`"),
        ("http://a b", "up", "not `http://`"),
        ("http://a", " ", "a query of 1 bytes"),
    ] {
        let mut of = query(true);
        (of.url, of.promql) = (url.to_owned(), promql.to_owned());
        let spec = scaled(vec![target(Metric::Prometheus(of), 1)]);
        let refusal = spec.check().unwrap_err().to_string();
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn nothing_is_due_for_services_that_people_scale() {
    let mut spec = scaled(cpu(60));
    (spec.scaling, spec.replicas) = (None, 2);
    let mut busy = Busy::new(spec);
    busy.seconds(20, 900);
    assert_eq!((busy.replicas(), busy.world.services.next_deadline()), (2, None));
}

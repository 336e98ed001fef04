//! A scheduler, its store and its master, for tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use expect_test::Expect;
use proffer_session::{Context, Output, Scheduler, Write};
use proffer_types::scheduler_link::Call;
use proffer_types::{
    AgentId, Attribute, Constraint, ContainerSpec, FrameworkId, GangId, KillPolicy, Limits, Offer,
    OfferConstraints, OfferGang, OfferId, Operation, PlacementRules, Predicate, ResourceName, Resources,
    Role, Selector, Shape, ShapeId, StatusReason, StatusSource, TaskExit, TaskId, TaskInfo, TaskState,
    TaskStatus, Timestamp, Unavailability,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::batch::demand::{of_shape, shape_id};
use crate::{
    After, Batch, ExitCodes, JobSpec, MissedPolicy, On, Overlap, Pick, RetryPolicy, Schedule, TaskSpec, When,
};

#[derive(Debug)]
pub(super) struct World {
    pub(super) batch: Batch,
    pub(super) store: BTreeMap<String, Vec<u8>>,
    now: Timestamp,
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            batch: Batch::new(),
            store: BTreeMap::new(),
            now: Timestamp(0),
        };
        world.subscribe();
        world
    }

    /// Runs one method, commits what it wrote, returns it with the calls.
    pub(super) fn run<R>(
        &mut self,
        method: impl FnOnce(&mut Batch, &mut Context<'_>) -> R,
    ) -> (R, Vec<Call>) {
        self.now.0 += 1;
        let mut out = Output::default();
        let mut held = Vec::new();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut cx = Context::new(self.now, &mut rng, &mut out, &mut held);
        let result = method(&mut self.batch, &mut cx);
        for write in out.writes {
            match write {
                Write::Put { key, value } => self.store.insert(key, value),
                Write::Delete { key } => self.store.remove(&key),
            };
        }
        (result, out.calls)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, seconds: u64) {
        self.now.0 += seconds * 1000;
    }

    /// What the scheduler does of itself, if its time has come.
    pub(super) fn tick_if_due(&mut self) -> Vec<Call> {
        match self.batch.next_deadline() {
            Some(at) if at <= self.now => self.run(Batch::tick).1,
            Some(_) | None => Vec::new(),
        }
    }

    /// Lets time pass, as a driver would: every deadline is met.
    pub(super) fn pass(&mut self, seconds: u64) -> Vec<Call> {
        let end = Timestamp(self.now.0 + seconds * 1000);
        let mut calls = Vec::new();
        while let Some(due) = self.batch.next_deadline().filter(|due| *due <= end) {
            // `run` adds a millisecond.
            self.now = self.now.max(Timestamp(due.0.saturating_sub(1)));
            calls.extend(self.run(Batch::tick).1);
        }
        self.now = self.now.max(end);
        calls
    }

    pub(super) fn subscribe(&mut self) -> Vec<Call> {
        let id = FrameworkId::new("F1").unwrap();
        self.run(|batch, cx| batch.subscribed(cx, &id)).1
    }

    /// A scheduler that knows nothing but the records.
    pub(super) fn recovered(&self) -> Batch {
        let records: Vec<_> = self.store.clone().into_iter().collect();
        let mut batch = Batch::new();
        batch.recover(&records).unwrap();
        batch
    }

    pub(super) fn crash(&mut self) -> Vec<Call> {
        self.batch = self.recovered();
        self.subscribe()
    }
}

/// Runs the steps, separated by `|`; shows what the master or the user hears of each, if anything.
pub(super) fn check(steps: &str, expected: Expect) {
    let mut world = World::new();
    let mut trace = String::new();
    for step in steps.split('|').map(str::trim) {
        let shown = apply(&mut world, step);
        if !shown.is_empty() {
            writeln!(trace, "{step}: {shown}").unwrap();
        }
    }
    expected.assert_eq(&trace);
}

fn apply(world: &mut World, step: &str) -> String {
    let words: Vec<_> = step.split_whitespace().collect();
    let (answer, calls) = match words[0] {
        "submit" => {
            let spec = job(&words[1..]);
            let (result, calls) = world.run(|batch, cx| batch.submit(spec, cx));
            (
                result.map_or_else(|error| error.to_string(), |n| format!("{n} instances")),
                calls,
            )
        }
        "cancel" => {
            let (result, calls) = world.run(|batch, cx| batch.cancel(words[1], cx));
            (
                result.err().map(|error| error.to_string()).unwrap_or_default(),
                calls,
            )
        }
        "offer" => {
            let offers = step["offer".len()..].split('+').map(offers).collect();
            world.run(|batch, cx| {
                batch.offers(cx, offers);
                String::new()
            })
        }
        "shapes" => {
            let largest: Vec<_> = words[1..].iter().map(|text| text.parse().unwrap()).collect();
            let n_agents = u32::try_from(largest.len()).unwrap();
            world.run(|batch, cx| {
                batch.shapes(cx, n_agents, &largest);
                String::new()
            })
        }
        "wait" => {
            world.wait(words[1].parse().unwrap());
            (String::new(), world.tick_if_due())
        }
        "pass" => (String::new(), world.pass(words[1].parse().unwrap())),
        "away" => {
            world.wait(words[1].parse().unwrap());
            (String::new(), world.crash())
        }
        "disconnect" => world.run(|batch, cx| {
            batch.disconnected(cx);
            String::new()
        }),
        "subscribe" => (String::new(), world.subscribe()),
        "clock" => {
            let ahead: i64 = words[1].parse().unwrap();
            world.run(|batch, cx| {
                let wall = Timestamp(cx.now().0.saturating_add_signed(ahead * 1000));
                batch.set_clock(wall, cx);
                String::new()
            })
        }
        "pause" => steered(world.run(|batch, cx| batch.pause(words[1], cx).map(|()| String::new()))),
        "resume" => steered(world.run(|batch, cx| batch.resume(words[1], cx).map(|()| String::new()))),
        "hold" => steered(world.run(|batch, cx| batch.hold(words[1], cx).map(|()| String::new()))),
        "release" => steered(world.run(|batch, cx| batch.release(words[1], cx).map(|()| String::new()))),
        "trigger" => steered(world.run(|batch, cx| batch.trigger(words[1], cx))),
        "cancel-schedule" => world.run(|batch, cx| {
            batch.cancel_schedule(words[1], cx).unwrap();
            String::new()
        }),
        "windows" => (super::recurring::show(&world.batch, words[1]), Vec::new()),
        "crash" => (String::new(), world.crash()),
        "show" => (show(&world.batch, words[1]), Vec::new()),
        "explain" => (
            world.batch.explain(words[1], world.now).unwrap().join(" / "),
            Vec::new(),
        ),
        id => {
            let status = status(id, words[1]);
            world.run(|batch, cx| {
                batch.update(cx, &status);
                String::new()
            })
        }
    };
    let answer = (!answer.is_empty()).then_some(answer);
    let all: Vec<_> = answer.into_iter().chain(calls.iter().map(show_call)).collect();
    all.join("; ")
}

fn steered((result, calls): (Result<String, crate::SteerError>, Vec<Call>)) -> (String, Vec<Call>) {
    (result.unwrap_or_else(|error| error.to_string()), calls)
}

/// `every:5`, `start:100`, `cron:*/5_*_*_*_*`, `in:Europe/Berlin`, `epsilon:2`, `skip`, `replace`, `least`, `history:3`.
fn set_schedule(spec: &mut JobSpec, word: &str) {
    let schedule = spec.schedule.get_or_insert(Schedule {
        when: When::Every {
            interval: Duration::from_secs(10),
            start: None,
        },
        epsilon: None,
        overlap: Overlap::Allow,
        missed: MissedPolicy::AtMostOnce,
        history: 0,
    });
    let (key, value) = word.split_once(':').unwrap_or((word, ""));
    let seconds = || Duration::from_secs_f64(value.parse().unwrap());
    match (key, &mut schedule.when) {
        ("every", When::Every { interval, .. }) => *interval = seconds(),
        ("start", When::Every { start, .. }) => *start = Some(Timestamp(0).after(seconds())),
        ("cron", when) => {
            *when = When::Cron {
                expression: value.replace('_', " "),
                timezone: String::new(),
            };
        }
        ("in", When::Cron { timezone, .. }) => *timezone = value.to_owned(),
        ("epsilon", _) => schedule.epsilon = Some(seconds()),
        ("history", _) => schedule.history = value.parse().unwrap(),
        ("skip", _) => schedule.overlap = Overlap::Skip,
        ("replace", _) => schedule.overlap = Overlap::Replace,
        ("least", _) => schedule.missed = MissedPolicy::AtLeastOnce,
        _ => panic!("{word} is no part of a schedule"),
    }
}

/// `J a*2 b<a c<a~,b?^ d:cpus:4 r1 b5 only:3,4 not:5 n2 d60 held p5 m2 rack=r1 gang @role`: tasks, then what holds for all of them. `a*2!` is a gang itself.
/// What begins with `~` is of the schedule.
pub(super) fn job(words: &[&str]) -> JobSpec {
    let mut spec = JobSpec {
        name: words[0].to_owned(),
        role: Role::default(),
        priority: 0,
        tasks: Vec::new(),
        gang: false,
        schedule: None,
        hold: false,
        deadline: None,
    };
    let number = |word: &str| word[1..].parse::<i32>().ok();
    for word in &words[1..] {
        if let Some(role) = word.strip_prefix('@') {
            spec.role = Role::new(role).unwrap();
        } else if let Some(priority) = number(word).filter(|_| word.starts_with('p')) {
            spec.priority = priority;
        } else if let Some(retries) = number(word).filter(|_| word.starts_with('r')) {
            spec.tasks
                .iter_mut()
                .for_each(|task| task.retries = retries.try_into().unwrap());
        } else if let Some(seconds) = number(word).filter(|_| word.starts_with('b')) {
            let backoff = Duration::from_secs(seconds.try_into().unwrap());
            spec.tasks
                .iter_mut()
                .for_each(|task| task.retry.backoff = backoff);
        } else if let Some(most) = number(word).filter(|_| word.starts_with('n')) {
            spec.tasks
                .iter_mut()
                .for_each(|task| task.max_running = Some(most.try_into().unwrap()));
        } else if let Some(codes) = word.strip_prefix("only:").or(word.strip_prefix("not:")) {
            let codes = codes.split(',').map(|code| code.parse().unwrap()).collect();
            let exits = match word.starts_with("only") {
                true => ExitCodes::Only(codes),
                false => ExitCodes::AllBut(codes),
            };
            spec.tasks
                .iter_mut()
                .for_each(|task| task.retry.exits = exits.clone());
        } else if let Some(most) = number(word).filter(|_| word.starts_with('m')) {
            spec.tasks
                .iter_mut()
                .for_each(|task| task.rules.max_per_agent = Some(most.try_into().unwrap()));
        } else if let Some(timeout) = number(word).filter(|_| word.starts_with('t')) {
            let timeout = Duration::from_secs(timeout.try_into().unwrap());
            spec.tasks
                .iter_mut()
                .for_each(|task| task.timeout = Some(timeout));
        } else if let Some(word) = word.strip_prefix('~') {
            set_schedule(&mut spec, word);
        } else if let Some((name, value)) = word.split_once('=') {
            let constraint = Constraint {
                selector: Selector::Attribute(name.to_owned()),
                predicate: Predicate::Equals(value.to_owned()),
            };
            let constraints = OfferConstraints::all_of(vec![constraint]);
            spec.tasks
                .iter_mut()
                .for_each(|task| task.rules.constraints = constraints.clone());
        } else if *word == "held" {
            spec.hold = true;
        } else if let Some(seconds) = number(word).filter(|_| word.starts_with('d')) {
            spec.deadline = Some(Duration::from_secs(seconds.try_into().unwrap()));
        } else if *word == "gang" {
            spec.gang = true;
        } else {
            spec.tasks.push(task(word));
        }
    }
    spec
}

fn task(word: &str) -> TaskSpec {
    let (word, gang) = word.strip_suffix('!').map_or((word, false), |word| (word, true));
    let (word, asks) = word.split_once(':').unwrap_or((word, ""));
    let (word, after) = word.split_once('<').unwrap_or((word, ""));
    let (name, count) = word.split_once('*').unwrap_or((word, "1"));
    let mut resources = Resources::of(1000, 1 << 30, 0);
    for ask in asks.split(';').filter(|ask| !ask.is_empty()) {
        let (name, _) = ask.split_once(':').unwrap();
        let name = ResourceName::new(name).unwrap();
        let units = ask.parse::<Resources>().unwrap().scalar(&name);
        resources = resources.with(name, units);
    }
    TaskSpec {
        gang,
        after: after
            .split(',')
            .filter(|after| !after.is_empty())
            .map(after_of)
            .collect(),
        ..spec_of(name, count.parse().unwrap(), None, resources)
    }
}

/// `a`: all of `a` has finished; `a?`: has failed; `a~`: has ended; with `^` behind it, index by index.
fn after_of(word: &str) -> After {
    let (word, each) = word.strip_suffix('^').map_or((word, false), |word| (word, true));
    let (task, on) = match word.as_bytes().last() {
        Some(b'?') => (&word[..word.len() - 1], On::Failure),
        Some(b'~') => (&word[..word.len() - 1], On::Any),
        _ => (word, On::Success),
    };
    After {
        task: task.to_owned(),
        on,
        each,
    }
}

pub(super) fn spec_of(name: &str, count: u32, after: Option<&str>, resources: Resources) -> TaskSpec {
    TaskSpec {
        name: name.to_owned(),
        count,
        after: after.map(after_of).into_iter().collect(),
        resources,
        container: ContainerSpec {
            command: vec!["true".to_owned()],
            ..ContainerSpec::default()
        },
        max_running: None,
        retries: 0,
        retry: RetryPolicy::default(),
        timeout: None,
        kill_policy: KillPolicy::default(),
        limits: Limits::default(),
        rules: PlacementRules::default(),
        gang: false,
    }
}

/// `O1 cpus:1;mem:1GiB on=A2 for=1.0*2 gang=2 rack=r1 window=60 @role`: an offer, the agent it is of, the shapes it was made
/// for, of how many offers its gang is, which is that of the first shape, and at what second its maintenance window begins.
fn offers(text: &str) -> Offer {
    let words: Vec<_> = text.split_whitespace().collect();
    let role = words[2..].iter().find(|word| word.starts_with('@')).copied();
    let mut made = offer(words[0], words[1], role);
    for (key, value) in words[2..].iter().filter_map(|word| word.split_once('=')) {
        match key {
            "window" => {
                made.unavailability = Some(Unavailability {
                    start: Timestamp(0).after(Duration::from_secs(value.parse().unwrap())),
                    duration: Duration::from_secs(60),
                });
            }
            "on" => made.agent_id = AgentId::new(value).unwrap(),
            "for" => made.shapes.push(shape_of(value)),
            "gang" => {
                made.gang = Some(OfferGang {
                    id: GangId(made.shapes[0].0.0),
                    n_offers: value.parse().unwrap(),
                });
            }
            name => made.attributes.push(Attribute {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
        }
    }
    made
}

/// `1.0*2`: two instances of the first task of the first job.
fn shape_of(text: &str) -> (ShapeId, u32) {
    let (id, n) = text.split_once('*').unwrap();
    let (job, task) = id.split_once('.').unwrap();
    (
        shape_id(job.parse().unwrap(), task.parse().unwrap()),
        n.parse().unwrap(),
    )
}

pub(super) fn offer(id: &str, resources: &str, role: Option<&str>) -> Offer {
    Offer {
        id: OfferId::new(id).unwrap(),
        framework_id: FrameworkId::new("F1").unwrap(),
        agent_id: AgentId::new("A1").unwrap(),
        hostname: "host".to_owned(),
        role: Role::new(role.map_or("*", |role| &role[1..])).unwrap(),
        resources: resources.parse().unwrap(),
        attributes: Vec::new(),
        domain: None,
        shapes: Vec::new(),
        gang: None,
        unavailability: None,
    }
}

pub(super) fn status(id: &str, state: &str) -> TaskStatus {
    let (state, reason) = match state {
        "DRAINED" => ("KILLED", Some(StatusReason::AgentDraining)),
        state => (state, None),
    };
    // `FAILED:3` is an exit with 3.
    let (state, code) = state.split_once(':').unwrap_or((state, ""));
    let state = TaskState::ALL.into_iter().find(|known| known.as_str() == state);
    TaskStatus {
        task_id: TaskId::new(id).unwrap(),
        agent_id: Some(AgentId::new("A1").unwrap()),
        state: state.unwrap(),
        source: StatusSource::Agent,
        reason,
        message: String::new(),
        timestamp: Timestamp(0),
        uuid: None,
        exit: code.parse().ok().map(TaskExit::Code),
        usage: None,
        condition: proffer_types::TaskCondition::default(),
    }
}

fn show(batch: &Batch, name: &str) -> String {
    let view = batch.get(name, &Pick::all()).unwrap();
    let instances = view.instances.iter().map(|instance| {
        let task = &view.spec.tasks[instance.task].name;
        format!(" {task}.{}:{:?}", instance.index, instance.phase)
    });
    format!("{:?}{}", view.state, instances.collect::<String>())
}

fn show_call(call: &Call) -> String {
    fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
        items
            .into_iter()
            .map(|item| format!(" {}", item.to_string()))
            .collect()
    }
    match call {
        Call::Accept {
            offers,
            operations,
            filters,
            ..
        } => {
            let tasks = list(launched(operations).map(|task| &task.id));
            format!("accept{}{tasks} {:?}", list(offers), filters.refuse)
        }
        Call::Demand { role, shapes } => {
            let shapes = shapes.iter().flatten().map(show_shape);
            format!("want {role}{}", list(shapes))
        }
        Call::Decline { offers, filters } => format!("decline{} {:?}", list(offers), filters.refuse),
        Call::Revive { roles } => format!("revive{}", list(roles)),
        Call::Suppress { roles } => format!("suppress{}", list(roles)),
        Call::Kill { task_id, .. } => format!("kill {task_id}"),
        Call::Subscribe { .. }
        | Call::Update { .. }
        | Call::Acknowledge { .. }
        | Call::AcknowledgeOperation { .. }
        | Call::AcceptInverse { .. }
        | Call::DeclineInverse { .. }
        | Call::Reconcile { .. }
        | Call::ReconcileOperations { .. }
        | Call::Teardown
        | Call::Ping => format!("{call:?}"),
    }
}

/// `1.0*2 gang 1.0`: the task, how many instances of it, and the first task of its gang.
fn show_shape(shape: &Shape) -> String {
    let name = |id: ShapeId| {
        let (job, task) = of_shape(id);
        format!("{job}.{task}")
    };
    let gang = shape.gang.map(|gang| format!(" gang {}", name(ShapeId(gang.0))));
    format!("{}*{}{}", name(shape.id), shape.count, gang.unwrap_or_default())
}

/// The tasks of an accept.
pub(super) fn launched(operations: &[Operation]) -> impl Iterator<Item = &TaskInfo> {
    operations.iter().flat_map(|operation| {
        let Operation::Launch(tasks) = operation else {
            panic!("nobody asked for {operation:?}");
        };
        tasks
    })
}

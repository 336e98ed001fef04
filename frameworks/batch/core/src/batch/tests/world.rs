//! A scheduler, its store and its master, for tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use expect_test::Expect;
use proffer_session::{Context, Output, Scheduler, Write};
use proffer_types::scheduler_link::Call;
use proffer_types::{
    AgentId, Attribute, FrameworkId, GangId, Offer, OfferGang, OfferId, Operation, Role, Shape, ShapeId,
    StatusReason, StatusSource, TaskCondition, TaskExit, TaskId, TaskInfo, TaskState, TaskStatus, Timestamp,
    Unavailability, Usage,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::words::{dispatch, settings};
pub(super) use super::words::{job, spec_of};
use crate::batch::demand::{of_shape, shape_id};
use crate::{Batch, Pick, ReportBy, ReportQuery, ReportRow, Requeue};

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
        "check" => {
            let now = world.now();
            let checked = world.batch.check(job(&words[1..]), now);
            let asked = |shape: &Shape| format!(" {}*{}", shape.id.0, shape.count);
            let answer = checked.map_or_else(
                |error| error.to_string(),
                |checked| {
                    let asked: String = checked.demand.iter().map(asked).collect();
                    format!("{} instances, would want{asked}", checked.n_instances)
                },
            );
            (answer, Vec::new())
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
        "requeue" => {
            let which = Requeue {
                task: words[2..]
                    .iter()
                    .find(|word| **word != "all")
                    .map(|word| word.split('.').next().unwrap().to_owned()),
                index: words[2..]
                    .iter()
                    .find_map(|word| word.split_once('.')?.1.parse().ok()),
                all: words.contains(&"all"),
                after: None,
            };
            let (result, calls) = world.run(|batch, cx| batch.requeue(words[1], &which, cx));
            (
                result.map_or_else(|error| error.to_string(), |of| format!("{} again", of.n)),
                calls,
            )
        }
        "hold" => steered(world.run(|batch, cx| batch.hold(words[1], cx).map(|()| String::new()))),
        "release" => steered(world.run(|batch, cx| batch.release(words[1], cx).map(|()| String::new()))),
        "queue" => {
            let settings = settings(&words[1..]);
            let (result, calls) = world.run(|batch, cx| batch.set_queue(&Role::default(), settings, cx));
            (
                result.err().map(|error| error.to_string()).unwrap_or_default(),
                calls,
            )
        }
        "waiting" => {
            let queue = world.batch.get_queue(&Role::default(), 100, world.now);
            let first = queue
                .first
                .iter()
                .map(|next| format!("{}.{}", next.job, next.task));
            let users = queue.users.iter().filter(|user| user.used > 0.0);
            let users = users.map(|user| format!("{}:{:.1}", user.user, user.used));
            (first.chain(users).collect::<Vec<_>>().join(" "), Vec::new())
        }
        "dispatch" => {
            let given = dispatch(&words[2..]);
            let (result, calls) = world.run(|batch, cx| batch.dispatch(words[1], given, None, None, cx));
            let answer = result.map_or_else(
                |error| error.to_string(),
                |of| match of.existed {
                    true => format!("{} was there", of.run),
                    false => of.run,
                },
            );
            (answer, calls)
        }
        "runs" => (runs(&world.batch, words[1]), Vec::new()),
        "trigger" => steered(world.run(|batch, cx| batch.trigger(words[1], cx))),
        "cancel-schedule" => world.run(|batch, cx| {
            batch.cancel_schedule(words[1], cx).unwrap();
            String::new()
        }),
        "windows" => (super::recurring::show(&world.batch, words[1]), Vec::new()),
        "crash" => (String::new(), world.crash()),
        "report" => (report(world, &words[1..]), Vec::new()),
        "show" => (show(&world.batch, words[1]), Vec::new()),
        "explain" => (
            world.batch.explain(words[1], world.now).unwrap().join(" / "),
            Vec::new(),
        ),
        id => {
            let status = TaskStatus {
                usage: usage(&words[2..]),
                ..status(id, words[1])
            };
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

/// `O1 cpus:1;mem:1GiB on=A2 for=1.0*2 gang=2 rack=r1 window=60 @role`: an offer, the agent it is of, the shapes it was made
/// for, of how many offers its gang is, which is that of the first shape, and at what second its maintenance window begins.
pub(super) fn offers(text: &str) -> Offer {
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
        address: "10.0.0.1:5051".to_owned(),
        role: Role::new(role.map_or("*", |role| &role[1..])).unwrap(),
        resources: resources.parse().unwrap(),
        attributes: Vec::new(),
        domain: None,
        shapes: Vec::new(),
        gang: None,
        unavailability: None,
    }
}

/// `FAILED:3` is an exit with 3, `RUNNING@A2` one on that agent. `SUSPENDED:2` is running in its second suspension, as is
/// `STAYS:2`, which could not be resumed, and `LISTED:2`, of which the master says so.
pub(super) fn status(id: &str, state: &str) -> TaskStatus {
    let (state, agent) = state.split_once('@').unwrap_or((state, "A1"));
    let (word, number) = state.split_once(':').unwrap_or((state, ""));
    let running = |reason| ("RUNNING", Some(reason));
    let (state, reason) = match word {
        "DRAINED" => ("KILLED", Some(StatusReason::AgentDraining)),
        "SUSPENDED" => running(StatusReason::TaskSuspended),
        "RESUMED" => running(StatusReason::TaskResumed),
        "REFUSES" => running(StatusReason::TaskSuspendFailed),
        "STAYS" => running(StatusReason::TaskResumeFailed),
        "LISTED" => running(StatusReason::Reconciliation),
        _ => (state, None),
    };
    let of_master = matches!(word, "STAYS" | "LISTED");
    let suspension = reason.and_then(|_| number.parse().ok()).unwrap_or_default();
    let (state, code) = state.split_once(':').unwrap_or((state, ""));
    let state = TaskState::ALL.into_iter().find(|known| known.as_str() == state);
    TaskStatus {
        task_id: TaskId::new(id).unwrap(),
        agent_id: Some(AgentId::new(agent).unwrap()),
        state: state.unwrap(),
        source: match of_master {
            true => StatusSource::Master,
            false => StatusSource::Agent,
        },
        reason,
        message: String::new(),
        timestamp: Timestamp(0),
        uuid: None,
        exit: code.parse().ok().map(TaskExit::Code),
        usage: None,
        condition: TaskCondition {
            suspension,
            ..TaskCondition::default()
        },
    }
}

/// `J`, or `by role`: rows with what of their sums is not zero.
fn report(world: &World, words: &[&str]) -> String {
    let query = |by| ReportQuery {
        by,
        since: Timestamp(0),
        until: world.now,
    };
    let rows = match words {
        ["by", "job"] => Ok(world.batch.report(&query(ReportBy::Job))),
        ["by", "role"] => Ok(world.batch.report(&query(ReportBy::Role))),
        ["by", "user"] => Ok(world.batch.report(&query(ReportBy::User))),
        ["by", "day"] => Ok(world.batch.report(&query(ReportBy::Day))),
        words => world.batch.report_job(words[0]),
    };
    let show = |row: ReportRow| {
        let sums = format!("{:?}", row.sums);
        let sums = sums.trim_start_matches("Sums { ").trim_end_matches(" }");
        let sums: Vec<_> = sums.split(", ").filter(|sum| !sum.ends_with(": 0")).collect();
        format!("{} {}", row.name, sums.join(" "))
    };
    match rows {
        Ok(rows) => rows.into_iter().map(show).collect::<Vec<_>>().join(" / "),
        Err(error) => error.to_string(),
    }
}

/// `wall=10 cpu=5 mem=1048576 wrote=7`: seconds and bytes.
fn usage(words: &[&str]) -> Option<Usage> {
    let mut usage = Usage::default();
    for (key, number) in words.iter().filter_map(|word| word.split_once('=')) {
        let number: u64 = number.parse().unwrap();
        match key {
            "wall" => usage.wall_time_us = number * 1_000_000,
            "cpu" => usage.cpu_time_us = number * 1_000_000,
            "mem" => usage.mem_peak_bytes = number,
            "wrote" => usage.io.get_or_insert_default().write_bytes = number,
            key => panic!("no usage is named {key}"),
        }
    }
    (!words.is_empty()).then_some(usage)
}

/// `J@a Finished / J@b Pending`, and what else there is to say.
fn runs(batch: &Batch, name: &str) -> String {
    let Some(job) = batch.get_template(name) else {
        return "no template".to_owned();
    };
    let runs = job.runs.iter();
    let mut all: Vec<_> = runs.map(|run| format!("{} {:?}", run.name, run.state)).collect();
    all.extend(job.cancelled.map(|_| format!("cancelled, {} open", job.n_open)));
    all.extend(job.ended.map(|_| "ended".to_owned()));
    all.join(" / ")
}

fn show(batch: &Batch, name: &str) -> String {
    let view = batch.get(name, &Pick::all()).unwrap();
    let instances = view.instances.iter().map(|instance| {
        let task = &view.spec.tasks[instance.task].name;
        let phase = match instance.suspended {
            true => "Suspended".to_owned(),
            false => format!("{:?}", instance.phase),
        };
        format!(" {task}.{}:{phase}", instance.index)
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
            let resumed = resumed(operations).map(|id| format!("resume {id}"));
            let resumed = list(resumed);
            format!("accept{}{resumed}{tasks} {:?}", list(offers), filters.refuse)
        }
        Call::Demand { role, demand } => {
            let shapes = demand.iter().flat_map(|demand| &demand.shapes).map(show_shape);
            format!("want {role}{}", list(shapes))
        }
        Call::Decline { offers, filters } => format!("decline{} {:?}", list(offers), filters.refuse),
        Call::Revive { roles } => format!("revive{}", list(roles)),
        Call::Suppress { roles } => format!("suppress{}", list(roles)),
        Call::Kill { task_id, .. } => format!("kill {task_id}"),
        Call::Suspend { task_id, .. } => format!("suspend {task_id}"),
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

/// `on A1 cpus:1*2`: what two need to go on. `1.0*2 gang 1.0`: the task, how many instances of it, and the first task of its gang.
fn show_shape(shape: &Shape) -> String {
    let name = |id: ShapeId| {
        let (job, task) = of_shape(id);
        format!("{job}.{task}")
    };
    if let Some(agent) = &shape.agent {
        return format!("on {agent} {}*{}", shape.resources, shape.count);
    }
    let gang = shape.gang.map(|gang| format!(" gang {}", name(ShapeId(gang.0))));
    format!("{}*{}{}", name(shape.id), shape.count, gang.unwrap_or_default())
}

/// The tasks of an accept.
pub(super) fn launched(operations: &[Operation]) -> impl Iterator<Item = &TaskInfo> {
    operations.iter().flat_map(|operation| match operation {
        Operation::Launch(tasks) => tasks.as_slice(),
        Operation::Resume(_) => &[],
        Operation::LaunchGroup(_) | Operation::Change { .. } => panic!("nobody asked for {operation:?}"),
    })
}

/// The tasks that an accept lets go on.
pub(super) fn resumed(operations: &[Operation]) -> impl Iterator<Item = &TaskId> {
    operations.iter().flat_map(|operation| match operation {
        Operation::Resume(tasks) => tasks.as_slice(),
        Operation::Launch(_) | Operation::LaunchGroup(_) | Operation::Change { .. } => &[],
    })
}

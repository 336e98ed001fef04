//! A scheduler that notes what it is told, and the text around it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use expect_test::Expect;
use proffer_types::scheduler_link::{Call, Event};
use proffer_types::{
    AgentId, Capabilities, Demand, Filters, FrameworkId, FrameworkInfo, GangId, KillPolicy, MasterId, Offer,
    OfferGang, OfferId, OfferPreferences, Operation, OperationId, OperationState, OperationStatus,
    ResourceChange, Resources, Role, Shape, ShapeId, StatusReason, StatusSource, StatusUuid, TaskId,
    TaskInfo, TaskState, TaskStatus, Timestamp, VolumeId,
};

use crate::{Context, Input, Output, RecoverError, Scheduler, Session, UnknownTasks, Write};

#[derive(Debug, Default)]
pub(in crate::session) struct Probe {
    heard: RefCell<Vec<String>>,
    holding: bool,
    roles: Option<BTreeSet<Role>>,
    preferences: Option<BTreeMap<Role, OfferPreferences>>,
}

impl Scheduler for Probe {
    fn subscribed(&mut self, _: &mut Context<'_>, id: &FrameworkId) {
        self.heard.borrow_mut().push(format!("subscribed {id}"));
    }

    fn disconnected(&mut self, _: &mut Context<'_>) {
        self.heard.borrow_mut().push("disconnected".to_owned());
    }

    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) {
        if self.holding {
            // Of a gang the first one is enough.
            offers.iter().take(1).for_each(|offer| cx.hold(offer));
            let single = offers.iter().skip(1).filter(|offer| offer.gang.is_none());
            single.for_each(|offer| cx.hold(offer));
        }
        let ids: Vec<_> = offers.iter().map(|offer| offer.id.as_str()).collect();
        self.heard.borrow_mut().push(format!("offers {}", ids.join(" ")));
    }

    fn rescinded(&mut self, _: &mut Context<'_>, offer: &OfferId) {
        self.heard.borrow_mut().push(format!("rescinded {offer}"));
    }

    fn roles(&self) -> Option<&BTreeSet<Role>> {
        self.roles.as_ref()
    }

    fn preferences(&self) -> Option<&BTreeMap<Role, OfferPreferences>> {
        self.preferences.as_ref()
    }

    fn operation_update(&mut self, cx: &mut Context<'_>, status: &OperationStatus) {
        if status.uuid.is_some() {
            cx.put(format!("seen/{}", status.operation_id), Vec::new());
        }
        let state = status.state.as_str();
        self.heard
            .borrow_mut()
            .push(format!("operation {} {state}", status.operation_id));
    }

    fn update(&mut self, cx: &mut Context<'_>, status: &TaskStatus) {
        if status.state != TaskState::Dropped {
            cx.put(format!("seen/{}", status.task_id), Vec::new());
        }
        self.heard
            .borrow_mut()
            .push(format!("update {} {}", status.task_id, status.state.as_str()));
    }
}

pub(super) fn recover(records: Vec<(String, Vec<u8>)>) -> Result<Session<Probe>, RecoverError> {
    recover_as(None, records)
}

fn recover_as(
    id: Option<FrameworkId>,
    records: Vec<(String, Vec<u8>)>,
) -> Result<Session<Probe>, RecoverError> {
    let info = FrameworkInfo {
        id,
        name: "probe".to_owned(),
        roles: [Role::default()].into(),
        failover_timeout: Duration::ZERO,
        services: Vec::new(),
        labels: BTreeMap::new(),
        capabilities: Capabilities::default(),
        preferences: BTreeMap::new(),
    };
    Session::recover(info, 1, records, Probe::default())
}

/// An id, and what becomes of tasks without a record.
fn adopt(words: &str, records: Vec<(String, Vec<u8>)>) -> Session<Probe> {
    let (id, unknown) = words.split_once(' ').unwrap();
    let unknown = match unknown {
        "keep" => UnknownTasks::Keep,
        "kill" => UnknownTasks::Kill,
        other => panic!("no such choice: {other}"),
    };
    let id = FrameworkId::new(id).unwrap();
    let session = recover_as(Some(id), records).unwrap();
    session.with_unknown_tasks(unknown).adopting()
}

/// Runs the steps, separated by `|`; shows those that led to anything. `up` stands for a fresh subscription,
/// `crash` for a restart from the store, and after each step everything that is due is ticked.
pub(super) fn check(steps: &str, expected: Expect) {
    let mut store = BTreeMap::new();
    let mut session = recover(Vec::new()).unwrap();
    let mut now = Timestamp(0);
    let mut trace = String::new();
    for step in steps.split('|').map(str::trim) {
        if let Some(words) = step.strip_prefix("adopt ") {
            session = adopt(words, store.clone().into_iter().collect());
            continue;
        }
        if step == "crash" {
            session = recover(store.clone().into_iter().collect()).unwrap();
            continue;
        }
        let mut out = Output::default();
        apply(&mut session, &mut now, step, &mut out);
        for write in &out.writes {
            match write.clone() {
                Write::Put { key, value } => store.insert(key, value),
                Write::Delete { key } => store.remove(&key),
            };
        }
        let heard = session.scheduler().heard.take();
        let shown = show(&out, &heard);
        if step != "up" && !shown.is_empty() {
            writeln!(trace, "{step}: {shown}").unwrap();
        }
    }
    expected.assert_eq(&trace);
}

fn apply(session: &mut Session<Probe>, now: &mut Timestamp, step: &str, out: &mut Output) {
    let words: Vec<_> = step.split_whitespace().collect();
    let event = match words[0] {
        "up" => {
            apply(session, now, "connected", out);
            return apply(session, now, "subscribed F1", out);
        }
        "connected" => return session.step(*now, Input::Connected, out),
        "disconnected" => return session.step(*now, Input::Disconnected, out),
        "tick" => return session.step(*now, Input::Tick, out),
        "holding" => return session.with(*now, out, |probe, _| probe.holding = true),
        "suppress" => return session.with(*now, out, |_, cx| cx.suppress()),
        "teardown" => return session.with(*now, out, |_, cx| cx.teardown()),
        "revive" => return session.with(*now, out, |_, cx| cx.revive()),
        "roles" => {
            let roles = words[1..].iter().map(|role| Role::new(role).unwrap()).collect();
            return session.with(*now, out, |probe, _| probe.roles = Some(roles));
        }
        "prefer" => {
            let roles = words[1..].iter().map(|role| Role::new(role).unwrap());
            let anything = OfferPreferences {
                min_allocatable: Some(Vec::new()),
                ..OfferPreferences::default()
            };
            let preferences = roles.map(|role| (role, anything.clone())).collect();
            return session.with(*now, out, |probe, _| probe.preferences = Some(preferences));
        }
        "launch" => {
            let offers: Vec<_> = words[2..].iter().map(|id| offer(id)).collect();
            let operations = vec![Operation::Launch(vec![task(words[1])])];
            return session.with(*now, out, |_, cx| {
                cx.accept(&offers, operations, Filters::DEFAULT)
            });
        }
        "suspend" => {
            let id = TaskId::new(words[1]).unwrap();
            return session.with(*now, out, |_, cx| cx.suspend(&id));
        }
        "resume" => {
            let operations = vec![Operation::Resume(vec![TaskId::new(words[1]).unwrap()])];
            let offers = [offer(words[2])];
            return session.with(*now, out, |_, cx| {
                cx.accept(&offers, operations, Filters::DEFAULT)
            });
        }
        "destroy" => {
            let change = ResourceChange::Destroy {
                volume: VolumeId::new("V1").unwrap(),
            };
            let id = Some(OperationId::new(words[1]).unwrap());
            let operations = vec![Operation::Change { id, change }];
            let offers = [offer(words[2])];
            return session.with(*now, out, |_, cx| {
                cx.accept(&offers, operations, Filters::DEFAULT)
            });
        }
        "decline" => {
            let offer = offer(words[1]);
            return session.with(*now, out, |_, cx| cx.decline(&offer, Duration::from_secs(1)));
        }
        "demand" => {
            let statements: Vec<_> = words[1..].iter().map(|text| statement(text)).collect();
            return session.with(*now, out, |_, cx| {
                for (role, shapes) in statements {
                    cx.state_demand(&role, shapes);
                }
            });
        }
        // What wants roles, demand in them and a launch, all in one step.
        "grow" => {
            let (role, shapes) = statement(words[1]);
            let (offer, task) = (offer(words[2]), task("T9"));
            return session.with(*now, out, |probe, cx| {
                cx.state_demand(&role, shapes);
                cx.launch(&offer, vec![task], Filters::DEFAULT);
                probe.roles = Some([Role::default(), role].into());
            });
        }
        "undemand" => {
            let role = Role::new(words[1]).unwrap();
            return session.with(*now, out, |_, cx| cx.take_back_demand(&role));
        }
        "kill" => {
            let grace_period = Some(Duration::from_millis(1500));
            let id = TaskId::new(words[1]).unwrap();
            return session.with(*now, out, |_, cx| cx.kill(&id, KillPolicy { grace_period }));
        }
        "subscribed" => Event::Subscribed {
            framework_id: FrameworkId::new(words[1]).unwrap(),
            master_id: MasterId::new("M1").unwrap(),
            heartbeat_interval: Duration::from_secs(5),
        },
        "offer" => Event::Offers(words[1..].iter().map(|id| offer(id)).collect()),
        "rescind" => Event::Rescind(OfferId::new(words[1]).unwrap()),
        "update" => Event::Update(status(&words[1..])),
        "answer" => Event::Update(TaskStatus {
            source: StatusSource::Master,
            reason: Some(StatusReason::Reconciliation),
            ..status(&words[1..])
        }),
        "operation" => Event::OperationUpdate(operation_status(&words[1..])),
        "heartbeat" => Event::Heartbeat,
        "error" => Event::Error {
            message: words[1..].join(" "),
        },
        wait => {
            let wait = wait.strip_prefix('+').unwrap();
            let millis = match wait.strip_suffix("ms") {
                Some(millis) => millis.parse::<u64>().unwrap(),
                None => wait.strip_suffix('s').unwrap().parse::<u64>().unwrap() * 1000,
            };
            now.0 += millis;
            if session.next_deadline().is_some_and(|due| due <= *now) {
                session.step(*now, Input::Tick, out);
            }
            return;
        }
    };
    session.step(*now, Input::Event(event), out);
}

/// Role, colon, and each shape as its id and count, and maybe its gang: `eng:1*3,2*1@7`.
fn statement(text: &str) -> (Role, Vec<Shape>) {
    let (role, shapes) = text.split_once(':').unwrap();
    let shape = |text: &str| {
        let (id, count) = text.split_once('*').unwrap();
        let id = ShapeId(id.parse().unwrap());
        let (count, gang) = match count.split_once('@') {
            None => (count, None),
            Some((count, gang)) => (count, Some(GangId(gang.parse().unwrap()))),
        };
        let shape = Shape::new(id, Resources::of(1000, 0, 0), count.parse().unwrap());
        Shape { gang, ..shape }
    };
    let shapes = shapes.split(',').filter(|text| !text.is_empty()).map(shape);
    (Role::new(role).unwrap(), shapes.collect())
}

/// An id; after a slash, how many offers its gang has.
fn offer(text: &str) -> Offer {
    let (id, gang) = match text.split_once('/') {
        None => (text, None),
        Some((id, n_offers)) => {
            let n_offers = n_offers.parse().unwrap();
            let id_of_gang = GangId(1);
            (
                id,
                Some(OfferGang {
                    id: id_of_gang,
                    n_offers,
                }),
            )
        }
    };
    Offer {
        id: OfferId::new(id).unwrap(),
        framework_id: FrameworkId::new("F1").unwrap(),
        agent_id: AgentId::new("A1").unwrap(),
        hostname: "host".to_owned(),
        address: "10.0.0.1:5051".to_owned(),
        role: Role::default(),
        resources: Resources::of(1000, 1 << 30, 0),
        attributes: Vec::new(),
        domain: None,
        shapes: Vec::new(),
        gang,
        unavailability: None,
    }
}

fn task(id: &str) -> TaskInfo {
    let agent_id = AgentId::new("A1").unwrap();
    TaskInfo::new(
        TaskId::new(id).unwrap(),
        agent_id,
        Resources::of(100, 1 << 20, 0),
        ["true"],
    )
}

fn status(words: &[&str]) -> TaskStatus {
    let state = TaskState::ALL
        .into_iter()
        .find(|state| state.as_str() == words[1]);
    TaskStatus {
        task_id: TaskId::new(words[0]).unwrap(),
        agent_id: Some(AgentId::new("A1").unwrap()),
        state: state.unwrap(),
        source: StatusSource::Agent,
        reason: None,
        message: String::new(),
        timestamp: Timestamp(0),
        uuid: words.get(2).map(|uuid| StatusUuid([uuid.parse().unwrap(); 16])),
        exit: None,
        usage: None,
        condition: proffer_types::TaskCondition::default(),
    }
}

fn operation_status(words: &[&str]) -> OperationStatus {
    let state = OperationState::ALL
        .into_iter()
        .find(|state| state.as_str() == words[1]);
    OperationStatus {
        operation_id: OperationId::new(words[0]).unwrap(),
        agent_id: Some(AgentId::new("A1").unwrap()),
        state: state.unwrap(),
        message: String::new(),
        timestamp: Timestamp(0),
        uuid: words.get(2).map(|uuid| StatusUuid([uuid.parse().unwrap(); 16])),
    }
}

fn show(out: &Output, heard: &[String]) -> String {
    let writes = out.writes.iter().map(|write| match write {
        Write::Put { key, .. } => format!("put {key}"),
        Write::Delete { key } => format!("delete {key}"),
    });
    let disconnect = out.disconnect.then(|| "disconnect".to_owned());
    let refused = out.refused.iter().map(|message| format!("refused {message}"));
    let torn_down = out.torn_down.then(|| "torn down".to_owned());
    let heard = (!heard.is_empty()).then(|| format!("[{}]", heard.join(", ")));
    let all: Vec<_> = writes
        .chain(disconnect)
        .chain(refused)
        .chain(torn_down)
        .chain(out.calls.iter().map(show_call))
        .chain(heard)
        .collect();
    all.join("; ")
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| format!(" {}", item.to_string()))
        .collect()
}

/// The roles and preferences that are not those of every framework.
fn show_own(info: &FrameworkInfo) -> String {
    let roles = match info.roles == [Role::default()].into() {
        true => String::new(),
        false => format!(" in{}", list(&info.roles)),
    };
    let preferring = info.preferences.keys().map(|role| format!("preferring:{role}"));
    format!("{roles}{}", list(preferring))
}

fn show_call(call: &Call) -> String {
    match call {
        Call::Subscribe {
            info,
            suppressed_roles,
            adopt,
        } => {
            let adopting = if *adopt { " adopting" } else { "" };
            let roles: String = suppressed_roles
                .iter()
                .map(|role| format!(" suppressed:{role}"))
                .collect();
            format!("subscribe{adopting}{}{}{roles}", list(&info.id), show_own(info))
        }
        Call::Update {
            info,
            suppressed_roles,
        } => {
            let suppressed = suppressed_roles.iter().map(|role| format!("suppressed:{role}"));
            format!("update{}{}", show_own(info), list(suppressed))
        }
        Call::AcceptInverse { offers } => format!("accept inverse{}", list(offers)),
        Call::DeclineInverse { offers, refuse } => format!("decline inverse{} for {refuse:?}", list(offers)),
        Call::Demand { role, demand: None } => format!("demand {role} taken back"),
        Call::Demand {
            role,
            demand: Some(Demand { shapes, .. }),
        } => {
            let shapes = shapes
                .iter()
                .map(|shape| format!("{}*{}", shape.id.0, shape.count));
            format!("demand {role}:{}", list(shapes))
        }
        Call::Accept {
            offers, operations, ..
        } => {
            let operations = operations.iter().map(|operation| match operation {
                Operation::Launch(tasks) | Operation::LaunchGroup(tasks) => {
                    list(tasks.iter().map(|task| &task.id))
                }
                Operation::Resume(tasks) => format!(" resume{}", list(tasks)),
                Operation::Change { id, .. } => list(id),
            });
            format!("accept{}{}", list(offers), operations.collect::<String>())
        }
        Call::Decline { offers, filters } => format!("decline{} {:?}", list(offers), filters.refuse),
        Call::Revive { roles } => format!("revive{}", list(roles)),
        Call::Suppress { roles } => format!("suppress{}", list(roles)),
        Call::Kill {
            task_id, kill_policy, ..
        } => {
            let grace = kill_policy.grace_period.map(|grace| format!(" {grace:?}"));
            format!("kill {task_id}{}", grace.unwrap_or_default())
        }
        Call::Suspend { task_id, agent_id } => format!("suspend {task_id}{}", list(agent_id)),
        Call::Acknowledge { task_id, uuid, .. } => format!("ack {task_id} {}", uuid.0[0]),
        Call::Reconcile { tasks } => {
            let named = tasks
                .iter()
                .map(|(id, agent)| format!("{id}@{}", agent.as_ref().unwrap()));
            format!("reconcile{}", list(named))
        }
        Call::AcknowledgeOperation {
            operation_id, uuid, ..
        } => format!("ack {operation_id} {}", uuid.0[0]),
        Call::ReconcileOperations { operations } => {
            let named = operations
                .iter()
                .map(|(id, agent)| format!("{id}@{}", agent.as_ref().unwrap()));
            format!("reconcile operations{}", list(named))
        }
        Call::Teardown => "teardown".to_owned(),
        Call::Ping => "ping".to_owned(),
    }
}

//! The wire loses nothing that is valid, and nothing that is invalid gets past it.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

mod strategies;

use proffer_types::agent_link::{AgentMessage, RegisteredOperation, RegisteredTask};
use proffer_types::scheduler_link::{Call, RefusedTask};
use proffer_types::{
    AgentId, AgentInfo, ExecutorCall, ExecutorEvent, Filters, FrameworkInfo, Operation, OperationState,
    OperationStatus, Quota, Resources, Role, Session, StatusReason, StatusSource, StatusUuid, TaskId,
    TaskInfo, TaskState, TaskStatus, Timestamp,
};
use proffer_wire::agent_link::{Registration, agent_frames, from_master_frame, master_frames};
use proffer_wire::frame::FRAME_BYTES;
use proffer_wire::offer::weight_millis;
use proffer_wire::scheduler_link::{
    MAX_REFUSED_TASKS, call_frames, event_frames, from_call_frame, from_event_frame,
};
use proffer_wire::{ConvertError, v1};
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

/// Sends a message through its bytes, as a connection would.
fn sent<T: Message + Default>(message: &T) -> T {
    T::decode(message.encode_to_vec().as_slice()).unwrap()
}

/// Changes some bytes of a valid message, so that most of it still decodes.
fn damaged<T: Message + Default>(message: &T, damage: &[(Index, u8)]) -> Option<T> {
    let mut bytes = message.encode_to_vec();
    for (index, byte) in damage {
        if !bytes.is_empty() {
            let at = index.index(bytes.len());
            bytes[at] = *byte;
        }
    }
    T::decode(bytes.as_slice()).ok()
}

fn damage() -> impl Strategy<Value = Vec<(Index, u8)>> {
    proptest::collection::vec((any::<Index>(), any::<u8>()), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn calls_arrive_as_they_were_sent(calls in proptest::collection::vec(strategies::call(), 1..4)) {
        let frames = call_frames(&calls);
        let arrived = frames.iter().flat_map(|frame| from_call_frame(sent(frame)).unwrap());
        prop_assert_eq!(arrived.collect::<Vec<_>>(), calls);
    }

    #[test]
    fn events_arrive_as_they_were_sent(events in proptest::collection::vec(strategies::event(), 1..4)) {
        let frames = event_frames(&events);
        let arrived = frames.iter().flat_map(|frame| from_event_frame(sent(frame)).unwrap());
        prop_assert_eq!(arrived.collect::<Vec<_>>(), events);
    }

    #[test]
    fn what_agents_say_arrives_as_it_was_sent(
        messages in proptest::collection::vec(strategies::agent_message(), 1..4),
    ) {
        let mut registration = Registration::default();
        let mut arrived = Vec::new();
        for frame in agent_frames(Some(Session(7)), &messages) {
            let (session, whole) = registration.push(sent(&frame)).unwrap();
            prop_assert_eq!(session, Some(Session(7)));
            arrived.extend(whole);
        }
        prop_assert_eq!(arrived, messages);
    }

    #[test]
    fn what_the_master_says_arrives_as_it_was_sent(
        messages in proptest::collection::vec(strategies::master_message(), 1..4),
    ) {
        let frames = master_frames(Session(7), &messages);
        let arrived = frames.iter().flat_map(|frame| from_master_frame(sent(frame)).unwrap().1);
        prop_assert_eq!(arrived.collect::<Vec<_>>(), messages);
    }

    #[test]
    fn what_executors_and_agents_say_to_each_other_arrives_as_it_was_sent(
        call in strategies::executor_call(),
        event in strategies::executor_event(),
    ) {
        prop_assert_eq!(ExecutorCall::try_from(sent(&v1::ExecutorCall::from(&call))).unwrap(), call);
        prop_assert_eq!(ExecutorEvent::try_from(sent(&v1::ExecutorEvent::from(&event))).unwrap(), event);
    }

    #[test]
    fn a_quota_is_kept_as_it_was_set(quota in strategies::quota()) {
        prop_assert_eq!(Quota::try_from(sent(&v1::Quota::from(&quota))).unwrap(), quota);
    }

    #[test]
    fn damaged_messages_are_refused_or_valid_but_never_a_panic(
        call in strategies::call(),
        event in strategies::event(),
        to_master in strategies::agent_message(),
        to_agent in strategies::master_message(),
        damage in damage(),
    ) {
        for frame in call_frames(&[call]) {
            let _ = damaged(&frame, &damage).map(from_call_frame);
        }
        for frame in event_frames(&[event]) {
            let _ = damaged(&frame, &damage).map(from_event_frame);
        }
        for frame in agent_frames(None, &[to_master]) {
            let _ = damaged(&frame, &damage).map(|frame| Registration::default().push(frame));
        }
        for frame in master_frames(Session(1), &[to_agent]) {
            let _ = damaged(&frame, &damage).map(from_master_frame);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = v1::SchedulerCalls::decode(bytes.as_slice()).map(from_call_frame);
        let _ = v1::SchedulerEvents::decode(bytes.as_slice()).map(from_event_frame);
        let _ = v1::MasterFrame::decode(bytes.as_slice()).map(from_master_frame);
        let _ = v1::AgentFrame::decode(bytes.as_slice()).map(|frame| Registration::default().push(frame));
        let _ = v1::Resources::decode(bytes.as_slice()).map(Resources::try_from);
        let _ = v1::ExecutorCall::decode(bytes.as_slice()).map(ExecutorCall::try_from);
        let _ = v1::ExecutorEvent::decode(bytes.as_slice()).map(ExecutorEvent::try_from);
    }
}

fn task_info() -> v1::TaskInfo {
    v1::TaskInfo {
        task_id: "t1".into(),
        agent_id: "a1".into(),
        resources: Some(cpus(1.0)),
        container: Some(v1::ContainerSpec {
            command: vec!["true".into()],
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn cpus(scalar: f64) -> v1::Resources {
    named("cpus", v1::resource::Value::Scalar(scalar))
}

fn named(name: &str, value: v1::resource::Value) -> v1::Resources {
    v1::Resources {
        items: vec![v1::Resource {
            name: name.into(),
            value: Some(value),
            ..Default::default()
        }],
    }
}

/// A launch, as it arrives.
fn launch(tasks: Vec<v1::TaskInfo>) -> Result<(Vec<TaskInfo>, Vec<RefusedTask>), ConvertError> {
    let launch = v1::operation::Launch { tasks };
    let accept = v1::scheduler_call::Accept {
        operations: vec![v1::Operation {
            operation: Some(v1::operation::Operation::Launch(launch)),
            ..Default::default()
        }],
        ..Default::default()
    };
    let call = v1::SchedulerCall {
        call: Some(v1::scheduler_call::Call::Accept(accept)),
    };
    let Call::Accept {
        mut operations,
        refused,
        ..
    } = Call::try_from(call)?
    else {
        panic!("an accept becomes something else");
    };
    let Operation::Launch(tasks) = operations.remove(0) else {
        panic!("a launch becomes something else");
    };
    Ok((tasks, refused))
}

/// What a launch of one task is refused with.
fn refusal(change: impl FnOnce(&mut v1::TaskInfo)) -> String {
    let mut info = task_info();
    change(&mut info);
    let (tasks, mut refused) = launch(vec![info]).unwrap();
    assert_eq!(tasks, []);
    refused.remove(0).message
}

fn refused_container(change: impl FnOnce(&mut v1::ContainerSpec)) -> String {
    refusal(|info| change(info.container.as_mut().unwrap()))
}

#[test]
fn a_quantity_is_a_finite_number_from_zero_up() {
    let cases = [
        (f64::NAN, "NaN is not a quantity"),
        (f64::INFINITY, "inf is not a quantity"),
        (-1.0, "-1.0 is negative"),
        (1e300, "1e300 is too large"),
    ];
    for (scalar, problem) in cases {
        let refused = refusal(|info| info.resources = Some(cpus(scalar)));
        assert_eq!(refused, format!("resources.cpus: {problem}"));
    }
    assert_eq!(Resources::try_from(cpus(0.00049)).unwrap(), Resources::new());
    assert_eq!(Resources::try_from(cpus(0.0015)).unwrap().cpu_millis(), 2);
}

#[test]
fn a_bundle_names_each_resource_once_and_gives_it_the_right_kind_of_value() {
    let mut twice = cpus(1.0);
    twice.items.push(twice.items[0].clone());
    let ranges = |begin, end| {
        v1::resource::Value::Ranges(v1::Ranges {
            items: vec![v1::ranges::Range { begin, end }],
        })
    };
    let mut empty = cpus(1.0);
    empty.items[0].value = None;
    for (bundle, error) in [
        (twice, "cpus: is given twice"),
        (
            named("ports", v1::resource::Value::Scalar(1.0)),
            "ports: is a scalar, but ports are ranges",
        ),
        (
            named("mem", ranges(1, 2)),
            "mem: is a set of ranges, but must be a scalar",
        ),
        (
            named("ports", ranges(2, 1)),
            "ports: range 2-1 ends before it begins",
        ),
        (empty, "cpus: has no value"),
        (
            named("a/b", v1::resource::Value::Scalar(1.0)),
            "items[0].name: resource name `a/b` must be 1 to 63 letters, digits, `_`, `-` or `.`",
        ),
    ] {
        assert_eq!(Resources::try_from(bundle).unwrap_err().to_string(), error);
    }
}

#[test]
fn a_bad_task_is_refused_with_the_field_that_is_wrong() {
    assert_eq!(
        refusal(|info| info.agent_id = String::new()),
        "agent_id: agent id is empty"
    );
    assert_eq!(refusal(|info| info.container = None), "container: is missing");
    assert_eq!(
        refusal(|info| info.name = "\x1b[2J".into()),
        "name: `\\u{1b}[2J` holds a control character"
    );
    assert_eq!(
        refused_container(|spec| spec.command.clear()),
        "container.command: is empty, and there is no image"
    );
    assert_eq!(
        refused_container(|spec| spec.command.push("a\0".into())),
        "container.command[1]: `a\\0` holds a NUL byte"
    );
    assert_eq!(
        refused_container(|spec| spec.env = [("A=B".into(), String::new())].into()),
        "container.env: `A=B` is not the name of a variable"
    );
    assert_eq!(
        refused_container(|spec| spec.working_directory = "tmp".into()),
        "container.working_directory: `tmp` is not an absolute path"
    );
}

#[test]
fn a_bad_task_does_not_spoil_the_others_unless_it_cannot_be_named() {
    let named = |id: &str| v1::TaskInfo {
        task_id: id.into(),
        ..task_info()
    };
    let bad = |id: &str| v1::TaskInfo {
        resources: Some(cpus(f64::NAN)),
        ..named(id)
    };
    let (tasks, refused) = launch(vec![bad("t1"), named("t2")]).unwrap();
    assert_eq!(
        tasks.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(),
        ["t2"]
    );
    let expected = RefusedTask {
        id: TaskId::new("t1").unwrap(),
        agent_id: Some(AgentId::new("a1").unwrap()),
        reason: StatusReason::TaskInvalid,
        message: "resources.cpus: NaN is not a quantity".to_owned(),
    };
    assert_eq!(refused, [expected]);

    let error = launch(vec![named("t1"), named("a/b")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "accept.operations[0].launch.tasks[1].task_id: task id `a/b` must not contain `/`"
    );
    let too_many = (0..=MAX_REFUSED_TASKS).map(|n| bad(&format!("t{n}")));
    let error = launch(too_many.collect()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "accept.operations[0].launch.tasks[1000].resources.cpus: NaN is not a quantity"
    );
}

#[test]
fn what_is_too_much_is_refused_with_its_limit() {
    assert_eq!(
        refusal(|info| info.labels = [("a".into(), "x".repeat(5 << 20))].into()),
        "labels: 5242881 bytes of labels, at most 65536 are allowed"
    );
    assert_eq!(
        refusal(|info| info.labels = (0..65).map(|n| (n.to_string(), String::new())).collect()),
        "labels: 65 labels, at most 64 are allowed"
    );
    assert_eq!(
        refused_container(|spec| spec.env = (0..1025).map(|n| (n.to_string(), String::new())).collect()),
        "container.env: 1025 variables, at most 1024 are allowed"
    );
    let refused = refused_container(|spec| spec.command.push("x".repeat(1 << 20)));
    assert!(refused.ends_with("at most 1048576 are allowed"), "{refused}");
}

#[test]
fn a_status_of_an_unknown_kind_is_refused() {
    let good = v1::TaskStatus {
        task_id: "t".into(),
        state: v1::TaskState::TaskRunning.into(),
        source: v1::StatusSource::SourceAgent.into(),
        ..Default::default()
    };
    let refused = |change: fn(&mut v1::TaskStatus)| {
        let mut message = good.clone();
        change(&mut message);
        TaskStatus::try_from(message).unwrap_err().to_string()
    };
    assert_eq!(
        refused(|status| status.state = 0),
        "state: 0 is not a known value"
    );
    assert_eq!(
        refused(|status| status.state = 99),
        "state: 99 is not a known value"
    );
    assert_eq!(
        refused(|status| status.source = -1),
        "source: -1 is not a known value"
    );
    assert_eq!(
        refused(|status| status.reason = 99),
        "reason: 99 is not a known value"
    );
    assert_eq!(
        refused(|status| status.uuid = vec![1; 15]),
        "uuid: has 15 bytes, not 16"
    );
    assert_eq!(
        refused(|status| status.exit = Some(v1::TaskExit { how: None })),
        "exit.how: is missing"
    );
}

#[test]
fn a_framework_has_a_role_and_outlives_a_week_unless_it_says_otherwise() {
    let mut message = v1::FrameworkInfo::default();
    let error = FrameworkInfo::try_from(message.clone()).unwrap_err();
    assert_eq!(error.path(), "roles");
    message.roles = vec!["*".into()];
    let info = FrameworkInfo::try_from(message.clone()).unwrap();
    assert_eq!(info.failover_timeout.as_secs(), 7 * 24 * 60 * 60);
    message.failover_timeout_ms = Some(0);
    assert!(
        FrameworkInfo::try_from(message)
            .unwrap()
            .failover_timeout
            .is_zero()
    );
}

#[test]
fn a_strange_filter_is_the_default_one() {
    let ms = |refuse_seconds| {
        Filters::from(v1::Filters {
            refuse_seconds,
            at_least: None,
        })
        .refuse
        .as_millis()
    };
    assert_eq!(ms(None), 5000);
    assert_eq!(ms(Some(-1.0)), 5000);
    assert_eq!(ms(Some(f64::NAN)), 5000);
    assert_eq!(ms(Some(-0.0)), 0);
    assert_eq!(ms(Some(1e-9)), 1);
    assert_eq!(ms(Some(f64::INFINITY)), Filters::MAX.as_millis());
}

#[test]
fn a_weight_is_between_a_thousandth_and_a_million() {
    assert_eq!(weight_millis("weight", 0.5).unwrap(), 500);
    for bad in [0.0, -1.0, 0.0001, 1e7, f64::NAN, f64::INFINITY] {
        assert!(weight_millis("weight", bad).is_err(), "{bad}");
    }
}

fn registered(n: usize, label_bytes: usize) -> RegisteredTask {
    RegisteredTask {
        framework_id: "f".parse().unwrap(),
        role: Role::default(),
        group: None,
        info: TaskInfo {
            labels: [("label".into(), "x".repeat(label_bytes))].into(),
            ..TaskInfo::new(
                format!("t{n}").parse().unwrap(),
                "a".parse().unwrap(),
                Resources::new(),
                ["true"],
            )
        },
        latest_status: TaskStatus {
            task_id: format!("t{n}").parse().unwrap(),
            agent_id: None,
            state: TaskState::Running,
            source: StatusSource::Agent,
            reason: None,
            message: String::new(),
            timestamp: Timestamp(1),
            uuid: None,
            exit: None,
            usage: None,
            condition: proffer_types::TaskCondition::default(),
        },
    }
}

fn register(tasks: Vec<RegisteredTask>) -> AgentMessage {
    let info = AgentInfo {
        hostname: "host".into(),
        address: "127.0.0.1:5051".into(),
        resources: Resources::new(),
        attributes: vec![],
        version: "1".into(),
        cgroups: "cgroup v2".into(),
        domain: None,
        can_suspend: false,
    };
    AgentMessage::Register {
        info,
        agent_id: None,
        tasks,
        operations: Vec::new(),
    }
}

#[test]
fn a_long_registration_travels_in_frames_under_a_mebibyte() {
    let message = register((0..100).map(|n| registered(n, 60_000)).collect());
    let frames = agent_frames(None, std::slice::from_ref(&message));
    assert!(frames.len() >= 6);
    let mut registration = Registration::default();
    let mut arrived = Vec::new();
    for frame in frames {
        assert!(frame.encoded_len() <= FRAME_BYTES + 64, "{}", frame.encoded_len());
        arrived.extend(registration.push(frame).unwrap().1);
    }
    assert_eq!(arrived, [message]);
}

#[test]
fn a_registration_of_too_many_tasks_is_refused() {
    let message = register((0..10_001).map(|n| registered(n, 0)).collect());
    let mut registration = Registration::default();
    let refused = agent_frames(None, &[message])
        .into_iter()
        .find_map(|frame| registration.push(frame).err())
        .unwrap();
    let text = refused.to_string();
    assert!(
        text.ends_with("10001 tasks in one registration, at most 10000 are allowed"),
        "{text}"
    );
}

#[test]
fn operations_that_wait_for_an_acknowledgement_travel_and_are_bounded_like_tasks() {
    let registration = |n: usize| {
        let AgentMessage::Register {
            info,
            agent_id,
            tasks,
            ..
        } = register(vec![registered(1, 0)])
        else {
            unreachable!("it is a registration");
        };
        let operations = (0..n).map(registered_operation).collect();
        AgentMessage::Register {
            info,
            agent_id,
            tasks,
            operations,
        }
    };
    let arrive = |message: &AgentMessage| {
        let mut registration = Registration::default();
        let frames = agent_frames(None, std::slice::from_ref(message));
        let arrived = frames.into_iter().map(|frame| registration.push(frame));
        arrived
            .map(|whole| whole.map(|(_, whole)| whole))
            .collect::<Result<Vec<_>, _>>()
    };
    let message = registration(500);
    assert!(agent_frames(None, std::slice::from_ref(&message)).len() > 1);
    assert_eq!(arrive(&message).unwrap().concat(), [message]);
    let refused = arrive(&registration(10_001)).unwrap_err().to_string();
    assert!(
        refused.ends_with("10001 operations in one registration, at most 10000 are allowed"),
        "{refused}"
    );
}

fn registered_operation(n: usize) -> RegisteredOperation {
    RegisteredOperation {
        framework_id: "f".parse().unwrap(),
        status: OperationStatus {
            operation_id: format!("o{n}").parse().unwrap(),
            agent_id: None,
            state: OperationState::Finished,
            message: "x".repeat(3000),
            timestamp: Timestamp(1),
            uuid: Some(StatusUuid([7; 16])),
        },
    }
}

#[test]
fn a_registration_is_not_interrupted() {
    let mut frames = agent_frames(None, &[register(vec![registered(1, 0)])]);
    let mut frame = frames.remove(0);
    let done = frame.messages.pop().unwrap();
    let mut registration = Registration::default();
    registration.push(frame.clone()).unwrap();
    assert!(registration.push(frame).is_err());
    let alone = v1::AgentFrame {
        session: 0,
        messages: vec![done],
    };
    assert!(Registration::default().push(alone).is_err());
}

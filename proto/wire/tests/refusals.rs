//! What peers must not say about demand, constraints, quota and operations, and what they are told.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use proffer_types::scheduler_link::{Call, RefusedTask};
use proffer_types::{
    AgentInfo, FrameworkInfo, Limit, Limits, OfferConstraints, OperationStatus, Quota, ResourceChange,
    StatusReason, TaskInfo,
};
use proffer_wire::operation::MAX_GROUP_TASKS;
use proffer_wire::v1::constraint::{Predicate, Selector};
use proffer_wire::v1::resource::Value;
use proffer_wire::{ConvertError, v1};

fn refusal<T>(message: impl TryInto<T, Error = ConvertError>) -> String {
    message.try_into().err().unwrap().to_string()
}

fn bundle(name: &str, value: Value) -> v1::Resources {
    v1::Resources {
        items: vec![v1::Resource {
            name: name.into(),
            value: Some(value),
            ..Default::default()
        }],
    }
}

fn cpus(scalar: f64) -> v1::Resources {
    bundle("cpus", Value::Scalar(scalar))
}

fn ports() -> v1::Resources {
    let items = vec![v1::ranges::Range { begin: 1, end: 2 }];
    bundle("ports", Value::Ranges(v1::Ranges { items }))
}

fn reserved(mut bundle: v1::Resources) -> v1::Resources {
    bundle.items[0].reservations = vec![v1::Reservation {
        role: "eng".into(),
        ..Default::default()
    }];
    bundle
}

fn constraint(selector: Selector, predicate: Predicate) -> v1::Constraint {
    v1::Constraint {
        selector: Some(selector),
        predicate: Some(predicate),
    }
}

fn groups(groups: Vec<Vec<v1::Constraint>>) -> v1::OfferConstraints {
    let group = |constraints| v1::offer_constraints::Group { constraints };
    v1::OfferConstraints {
        groups: groups.into_iter().map(group).collect(),
    }
}

fn rack(predicate: Predicate) -> v1::Constraint {
    constraint(Selector::Attribute("rack".into()), predicate)
}

#[test]
fn a_constraint_is_whole_and_its_pattern_compiles() {
    let refused = |one| refusal::<OfferConstraints>(groups(vec![vec![one]]));
    let exists = || Predicate::Exists(true);
    let cases = [
        (
            v1::Constraint {
                selector: None,
                ..rack(exists())
            },
            "selector: is missing",
        ),
        (
            v1::Constraint {
                predicate: None,
                ..rack(exists())
            },
            "predicate: is missing",
        ),
        (
            constraint(Selector::Field(0), exists()),
            "field: 0 is not a known value",
        ),
        (
            constraint(Selector::Field(9), exists()),
            "field: 9 is not a known value",
        ),
        (
            constraint(Selector::Attribute(String::new()), exists()),
            "attribute: is empty",
        ),
        (
            rack(Predicate::Equals("x".repeat(256))),
            "equals: has 256 bytes, at most 255 are allowed",
        ),
        (
            rack(Predicate::NotEquals("\n".into())),
            "not_equals: `\\n` holds a control character",
        ),
        (
            rack(Predicate::Matches("(".into())),
            "matches: pattern `(` is no regular expression",
        ),
        (
            rack(Predicate::NotMatches("x{60000}".into())),
            "not_matches: pattern `x{60000}` takes more than 65536 bytes compiled",
        ),
    ];
    for (one, error) in cases {
        assert_eq!(refused(one), format!("groups[0].constraints[0].{error}"));
    }
    assert_eq!(
        refusal::<OfferConstraints>(groups(vec![vec![]])),
        "groups[0].constraints: is empty"
    );
}

#[test]
fn constraints_are_bounded_one_by_one_and_in_all() {
    let many = |n| vec![rack(Predicate::Exists(true)); n];
    assert_eq!(
        refusal::<OfferConstraints>(groups(vec![many(1); 65])),
        "groups: 65 groups, at most 64 are allowed"
    );
    assert_eq!(
        refusal::<OfferConstraints>(groups(vec![many(65)])),
        "groups[0].constraints: 65 constraints, at most 64 are allowed"
    );
    // Every shape holds as many as it may, but the statement as a whole does not.
    let full = |id| v1::Shape {
        constraints: Some(groups(vec![many(64); 64])),
        ..shape(id)
    };
    assert!(demand(vec![full(1)]).is_ok());
    assert_eq!(
        demand(vec![full(1), full(2)]).unwrap_err().to_string(),
        "demand.statement.shapes[1].constraints.groups[0].constraints: 4160 constraints in all, at most 4096 are \
         allowed"
    );
}

#[test]
fn a_pattern_counts_once_however_often_it_is_used() {
    let patterned = |id: u64, text: String| v1::Shape {
        constraints: Some(groups(vec![vec![rack(Predicate::Matches(text))]])),
        ..shape(id)
    };
    let same = (0..1000).map(|id| patterned(id, "r.".into()));
    assert!(demand(same.collect()).is_ok());
    let different = (0..257).map(|id| patterned(id, format!("r{id}")));
    assert_eq!(
        demand(different.collect()).unwrap_err().to_string(),
        "demand.statement.shapes[256].constraints.groups[0].constraints[0].matches: 257 different patterns, at most \
         256 are allowed"
    );
}

fn shape(id: u64) -> v1::Shape {
    v1::Shape {
        shape_id: id,
        resources: Some(cpus(1.0)),
        count: 1,
        ..Default::default()
    }
}

fn demand(shapes: Vec<v1::Shape>) -> Result<Call, ConvertError> {
    let demand = v1::scheduler_call::Demand {
        role: "eng".into(),
        statement: Some(v1::DemandStatement { shapes, backfill: 0 }),
    };
    let call = Some(v1::scheduler_call::Call::Demand(demand));
    v1::SchedulerCall { call }.try_into()
}

type BadShape = (fn(&mut v1::Shape), &'static str);

#[test]
fn a_shape_that_cannot_be_meant_is_refused() {
    let bad = |change: fn(&mut v1::Shape)| {
        let mut bad = shape(2);
        change(&mut bad);
        demand(vec![shape(1), bad]).unwrap_err().to_string()
    };
    let cases: [BadShape; 14] = [
        (
            |shape| shape.shape_id = 1,
            "shape_id: 1 is the id of another shape too",
        ),
        (
            |shape| shape.resources = None,
            "resources: is empty: a task needs something",
        ),
        (
            |shape| shape.resources = Some(cpus(-1.0)),
            "resources.cpus: -1.0 is negative",
        ),
        (
            |shape| shape.resources = Some(cpus(f64::INFINITY)),
            "resources.cpus: inf is not a quantity",
        ),
        (
            |shape| shape.resources = Some(ports()),
            "resources.ports: must be a scalar",
        ),
        (
            |shape| shape.resources = Some(reserved(cpus(1.0))),
            "resources: must be neither reserved nor revocable nor a volume",
        ),
        (
            |shape| shape.n_ports = 65_537,
            "n_ports: 65537 ports, at most 65536 are allowed",
        ),
        (
            |shape| shape.max_per_agent = Some(0),
            "max_per_agent: is 0: no agent could run a task",
        ),
        (
            |shape| shape.agent_id = "a/1".into(),
            "agent_id: agent id `a/1` must not contain `/`",
        ),
        (
            |shape| shape.resumes = true,
            "resumes: needs the agent on which tasks are suspended",
        ),
        (
            |shape| (shape.resumes, shape.agent_id, shape.n_ports) = (true, "a1".into(), 1),
            "resumes: is for cpus alone, without ports or a gang: a suspended task has the rest",
        ),
        (|shape| shape.placement = 9, "placement: 9 is not a known value"),
        (
            |shape| (shape.gang_id, shape.count) = (Some(7), 10_001),
            "count: 10001 tasks in gang 7, at most 10000 are allowed",
        ),
        (
            |shape| shape.constraints = Some(groups(vec![vec![]])),
            "constraints.groups[0].constraints: is empty",
        ),
    ];
    for (change, error) in cases {
        assert_eq!(bad(change), format!("demand.statement.shapes[1].{error}"));
    }
    assert_eq!(
        demand((0..1001).map(shape).collect()).unwrap_err().to_string(),
        "demand.statement.shapes: 1001 shapes, at most 1000 are allowed"
    );
}

#[test]
fn a_gang_is_bounded_over_all_of_its_shapes() {
    let part = |id| v1::Shape {
        gang_id: Some(7),
        count: 5001,
        ..shape(id)
    };
    assert_eq!(
        demand(vec![part(1), part(2)]).unwrap_err().to_string(),
        "demand.statement.shapes[1].count: 10002 tasks in gang 7, at most 10000 are allowed"
    );
}

fn task(id: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        task_id: id.into(),
        agent_id: "a1".into(),
        resources: Some(cpus(1.0)),
        container: Some(v1::ContainerSpec {
            command: vec!["true".into()],
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn a_limit_is_no_less_than_the_request_and_may_be_infinite() {
    let limited = |cpus, mem| v1::TaskInfo {
        limits: Some(v1::TaskLimits { cpus, mem }),
        ..task("t1")
    };
    let cases = [
        (f64::NAN, "NaN is not a quantity"),
        (f64::NEG_INFINITY, "-inf is not a quantity"),
        (-1.0, "-1.0 is negative"),
        (1e300, "1e300 is too large"),
        (0.5, "0.5 is less than the 1 that the task asks for"),
    ];
    for (cpus, error) in cases {
        let refused = refusal::<TaskInfo>(limited(Some(cpus), None));
        assert_eq!(refused, format!("limits.cpus: {error}"));
    }
    let good = TaskInfo::try_from(limited(Some(f64::INFINITY), Some(2.0))).unwrap();
    let expected = Limits {
        cpus: Some(Limit::Infinite),
        mem: Some(Limit::At(2)),
    };
    assert_eq!(good.limits, expected);
}

#[test]
fn a_fault_domain_has_both_names() {
    let info = v1::AgentInfo {
        address: "127.0.0.1:5051".into(),
        domain: Some(v1::FaultDomain {
            region: "eu".into(),
            zone: String::new(),
        }),
        ..Default::default()
    };
    assert_eq!(refusal::<AgentInfo>(info), "domain.zone: is empty");
}

#[test]
fn preferences_are_for_roles_of_the_framework_and_in_scalars() {
    let refused = |role: &str, any_of| {
        let preferences = v1::OfferPreferences {
            min_allocatable: Some(v1::offer_preferences::MinAllocatable { any_of }),
            constraints: None,
        };
        refusal::<FrameworkInfo>(v1::FrameworkInfo {
            roles: vec!["eng".into()],
            preferences: [(role.to_owned(), preferences)].into(),
            ..Default::default()
        })
    };
    assert_eq!(
        refused("ops", vec![]),
        "preferences[ops]: is not one of the framework's roles"
    );
    assert_eq!(
        refused("a//b", vec![]),
        "preferences: role `a//b` has an empty part"
    );
    assert_eq!(
        refused("eng", vec![cpus(1.0), ports()]),
        "preferences[eng].min_allocatable.any_of[1].ports: must be a scalar"
    );
    assert_eq!(
        refused("eng", vec![cpus(1.0); 17]),
        "preferences[eng].min_allocatable.any_of: 17 alternatives, at most 16 are allowed"
    );
}

#[test]
fn a_quota_is_of_scalars_each_named_once() {
    let limited = |items: &[(&str, f64)]| {
        let limit = |(name, value): &(&str, f64)| v1::resource_limits::Limit {
            name: (*name).to_owned(),
            value: *value,
        };
        let items = items.iter().map(limit).collect();
        refusal::<Quota>(v1::Quota {
            limits: Some(v1::ResourceLimits { items }),
            ..Default::default()
        })
    };
    assert_eq!(
        limited(&[("cpus", f64::NAN)]),
        "limits.cpus: NaN is not a quantity"
    );
    assert_eq!(
        limited(&[("cpus", f64::INFINITY)]),
        "limits.cpus: inf is not a quantity"
    );
    assert_eq!(limited(&[("mem", -1.0)]), "limits.mem: -1.0 is negative");
    assert_eq!(
        limited(&[("ports", 1.0)]),
        "limits.ports: are ranges; only scalars can be limited"
    );
    assert_eq!(
        limited(&[("gpus", 1.0), ("gpus", 2.0)]),
        "limits.gpus: is given twice"
    );
    assert_eq!(
        limited(&[("a b", 1.0)]),
        "limits.items[0].name: resource name `a b` must be 1 to 63 letters, digits, `_`, `-` or `.`"
    );
    assert_eq!(
        limited(&[("cpus", 1.0); 65]),
        "limits: 65 limits, at most 64 are allowed"
    );
    let guaranteed = v1::Quota {
        guarantee: Some(ports()),
        ..Default::default()
    };
    assert_eq!(refusal::<Quota>(guaranteed), "guarantee.ports: must be a scalar");
}

fn accept(operations: Vec<v1::Operation>) -> Result<(usize, Vec<RefusedTask>), ConvertError> {
    let accept = v1::scheduler_call::Accept {
        operations,
        ..Default::default()
    };
    let call = Some(v1::scheduler_call::Call::Accept(accept));
    let Call::Accept {
        operations, refused, ..
    } = Call::try_from(v1::SchedulerCall { call })?
    else {
        panic!("an accept becomes something else");
    };
    Ok((operations.len(), refused))
}

fn group(tasks: Vec<v1::TaskInfo>) -> v1::Operation {
    let group = v1::operation::LaunchGroup { tasks };
    v1::Operation {
        operation: Some(v1::operation::Operation::LaunchGroup(group)),
        ..Default::default()
    }
}

fn bad(id: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        container: None,
        ..task(id)
    }
}

#[test]
fn a_bad_task_takes_its_group_along_and_nothing_else() {
    let (n_operations, refused) =
        accept(vec![group(vec![task("t1"), bad("t2")]), group(vec![task("t3")])]).unwrap();
    assert_eq!(n_operations, 1);
    let told = refused
        .iter()
        .map(|task| (task.id.as_str(), task.reason, task.message.as_str()));
    let why = "task `t2` of the group is invalid: container: is missing";
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("t1", StatusReason::TaskGroupInvalid, why),
            ("t2", StatusReason::TaskGroupInvalid, why)
        ]
    );
}

#[test]
fn a_group_is_bounded_and_its_tasks_can_be_named() {
    let tasks = |n: usize| (0..n).map(|n| task(&format!("t{n}"))).collect::<Vec<_>>();
    let (n_operations, refused) = accept(vec![group(tasks(MAX_GROUP_TASKS + 1))]).unwrap();
    assert_eq!((n_operations, refused.len()), (0, MAX_GROUP_TASKS + 1));
    assert_eq!(
        refused[0].message,
        "the group has 257 tasks, at most 256 are allowed"
    );

    let large = |id: &str| v1::TaskInfo {
        labels: [("a".into(), "x".repeat(60_000))].into(),
        ..task(id)
    };
    let large = (0..60).map(|n| large(&format!("t{n}"))).collect();
    let (_, refused) = accept(vec![group(large)]).unwrap();
    let why = &refused[0].message;
    assert!(why.ends_with("bytes, at most 3145728 are allowed"), "{why}");

    assert_eq!(
        accept(vec![group(vec![task("t1"), bad("a/b")])])
            .unwrap_err()
            .to_string(),
        "accept.operations[0].launch_group.tasks[1].task_id: task id `a/b` must not contain `/`"
    );
    let error = accept(vec![group(tasks(1001))]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "accept.operations[0].launch_group.tasks: the group has 1001 tasks, at most 256 are allowed"
    );
}

#[test]
fn an_operation_says_what_it_does_and_only_a_change_has_an_id() {
    let nothing = v1::Operation::default();
    assert_eq!(
        accept(vec![nothing]).unwrap_err().to_string(),
        "accept.operations[0].operation: is missing"
    );
    let launch = v1::Operation {
        operation_id: "o1".into(),
        ..group(vec![task("t1")])
    };
    assert_eq!(
        accept(vec![launch]).unwrap_err().to_string(),
        "accept.operations[0].operation_id: is given to a launch or a resumption, which its tasks answer for"
    );
    let destroy = v1::resource_change::Destroy {
        volume_id: "v1".into(),
    };
    let change = v1::Operation {
        operation_id: "a/b".into(),
        operation: Some(v1::operation::Operation::Destroy(destroy)),
    };
    assert_eq!(
        accept(vec![change]).unwrap_err().to_string(),
        "accept.operations[0].operation_id: operation id `a/b` must not contain `/`"
    );
}

#[test]
fn a_change_names_what_it_changes() {
    use v1::resource_change::{Change, Create, Destroy, Reserve};
    let refused = |change| refusal::<ResourceChange>(v1::ResourceChange { change });
    assert_eq!(refused(None), "change: is missing");
    let reserve = |role: Option<&str>| {
        Some(Change::Reserve(Reserve {
            resources: Some(cpus(1.0)),
            reservation: role.map(|role| v1::Reservation {
                role: role.to_owned(),
                ..Default::default()
            }),
        }))
    };
    assert_eq!(refused(reserve(None)), "reserve.reservation: is missing");
    assert_eq!(
        refused(reserve(Some("*"))),
        "reserve.reservation.role: nothing can be reserved to role `*`"
    );
    let create = Change::Create(Create {
        disk: Some(cpus(f64::NAN)),
        volume: None,
    });
    assert_eq!(refused(Some(create)), "create.disk.cpus: NaN is not a quantity");
    let create = Change::Create(Create::default());
    assert_eq!(refused(Some(create)), "create.volume: is missing");
    assert_eq!(
        refused(Some(Change::Destroy(Destroy::default()))),
        "destroy.volume_id: volume id is empty"
    );
}

#[test]
fn an_operation_status_of_an_unknown_kind_is_refused() {
    let status = |state, uuid: &[u8]| v1::OperationStatus {
        operation_id: "o1".into(),
        state,
        uuid: uuid.to_vec(),
        ..Default::default()
    };
    assert_eq!(
        refusal::<OperationStatus>(status(0, &[])),
        "state: 0 is not a known value"
    );
    assert_eq!(
        refusal::<OperationStatus>(status(8, &[])),
        "state: 8 is not a known value"
    );
    assert_eq!(
        refusal::<OperationStatus>(status(1, &[1])),
        "uuid: has 1 bytes, not 16"
    );
}

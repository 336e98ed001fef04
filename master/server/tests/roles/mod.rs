//! Roles as operators set, list and measure them.

use std::sync::Arc;

use proffer_store::{Batch, Memory, Store as _};
use proffer_wire::v1;
use prost::Message as _;
use tonic::Code;

use crate::harness::{Agent, Running, framework_info, resources, start};

fn set(role: &str) -> v1::SetRoleRequest {
    v1::SetRoleRequest {
        role: role.to_owned(),
        ..Default::default()
    }
}

fn limits(name: &str, value: f64) -> Option<v1::ResourceLimits> {
    let name = name.to_owned();
    let limit = v1::resource_limits::Limit { name, value };
    Some(v1::ResourceLimits { items: vec![limit] })
}

async fn role(master: &Running, name: &str) -> v1::list_roles_response::Role {
    let answer = master.operator().await.list_roles(v1::ListRolesRequest {}).await;
    let mut roles = answer.unwrap().into_inner().roles;
    roles.retain(|role| role.name == name);
    roles.pop().unwrap()
}

#[tokio::test]
async fn what_is_set_of_a_role_joins_what_was_set_before_and_survives_a_restart() {
    let store = Arc::new(Memory::new());
    let master = start(&store).await;
    let mut operator = master.operator().await;
    let guarantee = Some(resources(2.0, 1e9));
    let settings = [
        v1::SetRoleRequest {
            weight: Some(2.5),
            ..set("eng")
        },
        v1::SetRoleRequest {
            priority: Some(-3),
            guarantee: guarantee.clone(),
            force: true,
            ..set("eng")
        },
        v1::SetRoleRequest {
            limits: limits("cpus", 4.0),
            ..set("eng")
        },
    ];
    for setting in settings {
        operator.set_role(setting).await.unwrap();
    }
    master.stop().await;

    let master = start(&store).await;
    let eng = role(&master, "eng").await;
    assert_eq!((eng.weight, eng.priority), (2.5, -3));
    let quota = v1::Quota {
        guarantee,
        limits: limits("cpus", 4.0),
    };
    assert_eq!(eng.quota, Some(quota));
    let (_, metrics) = master.page("/metrics").await;
    for line in [
        r#"proffer_master_role_dominant_share{role="eng"} 0.0"#,
        r#"proffer_master_role_quota_guarantee{role="eng",resource="cpus"} 2.0"#,
        r#"proffer_master_role_quota_limit{role="eng",resource="cpus"} 4.0"#,
    ] {
        assert!(metrics.contains(line), "no `{line}`:\n{metrics}");
    }
    master.stop().await;
}

#[tokio::test]
async fn a_role_recorded_before_there_was_quota_is_read() {
    let store = Arc::new(Memory::new());
    let old = v1::RegistryRole {
        role: "eng".to_owned(),
        weight_millis: 2500,
        ..Default::default()
    };
    let batch = Batch::new().put("roles/eng", old.encode_to_vec());
    store.commit(batch).await.unwrap();
    let master = start(&store).await;
    let eng = role(&master, "eng").await;
    assert_eq!((eng.weight, eng.priority), (2.5, 0));
    assert_eq!(
        eng.quota,
        Some(v1::Quota {
            guarantee: Some(v1::Resources::default()),
            limits: Some(v1::ResourceLimits::default())
        })
    );
    master.stop().await;
}

#[tokio::test]
async fn a_quota_that_cannot_be_is_refused_by_field_and_one_that_should_not_be_asks_for_force() {
    let master = start(&Arc::new(Memory::new())).await;
    let mut operator = master.operator().await;
    let negative = v1::SetRoleRequest {
        limits: limits("cpus", -1.0),
        ..set("eng")
    };
    let refused = operator.set_role(negative).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "limits.cpus: -1.0 is negative");
    let beyond = v1::SetRoleRequest {
        guarantee: Some(resources(1000.0, 1e9)),
        ..set("eng")
    };
    let refused = operator.set_role(beyond.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("force"), "{refused:?}");
    let forced = v1::SetRoleRequest {
        force: true,
        ..beyond
    };
    operator.set_role(forced).await.unwrap();
    master.stop().await;
}

#[tokio::test]
async fn why_a_framework_waits_is_answered_in_parts() {
    let master = start(&Arc::new(Memory::new())).await;
    let mut operator = master.operator().await;
    let none = v1::SetRoleRequest {
        limits: limits("cpus", 0.0),
        ..set("eng")
    };
    operator.set_role(none).await.unwrap();
    let mut agent = master.agent(resources(4.0, 0.0)).await;
    agent.next(|_| Some(())).await.unwrap();
    let mut info = framework_info();
    info.roles = vec!["eng/web".to_owned()];
    let mut framework = master.framework(info).await;
    let framework_id = framework.subscribed().await.framework_id;

    let request = v1::ExplainFrameworkRequest { framework_id };
    let answer = operator.explain_framework(request).await.unwrap().into_inner();
    assert_eq!(answer.parts.len(), 1, "{answer:?}");
    let part = &answer.parts[0];
    assert_eq!(part.wanted, "offers in role eng/web");
    let reasons: Vec<_> = part
        .reasons
        .iter()
        .map(|counted| (counted.reason.as_str(), counted.count, counted.role.as_str()))
        .collect();
    let limit = "the limit of role eng on cpus leaves none, on 1 agent";
    assert_eq!(reasons, [(limit, 1, "eng")]);
    let unknown = v1::ExplainFrameworkRequest {
        framework_id: "nobody".to_owned(),
    };
    let refused = operator.explain_framework(unknown).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::NotFound, "no framework `nobody`")
    );
    master.stop().await;
}

#[tokio::test]
async fn what_an_operator_reserves_goes_to_the_agent_and_is_listed_as_consumed() {
    let master = start(&Arc::new(Memory::new())).await;
    let mut operator = master.operator().await;
    let mut agent = master.agent(resources(4.0, 1e9)).await;
    let agent_id = agent
        .next(|message| {
            if let v1::master_message::Message::Registered(registered) = message {
                return Some(registered.agent_id);
            }
            None
        })
        .await
        .unwrap();
    let mut reserved = resources(1.0, 0.0);
    reserved.items.truncate(1);
    let plain = v1::ReserveRequest {
        agent_id: agent_id.clone(),
        resources: Some(reserved.clone()),
    };
    let refused = operator.reserve(plain).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    reserved.items[0].reservations.push(v1::Reservation {
        role: "eng".to_owned(),
        ..Default::default()
    });
    let request = v1::ReserveRequest {
        agent_id: agent_id.clone(),
        resources: Some(reserved.clone()),
    };
    let (answered, applied) = tokio::join!(operator.reserve(request.clone()), apply(&mut agent, true));
    answered.unwrap();
    let Some(v1::resource_change::Change::Reserve(reserve)) = applied.change.and_then(|change| change.change)
    else {
        panic!("not a reservation")
    };
    assert_eq!(reserve.reservation.unwrap().role, "eng");
    let consumed = role(&master, "eng").await.consumed.unwrap();
    assert_eq!(consumed.items[0].value, reserved.items[0].value);

    let back = v1::UnreserveRequest {
        agent_id,
        resources: Some(reserved),
    };
    let (answered, _) = tokio::join!(operator.unreserve(back.clone()), apply(&mut agent, true));
    answered.unwrap();
    let refused = operator.unreserve(back).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");

    // The agent decides.
    let (answered, _) = tokio::join!(operator.reserve(request), apply(&mut agent, false));
    let refused = answered.unwrap_err();
    assert!(refused.message().contains("disk full"), "{refused:?}");
    master.stop().await;
}

/// Has an agent carry out the next operation, or fail to.
async fn apply(agent: &mut Agent, is_able: bool) -> v1::master_message::ApplyOperation {
    let applied = agent
        .next(|message| {
            if let v1::master_message::Message::ApplyOperation(operation) = message {
                return Some(operation);
            }
            None
        })
        .await
        .unwrap();
    let state = match is_able {
        true => v1::OperationState::OperationFinished,
        false => v1::OperationState::OperationFailed,
    };
    let status = v1::OperationStatus {
        operation_id: applied.operation_id.clone(),
        state: state.into(),
        message: "disk full".to_owned(),
        uuid: vec![7; 16],
        ..Default::default()
    };
    let update = v1::agent_message::OperationUpdate {
        framework_id: applied.framework_id.clone(),
        status: Some(status),
    };
    agent
        .say(v1::agent_message::Message::OperationUpdate(update))
        .await;
    applied
}

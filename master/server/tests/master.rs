//! A whole master over loopback: what its peers see of it, in good times and bad.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

mod backup;
mod election;
mod harness;
mod listing;
mod roles;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use harness::{PATIENCE, Running, config, framework_info, resources, start};
use proffer_grpc::v1::agent_client::AgentClient;
use proffer_grpc::v1::agent_server::{Agent, AgentServer};
use proffer_master::{MasterError, run};
use proffer_store::{Fault, Memory};
use proffer_wire::v1;
use proffer_wire::v1::scheduler_call::Call;
use proffer_wire::v1::scheduler_event::Event;
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

fn task(offer: &v1::Offer) -> v1::TaskInfo {
    v1::TaskInfo {
        task_id: "t1".into(),
        agent_id: offer.agent_id.clone(),
        resources: Some(resources(1.0, 1e6)),
        container: Some(v1::ContainerSpec {
            command: vec!["true".into()],
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn launch(offer: &v1::Offer, tasks: Vec<v1::TaskInfo>) -> Call {
    let launch = v1::operation::Launch { tasks };
    Call::Accept(v1::scheduler_call::Accept {
        offer_ids: vec![offer.offer_id.clone()],
        operations: vec![v1::Operation {
            operation: Some(v1::operation::Operation::Launch(launch)),
            ..Default::default()
        }],
        filters: None,
    })
}

fn offer(event: Event) -> Option<v1::Offer> {
    if let Event::Offers(mut offers) = event {
        return offers.offers.pop();
    }
    None
}

fn update(event: Event) -> Option<v1::TaskStatus> {
    if let Event::Update(status) = event {
        return Some(status);
    }
    None
}

#[tokio::test]
async fn a_person_is_answered_though_nothing_that_serves_links_gets_to_run() {
    let master = start(&Arc::new(Memory::new())).await;
    master.until_ready().await;
    // The links, and the core, are served by the thread that waits here.
    let mut stream = std::net::TcpStream::connect(master.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = b"GET /readyz HTTP/1.1\r\nhost: master\r\nconnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    master.stop().await;
}

#[tokio::test]
async fn a_task_goes_the_whole_round() {
    use v1::master_message::Message;
    let master = start(&Arc::new(Memory::new())).await;
    let mut framework = master.framework(framework_info()).await;
    framework.subscribed().await;
    let mut agent = master.agent(resources(4.0, 4e9)).await;
    let offer = framework.next(offer).await.unwrap();
    assert_eq!(offer.hostname, "host");
    framework.call(launch(&offer, vec![task(&offer)])).await;
    let run = agent
        .next(|message| {
            if let Message::RunTask(run) = message {
                return Some(run);
            }
            None
        })
        .await
        .unwrap();
    assert_eq!(run.task_info, Some(task_as_sent(&offer)));
    assert_eq!(run.role, offer.role);

    let status = v1::TaskStatus {
        task_id: "t1".into(),
        agent_id: offer.agent_id.clone(),
        state: v1::TaskState::TaskFinished.into(),
        source: v1::StatusSource::SourceAgent.into(),
        timestamp_ms: 1,
        uuid: vec![7; 16],
        ..Default::default()
    };
    let report = v1::agent_message::Status {
        framework_id: run.framework_id,
        status: Some(status.clone()),
        latest_state: status.state,
        latest_suspension: 0,
    };
    agent.say(v1::agent_message::Message::Status(report)).await;
    assert_eq!(framework.next(update).await.unwrap(), status);
    framework
        .call(Call::Acknowledge(v1::scheduler_call::Acknowledge {
            agent_id: offer.agent_id.clone(),
            task_id: "t1".into(),
            uuid: vec![7; 16],
        }))
        .await;
    let acknowledged = agent
        .next(|message| {
            if let Message::AcknowledgeStatus(acknowledged) = message {
                return Some(acknowledged.uuid);
            }
            None
        })
        .await;
    assert_eq!(acknowledged.unwrap(), vec![7; 16]);

    let request = v1::ListTasksRequest {
        include_completed: true,
        ..Default::default()
    };
    let tasks = master
        .operator()
        .await
        .list_tasks(request)
        .await
        .unwrap()
        .into_inner()
        .tasks;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].agent_address, "127.0.0.1:5051");
    let metrics = master.page("/metrics").await.1;
    for line in [
        "proffer_master_agents{state=\"active\"} 1",
        "proffer_master_tasks_launched_total 1",
        "proffer_master_status_updates_total{state=\"FINISHED\"} 1",
        "proffer_master_registry_commits_total{result=\"ok\"}",
        "proffer_master_allocation_duration_seconds_count",
        "proffer_master_allocation_pairs_total ",
        "proffer_master_offer_filters_active 1",
        "proffer_master_role_dominant_share{role=\"*\"} ",
        "proffer_master_link_messages_total{link=\"agent\",direction=\"in\"} ",
        "proffer_master_link_messages_total{link=\"scheduler\",direction=\"out\"} ",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let nothing_examined = "proffer_master_allocation_pairs_total 0\n";
    assert!(
        !metrics.contains(nothing_examined),
        "an offer was made without a look"
    );
    master.stop().await;
}

/// The task with what the wire fills in.
fn task_as_sent(offer: &v1::Offer) -> v1::TaskInfo {
    v1::TaskInfo {
        kill_policy: Some(v1::KillPolicy::default()),
        ..task(offer)
    }
}

#[tokio::test]
async fn a_hostile_message_ends_its_own_stream_with_the_reason_and_nothing_else() {
    let master = start(&Arc::new(Memory::new())).await;
    let _agent = master.agent(resources(4.0, 4e9)).await;
    type Change = fn(&mut v1::TaskInfo);
    let changes: [(Change, Code, &str); 2] = [
        (
            |task| task.task_id = "a/b".into(),
            Code::InvalidArgument,
            "calls[0].accept.operations[0].launch.tasks[0].task_id: task id `a/b` must not contain `/`",
        ),
        (
            |task| task.labels = [("label".into(), "x".repeat(5 << 20))].into(),
            Code::ResourceExhausted,
            "4194304 bytes",
        ),
    ];
    for (change, code, says) in changes {
        let mut framework = master.framework(framework_info()).await;
        framework.subscribed().await;
        let offer = framework.next(offer).await.unwrap();
        let mut bad = task(&offer);
        change(&mut bad);
        framework.call(launch(&offer, vec![bad])).await;
        let status = framework.end().await;
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(says), "{status:?}");
    }
    let tasks = master
        .operator()
        .await
        .list_tasks(v1::ListTasksRequest::default())
        .await
        .unwrap();
    assert!(tasks.into_inner().tasks.is_empty());
    master.stop().await;
}

#[tokio::test]
async fn a_task_with_a_wrong_description_ends_as_an_error_and_its_scheduler_goes_on() {
    let master = start(&Arc::new(Memory::new())).await;
    let _agent = master.agent(resources(4.0, 4e9)).await;
    let mut framework = master.framework(framework_info()).await;
    framework.subscribed().await;
    let offer = framework.next(offer).await.unwrap();
    let mut bad = task(&offer);
    bad.resources = Some(resources(f64::NAN, 1.0));
    framework.call(launch(&offer, vec![bad])).await;
    let status = framework.next(update).await.unwrap();
    assert_eq!(status.state(), v1::TaskState::TaskError);
    assert_eq!(status.reason(), v1::StatusReason::ReasonTaskInvalid);
    assert_eq!(status.message, "resources.cpus: NaN is not a quantity");
    master.stop().await;
}

#[tokio::test]
async fn bad_requests_of_operators_name_the_field() {
    let master = start(&Arc::new(Memory::new())).await;
    let mut operator = master.operator().await;
    let weight = |role: &str, weight| v1::SetRoleRequest {
        role: role.into(),
        weight: Some(weight),
        ..Default::default()
    };
    let refused = operator.set_role(weight("eng", f64::NAN)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(
        refused.message(),
        "weight: NaN is not a weight from 0.001 to 1000000"
    );
    let refused = operator.set_role(weight("a//b", 1.0)).await.unwrap_err();
    assert!(refused.message().starts_with("role: "), "{refused:?}");
    let refused = operator
        .set_role(weight(&"x".repeat(5 << 20), 1.0))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let unknown = v1::TeardownFrameworkRequest {
        framework_id: "nobody".into(),
    };
    let refused = operator.teardown_framework(unknown).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(refused.message(), "no framework `nobody`");
    master.stop().await;
}

#[tokio::test]
async fn a_failed_commit_is_told_to_nobody_and_the_master_recovers_in_place() {
    let store = Arc::new(Memory::new());
    let master = start(&store).await;
    let mut framework = master.framework(framework_info()).await;
    let before = framework.subscribed().await;
    store.fail_commit(1, Fault::Before);
    let mut operator = master.operator().await;
    let request = v1::SetRoleRequest {
        role: "eng".into(),
        weight: Some(2.0),
        ..Default::default()
    };
    let refused = operator.set_role(request.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let ended = framework.end().await;
    assert_eq!(ended.code(), Code::Unavailable);
    assert!(ended.message().contains("injected fault"), "{ended:?}");

    master.until_ready().await;
    let roles = operator
        .list_roles(v1::ListRolesRequest {})
        .await
        .unwrap()
        .into_inner()
        .roles;
    assert!(roles.iter().all(|role| role.name != "eng"), "{roles:?}");
    operator.set_role(request).await.unwrap();
    let mut info = framework_info();
    info.framework_id = before.framework_id.clone();
    let mut framework = master.framework(info).await;
    let after = framework.subscribed().await;
    assert_eq!(after.framework_id, before.framework_id);
    assert_ne!(after.master_id, before.master_id);
    master.stop().await;
}

#[tokio::test]
async fn ids_and_weights_survive_a_restart() {
    let store = Arc::new(Memory::new());
    let master = start(&store).await;
    let mut framework = master.framework(framework_info()).await;
    let before = framework.subscribed().await;
    let request = v1::SetRoleRequest {
        role: "eng".into(),
        weight: Some(2.5),
        ..Default::default()
    };
    master.operator().await.set_role(request).await.unwrap();
    master.stop().await;
    assert_eq!(framework.end().await.code(), Code::Unavailable);

    let master = start(&store).await;
    let mut operator = master.operator().await;
    let frameworks = operator
        .list_frameworks(v1::ListFrameworksRequest {})
        .await
        .unwrap();
    let frameworks = frameworks.into_inner().frameworks;
    assert_eq!(frameworks[0].framework_id, before.framework_id);
    assert_eq!(frameworks[0].state(), v1::FrameworkState::FrameworkRecovered);
    let roles = operator
        .list_roles(v1::ListRolesRequest {})
        .await
        .unwrap()
        .into_inner()
        .roles;
    assert!(
        roles.iter().any(|role| role.name == "eng" && role.weight == 2.5),
        "{roles:?}"
    );
    master.stop().await;
}

#[tokio::test]
async fn a_master_that_was_overtaken_writes_nothing_and_ends() {
    let store = Arc::new(Memory::new());
    let first = start(&store).await;
    let second = start(&store).await;
    let request = v1::SetRoleRequest {
        role: "eng".into(),
        weight: Some(2.0),
        ..Default::default()
    };
    let refused = first.operator().await.set_role(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let ended = tokio::time::timeout(harness::PATIENCE, first.ended)
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(ended, Err(MasterError::Deposed { ours: 1, found: 2 })),
        "{ended:?}"
    );
    let roles = second
        .operator()
        .await
        .list_roles(v1::ListRolesRequest {})
        .await
        .unwrap();
    assert!(roles.into_inner().roles.iter().all(|role| role.name != "eng"));
    second.stop().await;
}

/// Serves `proffer.v1.Agent`, which the master itself does not.
struct Logs;

#[tonic::async_trait]
impl Agent for Logs {
    type ReadLogStream = ReceiverStream<Result<v1::LogChunk, Status>>;

    async fn read_log(
        &self,
        request: Request<v1::ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        let metadata = request.metadata().get("token").cloned();
        let (chunks, queue) = tokio::sync::mpsc::channel(4);
        let n_chunks = request.into_inner().offset;
        tokio::spawn(async move {
            for offset in 0..n_chunks {
                let data = metadata
                    .as_ref()
                    .map(|token| token.as_bytes().to_vec())
                    .unwrap_or_default();
                if chunks.send(Ok(v1::LogChunk { offset, data })).await.is_err() {
                    return;
                }
            }
            let _ = chunks.send(Err(Status::data_loss("the end, in a trailer"))).await;
        });
        Ok(Response::new(ReceiverStream::new(queue)))
    }
}

async fn serve_logs() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder().add_service(AgentServer::new(Logs));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

async fn read_logs(master: &Running) -> Result<(Vec<v1::LogChunk>, Status), Status> {
    let mut request = Request::new(v1::ReadLogRequest {
        offset: 3,
        ..Default::default()
    });
    request.metadata_mut().insert("token", "secret".parse().unwrap());
    let mut client = AgentClient::new(master.channel().await);
    let mut stream = client.read_log(request).await?.into_inner();
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => chunks.push(chunk),
            Err(status) => return Ok((chunks, status)),
        }
    }
    Ok((chunks, Status::ok("")))
}

#[tokio::test]
async fn calls_of_an_advertised_service_are_passed_on_while_its_framework_is_connected() {
    let master = start(&Arc::new(Memory::new())).await;
    let refused = read_logs(&master).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(
        refused
            .message()
            .contains("no connected framework serves `proffer.v1.Agent`"),
        "{refused:?}"
    );

    let mut info = framework_info();
    info.services.push(v1::AdvertisedService {
        name: "proffer.v1.Agent".into(),
        address: serve_logs().await.to_string(),
    });
    let mut framework = master.framework(info.clone()).await;
    info.framework_id = framework.subscribed().await.framework_id;
    let (chunks, status) = read_logs(&master).await.unwrap();
    assert_eq!(chunks.len(), 3);
    assert!(chunks.iter().all(|chunk| chunk.data == b"secret"));
    assert_eq!(
        (status.code(), status.message()),
        (Code::DataLoss, "the end, in a trailer")
    );

    // An instance that is not there: a port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    info.services[0].address = free.to_string();
    let mut moved = master.framework(info).await;
    moved.subscribed().await;
    let refused = read_logs(&master).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains(&free.to_string()), "{refused:?}");
    master.stop().await;
}

#[tokio::test]
async fn one_port_serves_pages_health_and_reflection() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let master = start(&Arc::new(Memory::new())).await;
    assert!(master.page("/").await.1.contains("/metrics"));
    assert!(master.page("/healthz").await.0.contains("200"));
    assert!(master.page("/nothing").await.0.contains("404"));
    let health = HealthClient::new(master.channel().await)
        .check(HealthCheckRequest::default())
        .await
        .unwrap();
    assert_eq!(health.into_inner().status, 1);

    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(master.channel().await)
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(listed)) = answer else {
        panic!("{answer:?}");
    };
    let names: Vec<_> = listed
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    for name in ["proffer.v1.Operator", "proffer.v1.Jobs", "proffer.v1.Services"] {
        assert!(names.contains(&name), "{names:?}");
    }
    master.stop().await;
}

#[tokio::test]
async fn a_master_that_cannot_listen_says_why() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let attempt = |listen: SocketAddr| {
        let config = proffer_master::Config {
            listen,
            ..config(None)
        };
        let allocator = || proffer_allocator::by_name("drf").unwrap();
        run(
            config,
            Box::new(allocator),
            Arc::new(Memory::new()),
            CancellationToken::new(),
        )
    };
    let refused = attempt(taken.local_addr().unwrap()).await.unwrap_err();
    assert!(
        refused.to_string().contains("is another program using it?"),
        "{refused}"
    );
    let refused = attempt("0.0.0.0:0".parse().unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("--insecure-listen"), "{refused}");
}

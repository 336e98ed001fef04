//! The service framework's API, between a client and a master that only takes the subscription.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;

use proffer_grpc::v1::scheduler_server::{Scheduler, SchedulerServer};
use proffer_grpc::v1::services_client::ServicesClient;
use proffer_sdk::CancellationToken;
use proffer_sdk::store::{Memory, Store};
use proffer_sdk::{DaemonConfig, DaemonError};
use proffer_service::{Settings, run};
use proffer_wire::v1;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status, Streaming};

/// Tells where the subscriber's advertised service is, and stays silent.
struct SilentMaster {
    advertised: mpsc::UnboundedSender<v1::AdvertisedService>,
}

#[tonic::async_trait]
impl Scheduler for SilentMaster {
    type SubscribeStream = tokio_stream::Pending<Result<v1::SchedulerEvents, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<v1::SchedulerCalls>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let first = request.into_inner().message().await?.unwrap_or_default();
        let Some(v1::scheduler_call::Call::Subscribe(subscribe)) = first.calls[0].call.clone() else {
            return Err(Status::invalid_argument("the first call must be Subscribe"));
        };
        for service in subscribe.framework_info.unwrap_or_default().services {
            let _ = self.advertised.send(service);
        }
        Ok(Response::new(tokio_stream::pending()))
    }
}

struct Fixture {
    master: String,
    advertised: mpsc::UnboundedReceiver<v1::AdvertisedService>,
    store: Arc<dyn Store>,
}

impl Fixture {
    fn new() -> Self {
        let (sender, advertised) = mpsc::unbounded_channel();
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let master = incoming.local_addr().unwrap().to_string();
        let service = SchedulerServer::new(SilentMaster { advertised: sender });
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        Self {
            master,
            advertised,
            store: Arc::new(Memory::default()),
        }
    }

    async fn start(&mut self) -> Framework {
        let shutdown = CancellationToken::new();
        let config = DaemonConfig::new(vec![self.master.clone()], "service");
        let daemon = tokio::spawn(run(
            config,
            Settings::default(),
            Arc::clone(&self.store),
            shutdown.clone(),
        ));
        let service = self.advertised.recv().await.unwrap();
        assert_eq!(service.name, "proffer.v1.Services");
        let discovery = self.advertised.recv().await.unwrap();
        assert_eq!(discovery.name, "proffer.v1.Discovery");
        let configs = self.advertised.recv().await.unwrap();
        assert_eq!(configs.name, "proffer.v1.Configs");
        let client = ServicesClient::connect(format!("http://{}", service.address)).await;
        Framework {
            client: client.unwrap(),
            shutdown,
            daemon,
        }
    }
}

struct Framework {
    client: ServicesClient<Channel>,
    shutdown: CancellationToken,
    daemon: JoinHandle<Result<(), DaemonError>>,
}

impl Framework {
    async fn stop(self) {
        self.shutdown.cancel();
        self.daemon.await.unwrap().unwrap();
    }
}

fn apply(cpus: f64) -> v1::ApplyServiceRequest {
    let scalar = |name: &str, value| v1::Resource {
        name: name.to_owned(),
        value: Some(v1::resource::Value::Scalar(value)),
        ..Default::default()
    };
    let task = v1::ServiceTask {
        resources: Some(v1::Resources {
            items: vec![scalar("cpus", cpus), scalar("mem", 64.0 * 1024.0 * 1024.0)],
        }),
        container: Some(v1::ContainerSpec {
            command: vec!["server".to_owned()],
            ..v1::ContainerSpec::default()
        }),
        ..v1::ServiceTask::default()
    };
    let spec = v1::ServiceSpec {
        name: "web".to_owned(),
        role: String::new(),
        replicas: 2,
        task: Some(task),
        ..v1::ServiceSpec::default()
    };
    v1::ApplyServiceRequest {
        spec: Some(spec),
        with_configs: Vec::new(),
    }
}

#[tokio::test]
async fn an_answered_change_outlives_a_restart() {
    let mut fixture = Fixture::new();
    let mut framework = fixture.start().await;
    let applied = framework
        .client
        .apply_service(apply(0.5))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((applied.created, applied.version), (true, 1));
    framework.stop().await;

    let mut framework = fixture.start().await;
    let request = v1::GetServiceRequest {
        name: "web".to_owned(),
    };
    let view = framework.client.get_service(request).await.unwrap().into_inner();
    assert_eq!(view.replicas.len(), 2);
    assert_eq!(view.spec.unwrap().task, {
        let mut task = apply(0.5).spec.unwrap().task.unwrap();
        task.kill_policy = Some(v1::KillPolicy::default());
        Some(task)
    });
    framework.stop().await;
}

#[tokio::test]
async fn a_wrong_request_is_answered_with_what_is_wrong_and_changes_nothing() {
    let mut fixture = Fixture::new();
    let mut framework = fixture.start().await;
    let client = &mut framework.client;
    let refusal = client.apply_service(apply(f64::NAN)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert!(
        refusal.message().starts_with("spec.task.resources.cpus: "),
        "{refusal}"
    );
    let refusal = client.apply_service(apply(0.0)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert!(
        refusal
            .message()
            .starts_with("service `web` must ask for more than 0 cpus"),
        "{refusal}"
    );
    let scale = v1::ScaleServiceRequest {
        name: "web".to_owned(),
        replicas: 1,
    };
    assert_eq!(
        client.scale_service(scale).await.unwrap_err().code(),
        Code::NotFound
    );
    let list = client
        .list_services(v1::ListServicesRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(list.services.is_empty());
    framework.stop().await;
}

#[tokio::test]
async fn a_listener_off_loopback_is_refused_unless_allowed() {
    let mut config = DaemonConfig::new(vec!["127.0.0.1:1".to_owned()], "service");
    config.listen = "192.0.2.1:0".parse().unwrap();
    let store = Arc::new(Memory::default());
    let ended = run(config, Settings::default(), store, CancellationToken::new()).await;
    assert!(matches!(ended, Err(DaemonError::Listen(_))), "{ended:?}");
}

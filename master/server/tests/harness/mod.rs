//! A master on a free port over a memory store, and peers made of plain streams.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proffer_grpc::v1::agent_link_client::AgentLinkClient;
use proffer_grpc::v1::operator_client::OperatorClient;
use proffer_grpc::v1::scheduler_client::SchedulerClient;
use proffer_master::{Config, MasterError, run};
use proffer_store::{Memory, Standing, Store};
use proffer_wire::v1;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) ended: JoinHandle<Result<(), MasterError>>,
}

pub(crate) fn config(listening: Option<oneshot::Sender<SocketAddr>>) -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        insecure_listen: false,
        core: proffer_master_core::Config::default(),
        store_name: "memory".to_owned(),
        election: None,
        listening,
    }
}

pub(crate) async fn start(store: &Arc<Memory>) -> Running {
    let running = start_with(store, None).await;
    running.until_ready().await;
    running
}

/// A master that may have to be elected first.
pub(crate) async fn start_with(store: &Arc<Memory>, election: Option<Standing>) -> Running {
    let (listening, bound) = oneshot::channel();
    let shutdown = CancellationToken::new();
    let store: Arc<dyn Store> = store.clone();
    let allocator = || proffer_allocator::by_name("drf").unwrap();
    let config = Config {
        election,
        ..config(Some(listening))
    };
    let ended = tokio::spawn(run(config, Box::new(allocator), store, shutdown.clone()));
    Running {
        address: bound.await.unwrap(),
        shutdown,
        ended,
    }
}

impl Running {
    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    pub(crate) async fn operator(&self) -> OperatorClient<Channel> {
        OperatorClient::new(self.channel().await)
    }

    /// Status line and body of a page.
    pub(crate) async fn page(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: master\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    pub(crate) async fn until_ready(&self) {
        let ready = async {
            while !self.page("/readyz").await.0.contains("200") {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.unwrap();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.ended)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    pub(crate) async fn framework(&self, info: v1::FrameworkInfo) -> Framework {
        let (calls, queue) = mpsc::channel(16);
        let subscribe = v1::scheduler_call::Subscribe {
            framework_info: Some(info),
            suppressed_roles: vec![],
            ..Default::default()
        };
        calls
            .send(frame(v1::scheduler_call::Call::Subscribe(subscribe)))
            .await
            .unwrap();
        let mut client = SchedulerClient::new(self.channel().await);
        let events = client
            .subscribe(ReceiverStream::new(queue))
            .await
            .unwrap()
            .into_inner();
        Framework {
            calls,
            events,
            waiting: Vec::new(),
        }
    }

    pub(crate) async fn agent(&self, resources: v1::Resources) -> Agent {
        use v1::agent_message::Message;
        let (frames, queue) = mpsc::channel(16);
        let info = v1::AgentInfo {
            hostname: "host".into(),
            address: "127.0.0.1:5051".into(),
            resources: Some(resources),
            ..Default::default()
        };
        let register = v1::agent_message::Register {
            agent_info: Some(info),
            agent_id: String::new(),
        };
        let done = v1::agent_message::RegisterDone {};
        let messages = [Message::Register(register), Message::RegisterDone(done)];
        let frame = v1::AgentFrame {
            session: 0,
            messages: messages
                .map(|message| v1::AgentMessage {
                    message: Some(message),
                })
                .into(),
        };
        frames.send(frame).await.unwrap();
        let mut client = AgentLinkClient::new(self.channel().await);
        let responses = client
            .register(ReceiverStream::new(queue))
            .await
            .unwrap()
            .into_inner();
        Agent {
            frames,
            responses,
            session: 0,
            waiting: Vec::new(),
        }
    }
}

pub(crate) fn frame(call: v1::scheduler_call::Call) -> v1::SchedulerCalls {
    v1::SchedulerCalls {
        calls: vec![v1::SchedulerCall { call: Some(call) }],
    }
}

pub(crate) struct Framework {
    pub(crate) calls: mpsc::Sender<v1::SchedulerCalls>,
    events: Streaming<v1::SchedulerEvents>,
    waiting: Vec<v1::SchedulerEvent>,
}

impl Framework {
    pub(crate) async fn call(&self, call: v1::scheduler_call::Call) {
        self.calls.send(frame(call)).await.unwrap();
    }

    /// The next event that `pick` wants; others are passed over.
    pub(crate) async fn next<T>(
        &mut self,
        pick: impl Fn(v1::scheduler_event::Event) -> Option<T>,
    ) -> Result<T, Status> {
        loop {
            while !self.waiting.is_empty() {
                let event = self.waiting.remove(0).event.unwrap();
                if let Some(picked) = pick(event) {
                    return Ok(picked);
                }
            }
            let next = tokio::time::timeout(PATIENCE, self.events.message())
                .await
                .unwrap();
            let frame = next?.ok_or_else(|| Status::ok("the stream ended"))?;
            self.waiting.extend(frame.events);
        }
    }

    pub(crate) async fn subscribed(&mut self) -> v1::scheduler_event::Subscribed {
        self.next(|event| {
            if let v1::scheduler_event::Event::Subscribed(subscribed) = event {
                return Some(subscribed);
            }
            None
        })
        .await
        .unwrap()
    }

    /// What the stream ends with.
    pub(crate) async fn end(&mut self) -> Status {
        self.next(|_| None::<()>).await.unwrap_err()
    }
}

pub(crate) struct Agent {
    frames: mpsc::Sender<v1::AgentFrame>,
    responses: Streaming<v1::MasterFrame>,
    session: u64,
    waiting: Vec<v1::MasterMessage>,
}

impl Agent {
    pub(crate) async fn say(&self, message: v1::agent_message::Message) {
        let frame = v1::AgentFrame {
            session: self.session,
            messages: vec![v1::AgentMessage {
                message: Some(message),
            }],
        };
        self.frames.send(frame).await.unwrap();
    }

    pub(crate) async fn next<T>(
        &mut self,
        pick: impl Fn(v1::master_message::Message) -> Option<T>,
    ) -> Result<T, Status> {
        loop {
            while !self.waiting.is_empty() {
                let message = self.waiting.remove(0).message.unwrap();
                if let Some(picked) = pick(message) {
                    return Ok(picked);
                }
            }
            let next = tokio::time::timeout(PATIENCE, self.responses.message())
                .await
                .unwrap();
            let frame = next?.ok_or_else(|| Status::ok("the stream ended"))?;
            self.session = frame.session;
            self.waiting.extend(frame.messages);
        }
    }
}

pub(crate) fn resources(cpus: f64, mem: f64) -> v1::Resources {
    let scalar = |name: &str, scalar| v1::Resource {
        name: name.into(),
        value: Some(v1::resource::Value::Scalar(scalar)),
        ..Default::default()
    };
    v1::Resources {
        items: vec![scalar("cpus", cpus), scalar("mem", mem)],
    }
}

pub(crate) fn framework_info() -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        name: "test".into(),
        roles: vec!["*".into()],
        ..Default::default()
    }
}

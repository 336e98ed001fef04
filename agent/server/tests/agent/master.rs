//! A master that says what the test says.

use std::net::SocketAddr;
use std::time::Duration;

use proffer_grpc::v1::agent_link_server::{AgentLink, AgentLinkServer};
use proffer_types::agent_link::{AgentMessage, MasterMessage};
use proffer_types::{
    AgentId, FrameworkId, GroupId, KillPolicy, MasterId, OperationId, OperationState, ResourceChange, Role,
    Session, TaskId, TaskInfo, TaskStatus,
};
use proffer_wire::agent_link::{Registration, master_frames};
use proffer_wire::v1;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// Longer than anything here takes in a guest on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Master {
    pub(crate) address: SocketAddr,
    streams: mpsc::Receiver<Stream>,
}

/// One stream of the agent, registered.
pub(crate) struct Stream {
    session: Session,
    assembled: Registration,
    from_agent: Streaming<v1::AgentFrame>,
    to_agent: mpsc::Sender<Result<v1::MasterFrame, Status>>,
    waiting: Vec<AgentMessage>,
}

struct Service(mpsc::Sender<Stream>);

#[tonic::async_trait]
impl AgentLink for Service {
    type RegisterStream = ReceiverStream<Result<v1::MasterFrame, Status>>;

    async fn register(
        &self,
        request: Request<Streaming<v1::AgentFrame>>,
    ) -> Result<Response<Self::RegisterStream>, Status> {
        let (to_agent, outgoing) = mpsc::channel(64);
        let stream = Stream {
            session: Session(0),
            assembled: Registration::default(),
            from_agent: request.into_inner(),
            to_agent,
            waiting: Vec::new(),
        };
        self.0.send(stream).await.expect("the test waits");
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

impl Master {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tx, streams) = mpsc::channel(8);
        let serve = tonic::transport::Server::builder()
            .add_service(AgentLinkServer::new(Service(tx)))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serve);
        Self { address, streams }
    }

    /// Waits for a stream, answers its registration and returns it with what was registered.
    pub(crate) async fn register(&mut self, session: u64) -> (Stream, AgentMessage) {
        let mut stream = patiently(self.streams.recv()).await.expect("the server runs");
        let registration = stream.next().await;
        stream.session = Session(session);
        stream
            .send(MasterMessage::Registered {
                agent_id: agent_id(),
                master_id: MasterId::new("m").unwrap(),
                // Nobody here sends heartbeats, and three missed ones end a stream.
                heartbeat_interval: PATIENCE,
            })
            .await;
        (stream, registration)
    }
}

impl Stream {
    pub(crate) async fn send(&self, message: MasterMessage) {
        for frame in master_frames(self.session, &[message]) {
            self.to_agent.send(Ok(frame)).await.unwrap();
        }
    }

    async fn next(&mut self) -> AgentMessage {
        while self.waiting.is_empty() {
            let frame = patiently(self.from_agent.message()).await.unwrap();
            let (_, messages) = self.assembled.push(frame.expect("the stream is open")).unwrap();
            self.waiting = messages;
        }
        self.waiting.remove(0)
    }

    /// The next status, acknowledged.
    pub(crate) async fn status(&mut self) -> TaskStatus {
        loop {
            if let AgentMessage::Status { status, .. } = self.next().await {
                self.send(MasterMessage::AcknowledgeStatus {
                    framework_id: framework_id(),
                    task_id: status.task_id.clone(),
                    uuid: status.uuid.unwrap(),
                })
                .await;
                return status;
            }
        }
    }

    pub(crate) async fn run(&self, info: TaskInfo) {
        let message = MasterMessage::RunTask {
            framework_id: framework_id(),
            role: Role::default(),
            info: std::sync::Arc::new(info),
        };
        self.send(message).await;
    }

    pub(crate) async fn run_group(&self, tasks: Vec<TaskInfo>) {
        let message = MasterMessage::RunGroup {
            framework_id: framework_id(),
            role: Role::default(),
            group: GroupId::new("g").unwrap(),
            tasks,
        };
        self.send(message).await;
    }

    /// Has the agent change its resources; returns how that ended, acknowledged.
    pub(crate) async fn change(&mut self, change: ResourceChange) -> OperationState {
        let operation_id = OperationId::new("o").unwrap();
        self.send(MasterMessage::ApplyOperation {
            framework_id: framework_id(),
            id: Some(operation_id.clone()),
            change,
        })
        .await;
        loop {
            if let AgentMessage::OperationUpdate { status, .. } = self.next().await {
                self.send(MasterMessage::AcknowledgeOperation {
                    framework_id: framework_id(),
                    operation_id,
                    uuid: status.uuid.unwrap(),
                })
                .await;
                return status.state;
            }
        }
    }

    /// The last status of a task, all acknowledged.
    pub(crate) async fn end_of(&mut self, task: &str) -> TaskStatus {
        loop {
            let status = self.status().await;
            if status.task_id.as_str() == task && status.state.is_terminal() {
                return status;
            }
        }
    }

    pub(crate) async fn kill(&self, task: &str) {
        self.send(MasterMessage::KillTask {
            framework_id: framework_id(),
            task_id: TaskId::new(task).unwrap(),
            kill_policy: KillPolicy::default(),
        })
        .await;
    }
}

pub(crate) fn agent_id() -> AgentId {
    AgentId::new("m-a0").unwrap()
}

pub(crate) fn framework_id() -> FrameworkId {
    FrameworkId::new("m-f0").unwrap()
}

pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("an answer in time")
}

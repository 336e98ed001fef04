//! A master that says what the test says, to one agent after another.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use proffer_grpc::v1::agent_link_server::{AgentLink, AgentLinkServer};
use proffer_types::agent_link::{AgentMessage, MasterMessage, RegisteredTask};
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

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

type Frames = mpsc::Sender<Result<v1::MasterFrame, Status>>;

pub(crate) struct Master {
    pub(crate) address: SocketAddr,
    streams: mpsc::Receiver<(Streaming<v1::AgentFrame>, Frames)>,
    session: u64,
}

/// One agent's stream. An agent that is killed is heard no more.
pub(crate) struct Agent {
    session: Session,
    messages: mpsc::Receiver<AgentMessage>,
    frames: Frames,
}

struct Service(mpsc::Sender<(Streaming<v1::AgentFrame>, Frames)>);

#[tonic::async_trait]
impl AgentLink for Service {
    type RegisterStream = ReceiverStream<Result<v1::MasterFrame, Status>>;

    async fn register(
        &self,
        request: Request<Streaming<v1::AgentFrame>>,
    ) -> Result<Response<Self::RegisterStream>, Status> {
        let (frames, outgoing) = mpsc::channel(64);
        let stream = (request.into_inner(), frames);
        let sent = self.0.send(stream).await;
        sent.map_err(|_| Status::unavailable("the test has ended"))?;
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

impl Master {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (tx, streams) = mpsc::channel(8);
        let serve = tonic::transport::Server::builder()
            .add_service(AgentLinkServer::new(Service(tx)))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serve);
        Ok(Self {
            address,
            streams,
            session: 0,
        })
    }

    /// Waits for an agent, and registers it; returns the tasks it has. `None` when it went away before.
    pub(crate) async fn register(&mut self) -> Result<Option<(Agent, Vec<RegisteredTask>)>> {
        let stream = tokio::time::timeout(PATIENCE, self.streams.recv()).await;
        let (stream, frames) = stream.context("no agent came")?.context("the server ended")?;
        self.session += 1;
        let mut agent = Agent {
            session: Session(self.session),
            messages: listen(stream),
            frames,
        };
        let tasks = match agent.next().await? {
            Some(AgentMessage::Register { tasks, .. }) => tasks,
            Some(other) => bail!("not a registration: {other:?}"),
            None => return Ok(None),
        };
        agent.send(MasterMessage::Registered {
            agent_id: agent_id()?,
            master_id: MasterId::new("m")?,
            heartbeat_interval: Duration::from_secs(5),
        });
        Ok(Some((agent, tasks)))
    }
}

/// Takes a stream apart, until its end.
fn listen(mut stream: Streaming<v1::AgentFrame>) -> mpsc::Receiver<AgentMessage> {
    let (tx, messages) = mpsc::channel(64);
    tokio::spawn(async move {
        let mut assembled = Registration::default();
        while let Ok(Some(frame)) = stream.message().await {
            let Ok((_, messages)) = assembled.push(frame) else {
                return;
            };
            for message in messages {
                if tx.send(message).await.is_err() {
                    return;
                }
            }
        }
    });
    messages
}

impl Agent {
    /// What it says next; `None` when it is gone.
    async fn next(&mut self) -> Result<Option<AgentMessage>> {
        let next = tokio::time::timeout(PATIENCE, self.messages.recv()).await;
        next.context("the agent says nothing")
    }

    /// Says something; nobody may hear it. Does not wait: who waits for a status may stop at any time.
    fn send(&self, message: MasterMessage) {
        for frame in master_frames(self.session, &[message]) {
            let _ = self.frames.try_send(Ok(frame));
        }
    }

    /// The next status, acknowledged; `None` when the agent is gone.
    pub(crate) async fn status(&mut self) -> Result<Option<TaskStatus>> {
        let status = self.heard().await?;
        if let Some(status) = &status {
            self.acknowledge(status)?;
        }
        Ok(status)
    }

    /// The next status, which the agent keeps until it is acknowledged; `None` when the agent is gone.
    pub(crate) async fn heard(&mut self) -> Result<Option<TaskStatus>> {
        while let Some(message) = self.next().await? {
            if let AgentMessage::Status { status, .. } = message {
                return Ok(Some(status));
            }
        }
        Ok(None)
    }

    pub(crate) fn acknowledge(&self, status: &TaskStatus) -> Result<()> {
        if let Some(uuid) = status.uuid {
            self.send(MasterMessage::AcknowledgeStatus {
                framework_id: framework_id()?,
                task_id: status.task_id.clone(),
                uuid,
            });
        }
        Ok(())
    }

    pub(crate) fn run(&self, info: TaskInfo) -> Result<()> {
        self.send(MasterMessage::RunTask {
            framework_id: framework_id()?,
            role: Role::default(),
            info: std::sync::Arc::new(info),
        });
        Ok(())
    }

    pub(crate) fn run_group(&self, tasks: Vec<TaskInfo>) -> Result<()> {
        self.send(MasterMessage::RunGroup {
            framework_id: framework_id()?,
            role: Role::default(),
            group: GroupId::new("g")?,
            tasks,
        });
        Ok(())
    }

    pub(crate) fn kill(&self, task_id: &TaskId) -> Result<()> {
        self.send(MasterMessage::KillTask {
            framework_id: framework_id()?,
            task_id: task_id.clone(),
            kill_policy: KillPolicy::default(),
        });
        Ok(())
    }

    /// Has the agent change its resources.
    pub(crate) async fn change(&mut self, change: ResourceChange) -> Result<()> {
        let operation_id = OperationId::new("o")?;
        self.send(MasterMessage::ApplyOperation {
            framework_id: framework_id()?,
            id: Some(operation_id.clone()),
            change,
        });
        while let Some(message) = self.next().await? {
            let AgentMessage::OperationUpdate { status, .. } = message else {
                continue;
            };
            self.send(MasterMessage::AcknowledgeOperation {
                framework_id: framework_id()?,
                operation_id,
                uuid: status.uuid.context("an update without an id")?,
            });
            anyhow::ensure!(status.state == OperationState::Finished, "{status:?}");
            return Ok(());
        }
        bail!("the agent is gone")
    }
}

pub(crate) fn agent_id() -> Result<AgentId> {
    Ok(AgentId::new("m-a0")?)
}

pub(crate) fn framework_id() -> Result<FrameworkId> {
    Ok(FrameworkId::new("m-f0")?)
}

//! The floor: a server of the agents' protocol with nothing behind it.
//!
//! It has no state, no registry, no frameworks and no checks: it registers whoever comes, acknowledges each status at once
//! and, where it is told to, gives each agent as many tasks as it has room for, and another one for each that ends. What it
//! takes with the same agents is what gRPC, the kernel and the agents themselves cost.

use std::net::SocketAddr;

use anyhow::Result;
use clap::Args;
use futures::stream::BoxStream;
use proffer_grpc::v1::agent_link_server::{AgentLink, AgentLinkServer};
use proffer_wire::frame::MAX_MESSAGE_BYTES;
use proffer_wire::v1;
use proffer_wire::v1::agent_message::Message as Heard;
use proffer_wire::v1::master_message::Message as Said;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::owner;

const HEARTBEAT_MS: u64 = 5000;
const FRAMEWORK: &str = "floor-f0";

#[derive(Debug, Clone, Args)]
pub(crate) struct FloorArgs {
    #[arg(long, hide = true, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Tasks it keeps each agent busy with.
    #[arg(long, hide = true, default_value_t = 0)]
    tasks: u32,
}

#[derive(Debug)]
struct Floor {
    n_tasks: u32,
}

/// One agent, as far as a floor knows any.
struct Peer {
    id: String,
    session: u64,
    n_launched: u64,
    n_wanted: u32,
}

/// Serves until it is killed.
pub(crate) fn run(args: &FloorArgs) -> Result<()> {
    crate::files::allow_all()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let incoming = TcpListenerStream::new(TcpListener::bind(args.listen).await?);
        // Small frames go out at once, as the master's do.
        let incoming =
            incoming.map(|stream| stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream)));
        let floor = Floor { n_tasks: args.tasks };
        let service = AgentLinkServer::new(floor).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let server = Server::builder().add_service(service);
        Ok(server.serve_with_incoming(incoming).await?)
    })
}

#[tonic::async_trait]
impl AgentLink for Floor {
    type RegisterStream = BoxStream<'static, Result<v1::MasterFrame, Status>>;

    async fn register(
        &self,
        request: Request<Streaming<v1::AgentFrame>>,
    ) -> Result<Response<Self::RegisterStream>, Status> {
        let (frames, queue) = mpsc::unbounded_channel();
        let n_wanted = self.n_tasks;
        tokio::spawn(async move {
            let mut incoming = request.into_inner();
            let mut peer = Peer {
                id: String::new(),
                session: 0,
                n_launched: 0,
                n_wanted,
            };
            while let Ok(Some(frame)) = incoming.message().await {
                let messages = frame.messages.into_iter().filter_map(|message| message.message);
                let messages: Vec<_> = messages.flat_map(|message| peer.answer(message)).collect();
                let messages: Vec<_> = messages.into_iter().map(message).collect();
                let session = peer.session;
                if !messages.is_empty() && frames.send(Ok(v1::MasterFrame { session, messages })).is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(queue))))
    }
}

impl Peer {
    #[expect(clippy::wildcard_enum_match_arm, reason = "a floor answers nothing else")]
    fn answer(&mut self, heard: Heard) -> Vec<Said> {
        match heard {
            Heard::Register(register) => {
                let hostname = register.agent_info.map(|info| info.hostname).unwrap_or_default();
                self.id = format!("floor-{hostname}");
                Vec::new()
            }
            Heard::RegisterTasks(listed) => {
                // Who comes back with tasks has them already.
                if !listed.tasks.is_empty() {
                    self.n_wanted = 0;
                }
                Vec::new()
            }
            Heard::RegisterDone(_) => {
                self.session = 1;
                let registered = Said::Registered(v1::master_message::Registered {
                    agent_id: self.id.clone(),
                    heartbeat_interval_ms: HEARTBEAT_MS,
                    master_id: "floor".to_owned(),
                });
                let launches: Vec<_> = (0..self.n_wanted).map(|_| self.launch()).collect();
                std::iter::once(registered).chain(launches).collect()
            }
            Heard::Status(said) => {
                let status = said.status.unwrap_or_default();
                let ended = status.state() != v1::TaskState::TaskRunning;
                let acknowledge = Said::AcknowledgeStatus(v1::master_message::AcknowledgeStatus {
                    framework_id: said.framework_id,
                    task_id: status.task_id,
                    uuid: status.uuid,
                });
                let next = (ended && self.n_wanted > 0).then(|| self.launch());
                std::iter::once(acknowledge).chain(next).collect()
            }
            _ => Vec::new(),
        }
    }

    fn launch(&mut self) -> Said {
        self.n_launched += 1;
        let info = owner::task(&format!("{}-{}", self.id, self.n_launched), &self.id);
        Said::RunTask(v1::master_message::RunTask {
            framework_id: FRAMEWORK.to_owned(),
            task_info: info.as_ref().map(Into::into),
            role: "*".to_owned(),
        })
    }
}

fn message(said: Said) -> v1::MasterMessage {
    v1::MasterMessage { message: Some(said) }
}

//! Agents' streams: frames in become commands; a registration is joined from its chunks first.

use proffer_grpc::status;
use proffer_grpc::v1::agent_link_server::AgentLink;
use proffer_master_core::{Command, LinkId};
use proffer_types::Session;
use proffer_types::agent_link::AgentMessage;
use proffer_wire::agent_link::Registration;
use proffer_wire::v1;
use tonic::{Request, Response, Status, Streaming};

use crate::inbox::Inbox;
use crate::links::{Links, Opened, Responses};
use crate::scheduler_link::{OPENING, never_opened, stream_status};

/// The gRPC service.
#[derive(Debug)]
pub(crate) struct AgentLinks {
    pub(crate) inbox: Inbox,
    pub(crate) links: Links,
}

#[tonic::async_trait]
impl AgentLink for AgentLinks {
    type RegisterStream = Responses<v1::MasterFrame>;

    async fn register(
        &self,
        request: Request<Streaming<v1::AgentFrame>>,
    ) -> Result<Response<Self::RegisterStream>, Status> {
        self.inbox.when_ready().await?;
        let Opened {
            link,
            responses,
            closed,
            gone: _,
        } = self.links.open_agent();
        // The core may have gone, and its links been closed, before this one was among them.
        if let Err(status) = self.inbox.check_ready() {
            self.links.close(link, status.clone());
            return Err(status);
        }
        let (inbox, links) = (self.inbox.clone(), self.links.clone());
        tokio::spawn(async move {
            let read = read(link, request.into_inner(), &inbox);
            let status = closed.run_until_cancelled(read).await;
            links.close(
                link,
                status.unwrap_or_else(|| Status::cancelled("the link was closed")),
            );
            inbox.command(Command::AgentLinkLost { link }).await;
        });
        Ok(Response::new(responses))
    }
}

/// Reads until the stream ends; returns what to end our half with.
async fn read(link: LinkId, mut frames: Streaming<v1::AgentFrame>, inbox: &Inbox) -> Status {
    let mut registration = Registration::default();
    let opened_by = tokio::time::Instant::now() + OPENING;
    let mut is_open = false;
    loop {
        let heard = match is_open {
            true => frames.message().await,
            false => match tokio::time::timeout_at(opened_by, frames.message()).await {
                Ok(heard) => heard,
                Err(_) => return never_opened(),
            },
        };
        let frame = match heard {
            Ok(Some(frame)) => frame,
            Ok(None) => return Status::ok(""),
            Err(status) => return stream_status(status),
        };
        let (session, messages) = match registration.push(frame) {
            Ok(whole) => whole,
            Err(error) => return status(error),
        };
        for command in commands(link, session, messages) {
            match command {
                Ok(command) => {
                    is_open = true;
                    inbox.command(command).await;
                }
                Err(status) => return status,
            }
        }
    }
}

/// Splits a frame's messages into registrations and runs of everything else.
fn commands(
    link: LinkId,
    session: Option<Session>,
    messages: Vec<AgentMessage>,
) -> Vec<Result<Command, Status>> {
    let mut commands: Vec<Result<Command, Status>> = Vec::new();
    for message in messages {
        match (message, session) {
            (
                AgentMessage::Register {
                    info,
                    agent_id,
                    tasks,
                    operations,
                },
                _,
            ) => {
                commands.push(Ok(Command::AgentRegister {
                    link,
                    info,
                    agent_id,
                    tasks,
                    operations,
                }));
            }
            (message, Some(session)) => match commands.last_mut() {
                Some(Ok(Command::AgentFrame { messages, .. })) => messages.push(message),
                _ => commands.push(Ok(Command::AgentFrame {
                    link,
                    session,
                    messages: vec![message],
                })),
            },
            (_, None) => {
                let status = Status::failed_precondition("a frame outside of any session may only register");
                commands.push(Err(status));
            }
        }
    }
    commands
}

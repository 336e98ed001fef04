//! Schedulers' streams: frames of calls become commands.

use std::time::Duration;

use futures::FutureExt as _;
use proffer_grpc::status;
use proffer_grpc::v1::scheduler_server::Scheduler;
use proffer_master_core::{Command, LinkId};
use proffer_wire::scheduler_link::from_call_frame;
use proffer_wire::v1;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::inbox::Inbox;
use crate::links::{Links, Opened, Responses};

/// The gRPC service.
#[derive(Debug)]
pub(crate) struct SchedulerLinks {
    pub(crate) inbox: Inbox,
    pub(crate) links: Links,
}

#[tonic::async_trait]
impl Scheduler for SchedulerLinks {
    type SubscribeStream = Responses<v1::SchedulerEvents>;

    async fn subscribe(
        &self,
        request: Request<Streaming<v1::SchedulerCalls>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        self.inbox.when_ready().await?;
        let Opened {
            link,
            responses,
            closed,
            gone,
        } = self.links.open_scheduler();
        // The core may have gone, and its links been closed, before this one was among them.
        if let Err(status) = self.inbox.check_ready() {
            self.links.close(link, status.clone());
            return Err(status);
        }
        let (inbox, links) = (self.inbox.clone(), self.links.clone());
        tokio::spawn(async move {
            let read = read(link, request.into_inner(), &inbox, &gone);
            let status = closed.run_until_cancelled(read).await;
            links.close(
                link,
                status.unwrap_or_else(|| Status::cancelled("the link was closed")),
            );
            inbox.command(Command::SchedulerLinkLost { link }).await;
        });
        Ok(Response::new(responses))
    }
}

/// How long a peer may take from the opening of its stream to the call that says who it is; until then nobody else
/// looks after the stream.
pub(crate) const OPENING: Duration = Duration::from_secs(30);

/// What somebody is told who did not say it in time.
pub(crate) fn never_opened() -> Status {
    Status::deadline_exceeded(format!("nobody said who this is within {OPENING:?}"))
}

/// How long a scheduler that will say nothing more is still told what it asked for. A living one pings.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// Calls of one peer that the core takes in one go, those of the last frame on top: a batch of the loop should not take
/// long, as others wait for it.
const MERGED_CALLS: usize = 256;

type Heard = Result<Option<v1::SchedulerCalls>, Status>;

/// Reads until the stream ends; returns what to end our half with.
async fn read(
    link: LinkId,
    mut frames: Streaming<v1::SchedulerCalls>,
    inbox: &Inbox,
    gone: &CancellationToken,
) -> Status {
    let opened_by = tokio::time::Instant::now() + OPENING;
    let mut is_open = false;
    let mut early = None;
    loop {
        let heard = match (early.take(), is_open) {
            (Some(heard), _) => heard,
            (None, true) => frames.message().await,
            (None, false) => match tokio::time::timeout_at(opened_by, frames.message()).await {
                Ok(heard) => heard,
                Err(_) => return never_opened(),
            },
        };
        let mut frame = match heard {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                // One that ended altogether is not waited for: its services would be dead ends meanwhile.
                gone.run_until_cancelled(tokio::time::sleep(HALF_CLOSED)).await;
                return Status::ok("");
            }
            Err(status) => return stream_status(status),
        };
        early = take_more(&mut frames, &mut frame);
        match from_call_frame(frame) {
            Ok(calls) if calls.is_empty() => {}
            Ok(calls) => {
                is_open = true;
                inbox.command(Command::SchedulerCalls { link, calls }).await;
            }
            Err(error) => return status(error),
        }
    }
}

/// Adds the calls of the frames that have come already; returns what comes first that is not added. While the core is
/// busy a scheduler that says much is then as far behind as one that says little.
fn take_more(frames: &mut Streaming<v1::SchedulerCalls>, to: &mut v1::SchedulerCalls) -> Option<Heard> {
    while to.calls.len() < MERGED_CALLS {
        match frames.message().now_or_never()? {
            Ok(Some(more)) => to.calls.extend(more.calls),
            heard => return Some(heard),
        }
    }
    None
}

/// What a peer is told whose stream failed. tonic reports an oversized message as out of range.
pub(crate) fn stream_status(status: Status) -> Status {
    match status.code() == Code::OutOfRange {
        true => Status::resource_exhausted(status.message()),
        false => status,
    }
}

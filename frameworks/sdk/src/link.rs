//! One stream to one master: frames out through a bounded queue, events in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::stream::{BoxStream, Stream, StreamExt as _, TryStreamExt as _};
use proffer_grpc::leader;
use proffer_grpc::v1::scheduler_client::SchedulerClient;
use proffer_types::scheduler_link::{Call, Event};
use proffer_wire::frame::MAX_MESSAGE_BYTES;
use proffer_wire::scheduler_link::{call_frames, from_event_frame};
use proffer_wire::v1;
use prost::Message as _;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// How long a master may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that may wait for a slow master: thousands of ordinary frames, as many bytes as a master lets wait for a
/// framework. A master that is further behind is given up: after reconnecting, reconciliation finds what was not sent.
const QUEUED_BYTES: usize = 16 << 20;
/// Events that are taken at once of those that have come: they share a commit. More would only delay the answer to the
/// first one.
const EVENTS_TAKEN: usize = 1024;
/// How long a clean end may take to flush what is queued.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Why there is no link, or no link any more.
#[derive(Debug, Error)]
pub(crate) enum LinkError {
    #[error("`{master}` is not an address")]
    Address {
        master: String,
        source: tonic::transport::Error,
    },
    #[error("cannot connect to master `{master}`")]
    Connect {
        master: String,
        source: tonic::transport::Error,
    },
    #[error("the master ended the stream: {0}")]
    Status(String),
    #[error("the master stands by, `{0}` leads")]
    Standby(String),
    #[error("the master closed the stream")]
    Closed,
    #[error("the master sent what cannot be understood")]
    Event(#[from] proffer_wire::ConvertError),
    #[error("the master is silent, or other roles are to be subscribed")]
    GivenUp,
    #[error("the master does not read: {QUEUED_BYTES} bytes wait for it")]
    Behind,
}

pub(crate) struct Link {
    pub(crate) master: String,
    frames: Frames,
    events: BoxStream<'static, Result<v1::SchedulerEvents, tonic::Status>>,
    /// Why there are no more events after those that were taken.
    ended: Option<LinkError>,
}

/// Pings on one stream.
pub(crate) struct Pings(Frames);

impl Pings {
    /// Sends one. A stream that is full or gone is noticed by whoever sends next.
    pub(crate) fn send(&self) {
        for frame in call_frames(&[Call::Ping]) {
            let _ = self.0.send(frame);
        }
    }
}

impl Link {
    /// Connects to `host:port`. The stream itself opens with the first call.
    pub(crate) async fn open(master: String) -> Result<Self, LinkError> {
        let channel = match Endpoint::from_shared(format!("http://{master}")) {
            Ok(endpoint) => connect(&master, endpoint).await?,
            Err(source) => return Err(LinkError::Address { master, source }),
        };
        let (frames, queue) = queue();
        let mut client = SchedulerClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        // The master may answer only after the first frame, so the answer is awaited as part of the events.
        let answer = async move { client.subscribe(queue).await };
        let events = futures::stream::once(answer).map_ok(tonic::Response::into_inner);
        Ok(Self {
            master,
            frames,
            events: events.try_flatten().boxed(),
            ended: None,
        })
    }

    /// What keeps the stream alive while nobody has the link.
    pub(crate) fn pings(&self) -> Pings {
        Pings(self.frames.clone())
    }

    /// Queues calls, in order.
    pub(crate) fn send(&self, calls: &[Call]) -> Result<(), LinkError> {
        call_frames(calls)
            .into_iter()
            .try_for_each(|frame| self.frames.send(frame))
    }

    /// The next events, in order: all that have come, up to a bound. Cancelling it loses none.
    pub(crate) async fn events(&mut self) -> Result<Vec<Event>, LinkError> {
        if let Some(error) = self.ended.take() {
            return Err(error);
        }
        let mut events = taken(self.events.next().await)?;
        while events.len() < EVENTS_TAKEN
            && let Some(next) = self.events.next().now_or_never()
        {
            match taken(next) {
                Ok(more) => events.extend(more),
                Err(error) => {
                    self.ended = Some(error);
                    break;
                }
            }
        }
        Ok(events)
    }

    /// Ends the stream after what is queued was sent.
    pub(crate) async fn close(self) {
        let Self {
            frames, mut events, ..
        } = self;
        drop(frames);
        let drained = async { while let Some(Ok(_)) = events.next().await {} };
        // A master that does not end its half in time has the frames all the same, or never will.
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, drained).await;
    }
}

/// The sending end of what waits for the master.
#[derive(Clone)]
struct Frames {
    /// Each with its length.
    queue: mpsc::UnboundedSender<(usize, v1::SchedulerCalls)>,
    n_bytes: Arc<AtomicUsize>,
}

impl Frames {
    fn send(&self, frame: v1::SchedulerCalls) -> Result<(), LinkError> {
        let len = frame.encoded_len();
        if self.n_bytes.fetch_add(len, Ordering::Relaxed) + len > QUEUED_BYTES {
            return Err(LinkError::Behind);
        }
        self.queue.send((len, frame)).map_err(|_| LinkError::Closed)
    }
}

fn queue() -> (Frames, impl Stream<Item = v1::SchedulerCalls> + Send + 'static) {
    let (queue, frames) = mpsc::unbounded_channel();
    let n_bytes = Arc::new(AtomicUsize::new(0));
    let waiting = n_bytes.clone();
    let taken = move |(len, frame)| {
        waiting.fetch_sub(len, Ordering::Relaxed);
        frame
    };
    let frames = UnboundedReceiverStream::new(frames).map(taken);
    (Frames { queue, n_bytes }, frames)
}

/// The events of a frame, or why there is none.
fn taken(next: Option<Result<v1::SchedulerEvents, tonic::Status>>) -> Result<Vec<Event>, LinkError> {
    match next {
        Some(Ok(frame)) => Ok(from_event_frame(frame)?),
        Some(Err(status)) => Err(match leader::named(&status) {
            Some(leader) => LinkError::Standby(leader.to_owned()),
            None => LinkError::Status(describe(&status)),
        }),
        None => Err(LinkError::Closed),
    }
}

async fn connect(master: &str, endpoint: Endpoint) -> Result<Channel, LinkError> {
    let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
    endpoint.connect().await.map_err(|source| LinkError::Connect {
        master: master.to_owned(),
        source,
    })
}

fn describe(status: &tonic::Status) -> String {
    match status.message() {
        "" => status.code().to_string(),
        message => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many bytes and few more.
    fn frame(n_bytes: usize) -> v1::SchedulerCalls {
        let suppress = v1::scheduler_call::Suppress {
            roles: vec!["x".repeat(n_bytes)],
        };
        let call = v1::scheduler_call::Call::Suppress(suppress);
        v1::SchedulerCalls {
            calls: vec![v1::SchedulerCall { call: Some(call) }],
        }
    }

    #[test]
    fn thousands_of_small_frames_wait_for_a_busy_master() {
        let (frames, _queue) = queue();
        for _ in 0..10_000 {
            frames.send(frame(1000)).unwrap();
        }
    }

    #[tokio::test]
    async fn a_master_is_given_up_by_the_bytes_that_wait_for_it() {
        let (frames, mut queue) = queue();
        for _ in 0..64 {
            frames.send(frame(1 << 20)).unwrap();
            queue.next().await.unwrap();
        }
        let sent = (0..64)
            .take_while(|_| frames.send(frame(1 << 20)).is_ok())
            .count();
        assert_eq!(sent, 15);
        drop(queue);
        let (frames, queue) = super::queue();
        drop(queue);
        assert!(matches!(frames.send(frame(1)), Err(LinkError::Closed)));
    }
}

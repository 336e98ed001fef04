//! A master of which the test plays the mind: it hands over each stream as it is opened.

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use proffer_grpc::v1::scheduler_server::{Scheduler, SchedulerServer};
use proffer_types::scheduler_link::{Call, Event};
use proffer_types::{FrameworkId, MasterId};
use proffer_wire::scheduler_link::{event_frames, from_call_frame};
use proffer_wire::v1;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

pub(crate) struct Master {
    pub(crate) address: SocketAddr,
    streams: mpsc::Receiver<Stream>,
}

/// The master's end of one subscription.
pub(crate) struct Stream {
    calls: Streaming<v1::SchedulerCalls>,
    waiting: Vec<Call>,
    events: mpsc::Sender<Result<v1::SchedulerEvents, Status>>,
}

struct Service {
    streams: mpsc::Sender<Stream>,
}

#[tonic::async_trait]
impl Scheduler for Service {
    type SubscribeStream = BoxStream<'static, Result<v1::SchedulerEvents, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<v1::SchedulerCalls>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (events, outgoing) = mpsc::channel(16);
        let stream = Stream {
            calls: request.into_inner(),
            waiting: Vec::new(),
            events,
        };
        let gone = |_| Status::unavailable("the test has ended");
        self.streams.send(stream).await.map_err(gone)?;
        Ok(Response::new(ReceiverStream::new(outgoing).boxed()))
    }
}

impl Master {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (opened, streams) = mpsc::channel(16);
        let server = tonic::transport::Server::builder()
            .add_service(SchedulerServer::new(Service { streams: opened }))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(server);
        Self { address, streams }
    }

    /// The next subscription, answered.
    pub(crate) async fn subscribed(&mut self) -> (Stream, Call) {
        self.subscribed_with(Duration::from_secs(5)).await
    }

    /// The same, with another interval of heartbeats.
    pub(crate) async fn subscribed_with(&mut self, heartbeat_interval: Duration) -> (Stream, Call) {
        let mut stream = self.streams.recv().await.expect("the server runs");
        let subscribe = stream.call().await;
        let subscribed = Event::Subscribed {
            framework_id: FrameworkId::new("F1").expect("an id"),
            master_id: MasterId::new("M1").expect("an id"),
            heartbeat_interval,
        };
        stream.tell(&[subscribed]).await;
        (stream, subscribe)
    }
}

impl Stream {
    /// The next call, of however many come in a frame.
    pub(crate) async fn call(&mut self) -> Call {
        while self.waiting.is_empty() {
            let frame = self
                .calls
                .next()
                .await
                .expect("the stream is open")
                .expect("a frame");
            self.waiting = from_call_frame(frame).expect("a frame without mistakes");
        }
        self.waiting.remove(0)
    }

    /// Whether the framework ended the stream; reads what came before.
    pub(crate) async fn ended(&mut self) -> bool {
        while let Some(Ok(_)) = self.calls.next().await {}
        true
    }

    /// What the framework still says until it ends the stream.
    pub(crate) async fn rest(&mut self) -> Vec<Call> {
        let mut calls = std::mem::take(&mut self.waiting);
        while let Some(Ok(frame)) = self.calls.next().await {
            calls.extend(from_call_frame(frame).expect("a frame without mistakes"));
        }
        calls
    }

    pub(crate) async fn tell(&self, events: &[Event]) {
        for frame in event_frames(events) {
            self.events.send(Ok(frame)).await.expect("the framework listens");
        }
    }
}

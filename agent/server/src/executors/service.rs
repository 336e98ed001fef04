//! The gRPC service on an executor's socket. What an executor must not say ends its connection, with the reason, and
//! nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::Stream;
use proffer_agent_core::{ConnectionId, ExecutorNews};
use proffer_grpc::v1::executor_server::{Executor, ExecutorServer};
use proffer_types::ExecutorCall;
use proffer_wire::v1;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, warn};

use super::Reporter;
use super::connection::{Connection, Connections, MAX_EVENTS_QUEUED, Outgoing};
use super::socket::Counted;

/// Connections of one executor at once: one is in use, and the one before it may not have ended yet. Without a bound an
/// executor could use up the descriptors of the agent.
const MAX_CONNECTIONS: usize = 4;

/// Streams of one connection at once.
const MAX_STREAMS: u32 = 4;

/// How long a stream may take to its subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Updates that are taken from an executor in a second: each costs the agent a write, and other tasks have to be heard.
const MAX_UPDATES_PER_SECOND: f64 = 5000.0;

/// The wait after a connection could not be accepted, as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves an executor until it is gone.
pub(super) async fn serve(
    listener: UnixListener,
    reporter: Reporter,
    connections: Arc<Connections>,
    end: CancellationToken,
) {
    let container_id = reporter.container_id;
    let service = ExecutorServer::new(Service {
        reporter,
        connections,
        end: end.clone(),
    });
    let served = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .add_service(service)
        .serve_with_incoming_shutdown(accepted(listener), end.cancelled());
    if let Err(error) = served.await {
        warn!(%container_id, %error, "the socket of an executor is not served any more");
    }
}

fn accepted(listener: UnixListener) -> impl Stream<Item = std::io::Result<Counted>> {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    futures::stream::unfold((listener, permits), |(listener, permits)| async move {
        let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
        let accepted = listener.accept().await.map(|(stream, _)| Counted {
            stream,
            _permit: Arc::new(permit),
        });
        if accepted.is_err() {
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
        Some((accepted, (listener, permits)))
    })
}

#[derive(Debug)]
struct Service {
    reporter: Reporter,
    connections: Arc<Connections>,
    end: CancellationToken,
}

#[tonic::async_trait]
impl Executor for Service {
    type SubscribeStream = ReceiverStream<Outgoing>;

    async fn subscribe(
        &self,
        request: Request<Streaming<v1::ExecutorCall>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let mut calls = request.into_inner();
        let first = tokio::time::timeout(SUBSCRIBE_TIMEOUT, next(&mut calls)).await;
        let first = first.map_err(|_| Status::deadline_exceeded("it did not subscribe"))??;
        let Some(ExecutorCall::Subscribe { tasks }) = first else {
            return Err(Status::invalid_argument("the first message must be `subscribe`"));
        };
        let (events, queue) = mpsc::channel(MAX_EVENTS_QUEUED);
        let connection = Connection {
            id: self.reporter.next_connection(),
            events,
            end: self.end.child_token(),
        };
        let (id, end) = (connection.id, connection.end.clone());
        // Before the driver knows of it, which answers on it.
        self.connections.open(connection);
        let told = self.reporter.tell(id, ExecutorNews::Subscribed { tasks }).await;
        told.map_err(|()| Status::unavailable("the agent is ending"))?;
        let (reporter, connections) = (self.reporter.clone(), Arc::clone(&self.connections));
        tokio::spawn(async move {
            let read = read(&mut calls, &reporter, id);
            let why = match end.run_until_cancelled(read).await {
                Some(Err(why)) => why,
                Some(Ok(())) => Status::ok("the executor ended the stream"),
                None => Status::cancelled("the connection was ended"),
            };
            debug!(container_id = %reporter.container_id, why = why.message(), "an executor's connection ended");
            connections.close(id, why);
            // The driver is gone only when the agent ends.
            let _ = reporter.tell(id, ExecutorNews::Disconnected).await;
        });
        Ok(Response::new(ReceiverStream::new(queue)))
    }
}

async fn next(calls: &mut Streaming<v1::ExecutorCall>) -> Result<Option<ExecutorCall>, Status> {
    let call = calls.message().await?.map(ExecutorCall::try_from);
    call.transpose().map_err(proffer_grpc::status)
}

/// Reads updates until the stream ends, or something is wrong with it.
async fn read(
    calls: &mut Streaming<v1::ExecutorCall>,
    reporter: &Reporter,
    connection: ConnectionId,
) -> Result<(), Status> {
    let mut pace = Pace::new(Instant::now());
    while let Some(call) = next(calls).await? {
        let ExecutorCall::Update(update) = call else {
            return Err(Status::invalid_argument("it has subscribed already"));
        };
        if let Some(wait) = pace.next(Instant::now()) {
            tokio::time::sleep(wait).await;
        }
        let told = reporter.tell(connection, ExecutorNews::Update(update)).await;
        told.map_err(|()| Status::unavailable("the agent is ending"))?;
    }
    Ok(())
}

/// A bucket of one second's updates.
#[derive(Debug)]
struct Pace {
    left: f64,
    at: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            left: MAX_UPDATES_PER_SECOND,
            at: now,
        }
    }

    /// How long the next update has to wait, if it has to.
    fn next(&mut self, now: Instant) -> Option<Duration> {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * MAX_UPDATES_PER_SECOND;
        self.left = (self.left + earned).min(MAX_UPDATES_PER_SECOND) - 1.0;
        self.at = now;
        (self.left < 0.0).then(|| Duration::from_secs_f64(-self.left / MAX_UPDATES_PER_SECOND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_updates_passes_at_once_and_then_each_waits_for_its_turn() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..5000 {
            assert_eq!(pace.next(now), None);
        }
        assert_eq!(pace.next(now), Some(Duration::from_micros(200)));
        assert_eq!(pace.next(now), Some(Duration::from_micros(400)));
        assert_eq!(pace.next(now + Duration::from_secs(1)), None);
    }
}

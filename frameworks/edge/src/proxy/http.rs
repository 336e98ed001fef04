//! HTTP requests, each sent to the endpoint that is next.

mod body;
mod forward;
mod headers;
mod upgrade;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::body::RequestBody;
use super::{CONNECT_TIMEOUT, Proxy, UNACKNOWLEDGED, accept};
use crate::route::Route;

/// How long a client may take to send the head of a request, and keep a connection without one: as nginx.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Idle connections to endpoints are kept for so long: less than what servers commonly allow.
const POOL_IDLE: Duration = Duration::from_secs(20);
const POOL_IDLE_CONNECTIONS: usize = 1024;
/// Once a listener ends, clients are told to close with the next answer; who has not asked for so long is cut off.
const LAST_REQUEST: Duration = Duration::from_secs(1);
/// Streams of one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;

type Pooled = hyper_util::client::legacy::Client<HttpConnector, RequestBody>;

/// Connections to endpoints, kept for further requests.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http1: Pooled,
    /// For gRPC, which there is only of HTTP/2.
    http2: Pooled,
}

impl Client {
    pub(super) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let mut builder = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_IDLE_CONNECTIONS)
            .set_host(false);
        let http1 = builder.build(connector.clone());
        let http2 = builder.http2_only(true).build(connector);
        Self { http1, http2 }
    }
}

/// What the connections of one listener have in common.
#[derive(Debug)]
struct Listener {
    route: Arc<Route>,
    proxy: Proxy,
    /// Clients are to come back by a new connection.
    is_closing: AtomicBool,
}

/// Serves until `stop`; what is under way then is brought to its end.
pub(crate) async fn run(socket: TcpListener, route: Arc<Route>, proxy: Proxy, stop: CancellationToken) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS);
    let tasks = proxy.tasks.clone();
    let listener = Arc::new(Listener {
        route,
        proxy: proxy.clone(),
        is_closing: AtomicBool::new(false),
    });
    accept(socket, &proxy, &stop, |stream, peer, permit| {
        let (builder, listener, stop) = (builder.clone(), Arc::clone(&listener), stop.clone());
        tasks.spawn(async move {
            connection(stream, peer, &builder, listener, &stop).await;
            drop(permit);
        });
    })
    .await;
    stop.cancel();
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    builder: &auto::Builder<TokioExecutor>,
    listener: Arc<Listener>,
    stop: &CancellationToken,
) {
    let own = Arc::clone(&listener);
    let service = service_fn(move |request: Request<Incoming>| {
        let listener = Arc::clone(&own);
        async move {
            let version = request.version();
            let mut response = forward::forward(&listener.route, &listener.proxy, peer, request).await;
            if version < Version::HTTP_2
                && listener.is_closing.load(Ordering::Relaxed)
                && response.status() != http::StatusCode::SWITCHING_PROTOCOLS
            {
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            listener.is_closing.store(true, Ordering::Relaxed);
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = sleep(LAST_REQUEST) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "a connection broke off");
    }
}

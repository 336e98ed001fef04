//! An edge, its backends, and words to describe services.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use proffer_edge::{EdgeConfig, EdgeError};
use proffer_types::discovery::{
    BalancePolicy, DiscoveredPort, DiscoveredService, Endpoint, OutlierDetection, PortProtocol, ServiceName,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::master::Master;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running edge.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) dns: SocketAddr,
    pub(crate) status: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) running: JoinHandle<Result<(), EdgeError>>,
}

/// A port that is free now.
pub(crate) fn free_port() -> SocketAddr {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

impl Edge {
    pub(crate) async fn start(master: &Master) -> Self {
        Self::start_with(master, Vec::new()).await
    }

    pub(crate) async fn start_with(master: &Master, upstreams: Vec<SocketAddr>) -> Self {
        let (dns, status) = (free_port(), free_port());
        let config = EdgeConfig {
            masters: vec![master.address.to_string()],
            name: "here".to_owned(),
            dns_listen: vec![dns],
            upstreams,
            status_listen: Some(status),
            drain: Duration::from_secs(10),
        };
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(proffer_edge::run(config, shutdown.clone()));
        let edge = Self {
            dns,
            status,
            shutdown,
            running,
        };
        until("the edge knows all", || async {
            let healthy = get(&client(), &format!("http://{status}/healthz")).await;
            healthy.is_ok_and(|(status, _)| status == 200).then_some(())
        })
        .await;
        edge
    }

    /// Ends it, as a signal would.
    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.running).await.unwrap().unwrap().unwrap();
    }
}

/// Asks until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn service(
    name: &str,
    virtual_address: &str,
    port: DiscoveredPort,
    endpoints: Vec<Endpoint>,
) -> DiscoveredService {
    let virtual_address: Ipv4Addr = virtual_address.parse().unwrap();
    DiscoveredService {
        name: ServiceName {
            namespace: "default".parse().unwrap(),
            name: name.parse().unwrap(),
        },
        virtual_address: Some(virtual_address),
        ports: vec![port],
        endpoints,
        network: Default::default(),
    }
}

pub(crate) fn port(number: u16, protocol: PortProtocol) -> DiscoveredPort {
    DiscoveredPort {
        name: Some("main".parse().unwrap()),
        number: NonZeroU16::new(number).unwrap(),
        protocol,
        published: None,
        policy: BalancePolicy::RoundRobin,
        retries: 2,
        outlier: OutlierDetection::default(),
    }
}

pub(crate) fn endpoint(id: &str, address: SocketAddr) -> Endpoint {
    Endpoint {
        id: id.into(),
        address: address.ip(),
        ports: vec![(
            Some("main".parse().unwrap()),
            NonZeroU16::new(address.port()).unwrap(),
        )],
        weight: 1,
        agent_id: None,
        probe: false,
    }
}

/// An HTTP server that answers its name, or what the query asks for: `status=503`, `sleep_ms=20`, `head=x-forwarded-for`.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) n_requests: Arc<AtomicU64>,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

impl Backend {
    pub(crate) async fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let n_requests = Arc::new(AtomicU64::new(0));
        let (own, counted) = (name.to_owned(), Arc::clone(&n_requests));
        let answer = move |request: Request| {
            counted.fetch_add(1, Ordering::Relaxed);
            answer(own.clone(), request)
        };
        let router = Router::new().fallback(answer);
        let stop = CancellationToken::new();
        let serve = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let server = tokio::spawn(async move { serve.await.unwrap() });
        Self {
            name: name.to_owned(),
            address,
            n_requests,
            stop,
            server,
        }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        endpoint(&self.name, self.address)
    }

    pub(crate) fn n_requests(&self) -> u64 {
        self.n_requests.load(Ordering::Relaxed)
    }

    /// Answers what it has, and ends.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.server).await.unwrap().unwrap();
    }
}

async fn answer(name: String, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let wishes: BTreeMap<&str, &str> = query.split('&').filter_map(|wish| wish.split_once('=')).collect();
    if let Some(millis) = wishes.get("sleep_ms") {
        sleep(Duration::from_millis(millis.parse().unwrap())).await;
    }
    let only = wishes.get("of").is_none_or(|of| *of == name);
    let status = wishes.get("status").filter(|_| only);
    let status = status.map_or(StatusCode::OK, |status| {
        StatusCode::from_bytes(status.as_bytes()).unwrap()
    });
    let text = match wishes.get("head") {
        Some(head) => {
            let values = request.headers().get_all(*head).iter();
            values
                .map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
                .join("|")
        }
        None => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            format!("{name}{}", String::from_utf8_lossy(&body))
        }
    };
    (status, text).into_response()
}

pub(crate) type Client = hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>;

pub(crate) fn client() -> Client {
    hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http()
}

/// The status and body of an answer.
pub(crate) async fn get(client: &Client, url: &str) -> Result<(u16, String), String> {
    let request = http::Request::get(url).body(Full::default()).unwrap();
    send(client, request).await
}

pub(crate) async fn send(
    client: &Client,
    request: http::Request<Full<Bytes>>,
) -> Result<(u16, String), String> {
    let asked = async {
        let response = client
            .request(request)
            .await
            .map_err(|error| format!("{error:?}"))?;
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| format!("{error:?}"))?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    };
    timeout(PATIENCE, asked)
        .await
        .map_err(|_| "no answer in time".to_owned())?
}

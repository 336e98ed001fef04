//! One request: which endpoint answers it, and what happens when that one does not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use proffer_edge_core::retry::{Failure, may_retry};
use proffer_edge_core::traffic::Outcome;
use tokio::time::timeout;
use tracing::debug;

use super::body::{RequestBody, ResponseBody};
use super::{headers, upgrade};
use crate::proxy::Proxy;
use crate::route::{Open, Route};

/// How long an endpoint may take to begin its answer: as nginx.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Sends a request to an endpoint, to others where that failed and no harm can come of it, and passes the answer on.
pub(super) async fn forward(
    route: &Arc<Route>,
    proxy: &Proxy,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Response<ResponseBody> {
    if request.method() == Method::CONNECT {
        return own(StatusCode::METHOD_NOT_ALLOWED, "there are no tunnels here\n");
    }
    let protocol = match request.version() < Version::HTTP_2 {
        true => headers::upgrade(request.headers()),
        false => None,
    };
    let client_upgrade = protocol.is_some().then(|| hyper::upgrade::on(&mut request));
    let (mut head, body) = request.into_parts();
    let is_grpc = is_grpc(&head);
    headers::prepare(&mut head.headers, &head.uri, peer.ip());
    if let Some(protocol) = protocol {
        headers::set_upgrade(&mut head.headers, protocol);
    }
    let is_idempotent = head.method.is_idempotent() && client_upgrade.is_none();
    let body = RequestBody::new(body);
    let client = if is_grpc {
        &proxy.client.http2
    } else {
        &proxy.client.http1
    };

    let mut attempts = Attempts::default();
    let (response, open) = loop {
        let Some(open) = route.pick(&attempts.tried) else {
            return match attempts.n == 0 {
                true => own(StatusCode::SERVICE_UNAVAILABLE, "no endpoint is ready\n"),
                false => own(StatusCode::BAD_GATEWAY, "no endpoint answers\n"),
            };
        };
        let Some(attempt) = attempt(&head, &open, body.again(), is_grpc) else {
            return own(StatusCode::BAD_REQUEST, "the target is not valid\n");
        };
        let guard = Judged::new(&open);
        let answered = timeout(ANSWER_TIMEOUT, client.request(attempt)).await;
        let failure = match answered {
            Ok(Ok(response)) => {
                let status = response.status().as_u16();
                guard.judge(Outcome::Status(status));
                let failure = Failure::Status(status);
                let again = may_retry(failure, is_idempotent, body.is_read());
                if !(again && attempts.has_another(route, &open, failure)) {
                    break (response, open);
                }
                continue;
            }
            Ok(Err(error)) => {
                debug!(endpoint = %open.pick.address, error = %chain(&error), "a request failed");
                match error.is_connect() {
                    true => Failure::Connect,
                    false => Failure::Broken,
                }
            }
            Err(_) => Failure::TimedOut,
        };
        guard.judge(match failure {
            Failure::Connect => Outcome::ConnectFailed,
            Failure::Broken | Failure::TimedOut | Failure::Status(_) => Outcome::Broken,
        });
        let again = may_retry(failure, is_idempotent, body.is_read());
        if again && attempts.has_another(route, &open, failure) {
            continue;
        }
        return match failure {
            Failure::TimedOut => own(StatusCode::GATEWAY_TIMEOUT, "the endpoint does not answer\n"),
            Failure::Connect | Failure::Broken | Failure::Status(_) => {
                own(StatusCode::BAD_GATEWAY, "the endpoint broke off\n")
            }
        };
    };
    answer(response, open, client_upgrade, proxy)
}

/// What was tried of one request.
#[derive(Debug, Default)]
struct Attempts {
    n: usize,
    tried: Vec<u64>,
}

impl Attempts {
    /// Whether there is one more attempt, after this one.
    fn has_another(&mut self, route: &Route, open: &Open, failure: Failure) -> bool {
        self.n += 1;
        self.tried.push(open.pick.handle);
        if !route.has_other(&self.tried) {
            // The only endpoint may just have closed a kept connection that it found idle: it is asked once more.
            if !(failure == Failure::Broken && self.n == 1) {
                return false;
            }
            self.tried.clear();
        }
        route.may_retry(self.n)
    }
}

/// The endpoint's answer, as it goes to the client.
fn answer(
    mut response: Response<Incoming>,
    open: Open,
    client_upgrade: Option<hyper::upgrade::OnUpgrade>,
    proxy: &Proxy,
) -> Response<ResponseBody> {
    *response.version_mut() = Version::HTTP_11;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let protocol = headers::upgrade(response.headers());
        let (Some(client), Some(protocol)) = (client_upgrade, protocol) else {
            return own(
                StatusCode::BAD_GATEWAY,
                "the endpoint changed its protocol unasked\n",
            );
        };
        let endpoint = hyper::upgrade::on(&mut response);
        let (mut head, _) = response.into_parts();
        headers::remove_hop_by_hop(&mut head.headers);
        headers::set_upgrade(&mut head.headers, protocol);
        proxy.tasks.spawn(upgrade::pass(client, endpoint, open));
        return Response::from_parts(head, ResponseBody::Own(None));
    }
    headers::remove_hop_by_hop(response.headers_mut());
    response.map(|body| ResponseBody::passed(body, open))
}

/// The request as it goes to this endpoint.
fn attempt(head: &Parts, open: &Open, body: RequestBody, is_grpc: bool) -> Option<Request<RequestBody>> {
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(Authority::try_from(open.pick.address.to_string()).ok()?);
    let path = head.uri.path_and_query().cloned();
    uri.path_and_query = Some(path.unwrap_or(PathAndQuery::from_static("/")));
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    *request.version_mut() = if is_grpc {
        Version::HTTP_2
    } else {
        Version::HTTP_11
    };
    *request.headers_mut() = head.headers.clone();
    Some(request)
}

fn is_grpc(head: &Parts) -> bool {
    let content_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    head.version == Version::HTTP_2
        && content_type.is_some_and(|content_type| content_type.starts_with(b"application/grpc"))
}

/// An answer of the edge itself.
fn own(status: StatusCode, text: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::own(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// An attempt that is judged once: as the client's own leaving, if it is dropped before.
struct Judged<'a> {
    open: &'a Open,
    began: Instant,
    is_judged: bool,
}

impl<'a> Judged<'a> {
    fn new(open: &'a Open) -> Self {
        Self {
            open,
            began: Instant::now(),
            is_judged: false,
        }
    }

    fn judge(mut self, outcome: Outcome) {
        self.is_judged = true;
        self.open.judge(outcome, self.began.elapsed());
    }
}

impl Drop for Judged<'_> {
    fn drop(&mut self) {
        if !self.is_judged {
            self.open.judge(Outcome::Cancelled, self.began.elapsed());
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

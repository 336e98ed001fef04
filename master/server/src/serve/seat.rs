//! Where a connection is served: on the thread of people, until a call shows that it is the link of an agent or a framework.
//!
//! `people --first call of a link--> links`, and never back. The call itself runs among the links already; the connection
//! follows it, with its socket, which until then another runtime waits for.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::Request;
use hyper::rt::Executor;
use hyper::service::Service;
use proffer_grpc::v1::{agent_link_server, scheduler_server};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// The services whose calls are links.
const LINKS: [&str; 2] = [agent_link_server::SERVICE_NAME, scheduler_server::SERVICE_NAME];

/// One connection's.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    links: Handle,
    is_link: CancellationToken,
    has_left: Arc<AtomicBool>,
}

impl Seat {
    /// Among people; `links` is where a link goes.
    pub(super) fn new(links: Handle) -> Self {
        Self {
            links,
            is_link: CancellationToken::new(),
            has_left: Arc::default(),
        }
    }

    /// Returns when the connection belongs among the links.
    pub(super) async fn is_link(&self) {
        self.is_link.cancelled().await;
    }

    /// From now on the connection is polled among the links only.
    pub(super) fn leave(&self) {
        self.has_left.store(true, Ordering::Release);
    }

    /// Runs the connection's calls where it belongs.
    pub(super) fn executor(&self) -> Calls {
        Calls(self.clone())
    }

    pub(super) fn watched<S>(&self, service: S) -> Watched<S> {
        Watched {
            service,
            seat: self.clone(),
        }
    }

    pub(super) fn movable(&self, stream: TcpStream) -> Movable {
        Movable {
            stream: Some(stream),
            has_moved: false,
            seat: self.clone(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Calls(Seat);

impl<F> Executor<F> for Calls
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, call: F) {
        if self.0.is_link.is_cancelled() {
            self.0.links.spawn(call);
        } else {
            tokio::spawn(call);
        }
    }
}

/// A service that looks at what is called before it is.
#[derive(Debug)]
pub(super) struct Watched<S> {
    service: S,
    seat: Seat,
}

impl<B, S: Service<Request<B>>> Service<Request<B>> for Watched<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, request: Request<B>) -> Self::Future {
        if is_link(request.uri().path()) {
            self.seat.is_link.cancel();
        }
        self.service.call(request)
    }
}

fn is_link(path: &str) -> bool {
    let service = path.strip_prefix('/').and_then(|path| path.split('/').next());
    service.is_some_and(|service| LINKS.contains(&service))
}

/// A socket that waits in the runtime in which it is used.
#[derive(Debug)]
pub(super) struct Movable {
    /// Absent only after the move failed.
    stream: Option<TcpStream>,
    has_moved: bool,
    seat: Seat,
}

impl Movable {
    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if !self.has_moved && self.seat.has_left.load(Ordering::Acquire) {
            self.has_moved = true;
            let stream = self.stream.take().map(TcpStream::into_std).transpose()?;
            self.stream = stream.map(TcpStream::from_std).transpose()?;
        }
        let stream = self.stream.as_mut().map(Pin::new);
        stream.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Movable {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Movable {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().stream()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().stream()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_agents_and_frameworks_call_makes_a_link_and_nothing_else_does() {
        for link in [
            "/proffer.v1.AgentLink/Register",
            "/proffer.v1.Scheduler/Subscribe",
        ] {
            assert!(is_link(link), "{link}");
        }
        for other in [
            "/proffer.v1.Operator/ListTasks",
            "/proffer.v1.Jobs/Submit",
            "/readyz",
            "*",
            "",
        ] {
            assert!(!is_link(other), "{other}");
        }
    }
}

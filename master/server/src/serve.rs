//! Connections: accepted, served over HTTP/1 and HTTP/2 alike, probed, and ended at the shutdown.
//!
//! All begin on a thread of their own. Those of agents and frameworks leave it with their first call ([`seat`]), for the
//! runtime that the master was started in: so a person's call never waits behind what thousands of agents have to say.

mod seat;

use std::io;
use std::thread;
use std::time::Duration;

use axum::Router;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use seat::Seat;

/// How often an open HTTP/2 connection is probed, and how long the answer may take: a peer that vanished
/// without a word must not keep its streams open.
const PROBE_INTERVAL: Duration = Duration::from_secs(20);
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an HTTP/1 client may take to send its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connections may take to end at the shutdown before they are cut.
const GRACE: Duration = Duration::from_secs(1);
/// How long accepting pauses when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection has of the server.
#[derive(Clone)]
struct Door {
    router: Router,
    /// Where links are served.
    links: Handle,
    shutdown: CancellationToken,
    /// Cancelled when no connection may go on.
    cut: CancellationToken,
    open: TaskTracker,
}

/// Serves until the shutdown, then lets connections end for a moment. Dropped, it cuts them.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let people = runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = listener.into_std()?;
    let listener = {
        let _here = people.enter();
        TcpListener::from_std(listener)?
    };
    let cut = CancellationToken::new();
    let _dropped = cut.clone().drop_guard();
    let door = Door {
        router,
        links: Handle::current(),
        shutdown,
        cut,
        open: TaskTracker::new(),
    };
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("people".to_owned()).spawn(move || {
        people.block_on(door.accept(listener));
        drop(people);
        // Whoever waited may have been dropped.
        let _ = ended.send(());
    })?;
    let _ = end.await;
    Ok(())
}

impl Door {
    async fn accept(self, listener: TcpListener) {
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                () = self.cut.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        tokio::spawn(self.open.track_future(self.clone().connection(stream)));
                    }
                    Err(error) => {
                        warn!(error = &error as &dyn std::error::Error, "accepting a connection failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        self.open.close();
        if tokio::time::timeout(GRACE, self.open.wait()).await.is_err() {
            debug!(
                n_connections = self.open.len(),
                "cutting connections that did not end"
            );
            self.cut.cancel();
            self.open.wait().await;
        }
    }

    async fn connection(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(
                error = &error as &dyn std::error::Error,
                "no nodelay on a connection"
            );
        }
        let seat = Seat::new(self.links.clone());
        // A token of its own: it is looked at whenever something comes, and one lock for all would be waited for.
        let cut = self.cut.child_token();
        let mut served = self.served(stream, &seat);
        tokio::select! {
            biased;
            () = cut.cancelled() => return,
            () = &mut served => return,
            () = seat.is_link() => {}
        }
        seat.leave();
        let rest = async move {
            cut.run_until_cancelled(served).await;
        };
        self.links.spawn(self.open.track_future(rest));
    }

    fn served(&self, stream: TcpStream, seat: &Seat) -> BoxFuture<'static, ()> {
        let mut builder = Builder::new(seat.executor());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PROBE_INTERVAL)
            .keep_alive_timeout(PROBE_TIMEOUT);
        let service = seat.watched(TowerToHyperService::new(self.router.clone()));
        let served = builder.serve_connection(TokioIo::new(seat.movable(stream)), service);
        let (served, shutdown) = (served.into_owned(), self.shutdown.child_token());
        async move {
            tokio::pin!(served);
            let result = tokio::select! {
                result = served.as_mut() => result,
                () = shutdown.cancelled() => {
                    served.as_mut().graceful_shutdown();
                    served.await
                }
            };
            if let Err(error) = result {
                debug!(error, "connection ended");
            }
        }
        .boxed()
    }
}

//! TCP connections, passed on byte for byte.

use std::sync::Arc;
use std::time::Instant;

use proffer_edge_core::traffic::Outcome;
use socket2::SockRef;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{CONNECT_TIMEOUT, Proxy, UNACKNOWLEDGED, accept};
use crate::route::{Open, Route};

/// What is read at once, in each direction.
const BUFFER: usize = 16 << 10;

/// Accepts connections until `stop`; those that are open go on to their own end.
pub(crate) async fn run(listener: TcpListener, route: Arc<Route>, proxy: Proxy, stop: CancellationToken) {
    accept(listener, &proxy, &stop, |client, _, permit| {
        let route = Arc::clone(&route);
        proxy.tasks.spawn(async move {
            pass(client, &route).await;
            drop(permit);
        });
    })
    .await;
    stop.cancel();
}

async fn pass(mut client: TcpStream, route: &Arc<Route>) {
    // Nothing has been sent before there is a connection, so any endpoint will do.
    let Some((mut endpoint, open)) = connect(route).await else {
        return;
    };
    let began = Instant::now();
    let passed = copy_bidirectional_with_sizes(&mut client, &mut endpoint, BUFFER, BUFFER).await;
    let outcome = match passed {
        Ok(_) => Outcome::Ended,
        // Either end may have broken off: nobody can be blamed.
        Err(_) => Outcome::Cancelled,
    };
    open.judge(outcome, began.elapsed());
}

/// Connects to the next endpoint that takes the connection.
pub(super) async fn connect(route: &Arc<Route>) -> Option<(TcpStream, Open)> {
    let mut tried = Vec::new();
    while let Some(open) = route.pick(&tried) {
        let began = Instant::now();
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(open.pick.address)).await;
        if let Ok(Ok(stream)) = connected
            && stream.set_nodelay(true).is_ok()
            && SockRef::from(&stream)
                .set_tcp_user_timeout(Some(UNACKNOWLEDGED))
                .is_ok()
        {
            return Some((stream, open));
        }
        open.judge(Outcome::ConnectFailed, began.elapsed());
        tried.push(open.pick.handle);
        if !route.may_retry(tried.len()) {
            break;
        }
    }
    None
}

//! Datagrams: whoever sends from one address and port stays with one endpoint for as long as either says something.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proffer_edge_core::traffic::Outcome;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Proxy;
use crate::route::{Open, Route};

/// A session in which nobody says anything for so long is over.
const IDLE: Duration = Duration::from_secs(60);
/// The same once the listener has ended or the endpoint has left.
const IDLE_AT_END: Duration = Duration::from_secs(1);
/// Sessions of one listener; datagrams of further senders are dropped.
const MAX_SESSIONS: usize = 4096;
/// Datagrams that may wait for an endpoint; further ones are dropped, as networks do.
const QUEUE: usize = 64;
/// The largest datagram.
const MAX_DATAGRAM: usize = 65_535;

struct Listener {
    socket: Arc<UdpSocket>,
    route: Arc<Route>,
    proxy: Proxy,
    stop: CancellationToken,
    sessions: BTreeMap<SocketAddr, mpsc::Sender<Vec<u8>>>,
}

/// Passes datagrams on until `stop`.
pub(crate) async fn run(socket: UdpSocket, route: Arc<Route>, proxy: Proxy, stop: CancellationToken) {
    let mut listener = Listener {
        socket: Arc::new(socket),
        route,
        proxy,
        stop,
        sessions: BTreeMap::new(),
    };
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let received = tokio::select! {
            received = listener.socket.recv_from(&mut buffer) => received,
            () = listener.stop.cancelled() => return,
        };
        match received {
            Ok((len, from)) => listener.pass(from, buffer[..len].to_vec()),
            // An answer that could not be delivered is told to the socket as an error of its own.
            Err(error) => debug!(%error, "receiving datagrams"),
        }
    }
}

impl Listener {
    fn pass(&mut self, from: SocketAddr, datagram: Vec<u8>) {
        let datagram = match self.sessions.get(&from) {
            None => datagram,
            Some(session) => match session.try_send(datagram) {
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => return,
                Err(mpsc::error::TrySendError::Closed(datagram)) => datagram,
            },
        };
        self.sessions.remove(&from);
        if self.sessions.len() >= MAX_SESSIONS {
            self.sessions.retain(|_, session| !session.is_closed());
        }
        if self.sessions.len() >= MAX_SESSIONS {
            return;
        }
        let Some(open) = self.route.pick(&[]) else { return };
        let (sender, datagrams) = mpsc::channel(QUEUE);
        if sender.try_send(datagram).is_ok() {
            self.sessions.insert(from, sender);
        }
        let session = Session {
            socket: Arc::clone(&self.socket),
            route: Arc::clone(&self.route),
            from,
        };
        self.proxy.tasks.spawn(session.run(open, datagrams));
    }
}

struct Session {
    socket: Arc<UdpSocket>,
    route: Arc<Route>,
    from: SocketAddr,
}

impl Session {
    async fn run(self, open: Open, datagrams: mpsc::Receiver<Vec<u8>>) {
        let began = Instant::now();
        let outcome = match self.exchange(&open, datagrams).await {
            Ok(()) => Outcome::Ended,
            // The endpoint's host says that nobody listens there.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Outcome::ConnectFailed,
            Err(_) => Outcome::Broken,
        };
        open.judge(outcome, began.elapsed());
    }

    /// Passes datagrams both ways until neither comes, or the listener has ended, or the endpoint has left.
    async fn exchange(&self, open: &Open, mut datagrams: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
        let endpoint = connect(open.pick.address).await?;
        loop {
            tokio::select! {
                datagram = datagrams.recv() => match datagram {
                    Some(datagram) => drop(endpoint.send(&datagram).await?),
                    None => return self.last_answers(&endpoint).await,
                },
                ready = endpoint.readable() => {
                    ready?;
                    self.answer(&endpoint).await?;
                }
                () = sleep(IDLE) => return Ok(()),
            }
            let is_told = self.route.with_pool(|pool| pool.is_told(open.pick.handle));
            if !is_told && datagrams.is_empty() {
                // What comes next goes to another endpoint.
                drop(datagrams);
                return self.last_answers(&endpoint).await;
            }
        }
    }

    /// Passes on a datagram that is there. The buffer lives no longer than it, as sessions are many.
    async fn answer(&self, endpoint: &UdpSocket) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(MAX_DATAGRAM);
        match endpoint.try_recv_buf(&mut buffer) {
            // Whether the client still is there is not the endpoint's to answer for.
            Ok(_) => drop(self.socket.send_to(&buffer, self.from).await),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Passes on what the endpoint still says, until it is silent.
    async fn last_answers(&self, endpoint: &UdpSocket) -> io::Result<()> {
        while let Ok(ready) = timeout(IDLE_AT_END, endpoint.readable()).await {
            ready?;
            self.answer(endpoint).await?;
        }
        Ok(())
    }
}

async fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

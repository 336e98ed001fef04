//! Questions outside our zone, asked on at the upstreams.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_server::proto::op::{LowerQuery, Message, ResponseCode};
use hickory_server::server::Request;
use rand::RngExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Reply, is_udp};

/// How long an upstream may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Questions under way at upstreams; more are answered SERVFAIL.
const MAX_UNDER_WAY: usize = 512;
/// More than any answer by UDP that was not asked to be larger.
const UDP_BUFFER: usize = 4096;

#[derive(Debug)]
pub(super) struct Forwarder {
    upstreams: Arc<[SocketAddr]>,
    room: Semaphore,
}

impl Forwarder {
    pub(super) fn new(upstreams: Arc<[SocketAddr]>) -> Self {
        Self {
            upstreams,
            room: Semaphore::new(MAX_UNDER_WAY),
        }
    }

    pub(super) fn is_there(&self) -> bool {
        !self.upstreams.is_empty()
    }

    /// The first upstream's answer; REFUSED where there is none to ask.
    pub(super) async fn ask(&self, request: &Request) -> Reply {
        if !self.is_there() || is_ours(request) {
            return Reply::error(ResponseCode::Refused);
        }
        let Ok(_permit) = self.room.try_acquire() else {
            return Reply::error(ResponseCode::ServFail);
        };
        for upstream in self.upstreams.iter() {
            let asked = timeout(TIMEOUT, ask(request, *upstream)).await;
            if let Ok(Ok(message)) = asked {
                return Reply {
                    code: Some(message.metadata.response_code),
                    is_ours: false,
                    truncated: message.metadata.truncation,
                    answers: message.answers,
                    authorities: message.authorities,
                    additionals: message.additionals,
                };
            }
        }
        Reply::error(ResponseCode::ServFail)
    }
}

/// Our own names are never asked elsewhere, even while we know none.
fn is_ours(request: &Request) -> bool {
    let zone = proffer_edge_core::names::ZONE.as_bytes();
    let mut queries = request.queries.queries().iter();
    queries.any(|query| query.name().iter().next_back() == Some(zone))
}

/// Asks the same question under a number of our own.
async fn ask(request: &Request, upstream: SocketAddr) -> io::Result<Message> {
    let id: u16 = rand::rng().random();
    let mut question = request.as_slice().to_vec();
    let Some(head) = question.get_mut(..2) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    head.copy_from_slice(&id.to_be_bytes());
    let is_answer = |message: &Message| {
        let asked = request.queries.queries().first();
        let answered = message.queries.first();
        message.metadata.id == id
            && asked
                .zip(answered)
                .is_some_and(|(asked, answered)| *asked == LowerQuery::from(answered.clone()))
    };
    if is_udp(request) {
        let any: SocketAddr = match upstream {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(upstream).await?;
        socket.send(&question).await?;
        let mut buffer = vec![0; UDP_BUFFER];
        loop {
            let len = socket.recv(&mut buffer).await?;
            // Whatever is no answer to this is somebody's forgery.
            if let Ok(message) = Message::from_vec(&buffer[..len])
                && is_answer(&message)
            {
                return Ok(message);
            }
        }
    }
    let mut stream = TcpStream::connect(upstream).await?;
    let len = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&len.to_be_bytes()).await?;
    stream.write_all(&question).await?;
    let len = stream.read_u16().await?;
    let mut answer = vec![0; len.into()];
    stream.read_exact(&mut answer).await?;
    let message = Message::from_vec(&answer).map_err(io::Error::other)?;
    match is_answer(&message) {
        true => Ok(message),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

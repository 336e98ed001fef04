//! The stream to the master: dialled, read, dialled again.
//!
//! Each stream has a number of its own and ends as a whole: whatever loses a message loses the stream.

use std::time::Duration;

use proffer_agent_core::{Command, LinkId};
use proffer_grpc::leader::{self, Masters};
use proffer_grpc::v1::agent_link_client::AgentLinkClient;
use proffer_wire::agent_link::from_master_frame;
use proffer_wire::frame::MAX_MESSAGE_BYTES;
use proffer_wire::v1;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tracing::{debug, info, warn};

use crate::AgentError;
use crate::containers::chain;
use crate::driver::Input;

/// Frames waiting to be sent; a full queue means the master does not read, and the stream is closed. Takes
/// the largest registration (64 MiB in frames of 1 MiB) and then some.
pub(crate) const MAX_FRAMES_QUEUED: usize = 256;

/// The first wait before dialling again; doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(50);

/// The longest wait before dialling again.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The longest wait after a master that stands by named the leader: one of the two is about to know better.
const RETRY_NAMED: Duration = Duration::from_millis(500);

/// From this wait on, a master out of reach is worth a warning: before, it may well be starting.
const RETRY_WARNED: Duration = Duration::from_secs(1);

/// How long a master may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a silent connection may stay silent before it is probed, and how long the probe may take.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// One open stream, as the driver uses it.
#[derive(Debug)]
pub(crate) struct LinkHandle {
    pub(crate) link: LinkId,
    pub(crate) frames: mpsc::Sender<v1::AgentFrame>,
    /// Ends the stream.
    pub(crate) close: CancellationToken,
}

/// How a stream came to its end.
struct Ended {
    /// Whether the master ever said anything on it.
    was_used: bool,
    /// The leader, where the master named one.
    leader: Option<String>,
}

/// Checks the masters' addresses.
pub(crate) fn masters(addresses: &[String]) -> Result<Masters, AgentError> {
    if addresses.is_empty() {
        return Err(AgentError::NoMaster);
    }
    for address in addresses {
        endpoint(address)?;
    }
    Ok(Masters::new(addresses.to_vec()))
}

fn endpoint(address: &str) -> Result<Endpoint, AgentError> {
    let refuse = || AgentError::MasterAddress {
        address: address.to_owned(),
    };
    leader::is_address(address).then_some(()).ok_or_else(refuse)?;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| refuse())?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true))
}

/// Keeps a stream to one of the masters until `shutdown`.
pub(crate) async fn run(
    mut masters: Masters,
    seed: u64,
    driver: mpsc::Sender<Input>,
    shutdown: CancellationToken,
) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut wait = RETRY_MIN;
    for n in 1_u64.. {
        let Some(master) = masters.dial() else { return };
        let dialled = shutdown
            .run_until_cancelled(one_stream(&master, LinkId(n), &driver, wait >= RETRY_WARNED))
            .await;
        let Some(Ended { was_used, leader }) = dialled else {
            return;
        };
        if was_used {
            wait = RETRY_MIN;
        }
        if let Some(leader) = leader {
            masters.follow(&leader);
            wait = wait.min(RETRY_NAMED);
        }
        // Jitter keeps a thousand agents from dialling a new master in step.
        let jittered = wait.mul_f64(rng.random_range(0.5..1.0));
        if shutdown
            .run_until_cancelled(tokio::time::sleep(jittered))
            .await
            .is_none()
        {
            return;
        }
        wait = (wait * 2).min(RETRY_MAX);
    }
}

async fn connect(master: &str, warns: bool) -> Option<Channel> {
    let endpoint = endpoint(master).ok()?;
    match endpoint.connect().await {
        Ok(channel) => Some(channel),
        Err(error) => {
            let error = chain(&error);
            if warns {
                warn!(master, error, "cannot reach the master");
            } else {
                debug!(master, error, "cannot reach the master");
            }
            None
        }
    }
}

/// Opens one stream and reads it to its end.
async fn one_stream(master: &str, link: LinkId, driver: &mpsc::Sender<Input>, warns: bool) -> Ended {
    let mut ended = Ended {
        was_used: false,
        leader: None,
    };
    let Some(channel) = connect(master, warns).await else {
        return ended;
    };
    let (frames, queue) = mpsc::channel(MAX_FRAMES_QUEUED);
    let close = CancellationToken::new();
    let handle = LinkHandle {
        link,
        frames,
        close: close.clone(),
    };
    if driver.send(Input::LinkUp(handle)).await.is_err() {
        return ended;
    }
    let read = read(channel, queue, link, driver, &mut ended.was_used);
    match close.run_until_cancelled(read).await {
        None => debug!(master, "stream closed"),
        Some(Ok(())) => info!(master, "the master ended the stream"),
        Some(Err(status)) => {
            ended.leader = leader::named(&status).map(str::to_owned);
            match &ended.leader {
                Some(leader) => info!(master, leader, "the master stands by"),
                None => {
                    warn!(master, code = ?status.code(), message = status.message(), "stream to the master lost");
                }
            }
        }
    }
    let _ = driver.send(Input::Command(Command::LinkDown { link })).await;
    ended
}

async fn read(
    channel: Channel,
    queue: mpsc::Receiver<v1::AgentFrame>,
    link: LinkId,
    driver: &mpsc::Sender<Input>,
    was_used: &mut bool,
) -> Result<(), tonic::Status> {
    let mut client = AgentLinkClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut incoming = client.register(ReceiverStream::new(queue)).await?.into_inner();
    while let Some(frame) = incoming.message().await? {
        *was_used = true;
        let (session, messages) = from_master_frame(frame)
            .map_err(|error| tonic::Status::internal(format!("the master sent a bad frame: {error}")))?;
        let command = Command::MasterFrame {
            link,
            session,
            messages,
        };
        if driver.send(Input::Command(command)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_address_is_a_host_and_a_port() {
        for bad in ["", "host", "host:", "host:x", "host:0", "host:70000", "a b:1"] {
            assert!(masters(&[bad.to_owned()]).is_err(), "{bad:?}");
        }
        assert!(masters(&["127.0.0.1:5050".to_owned(), "master.example:5050".to_owned()]).is_ok());
        assert!(matches!(masters(&[]), Err(AgentError::NoMaster)));
    }
}

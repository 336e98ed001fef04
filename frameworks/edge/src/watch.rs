//! The conversation with the masters: what is told of services, and what is reported.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proffer_edge_core::catalog::Catalog;
use proffer_grpc::leader::{self, Masters};
use proffer_grpc::v1::discovery_client::DiscoveryClient;
use proffer_wire::frame::MAX_MESSAGE_BYTES;
use proffer_wire::v1;
use rand::RngExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tracing::{debug, info, warn};

use crate::error::EdgeError;
use crate::report;
use crate::state::Shared;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A master that is silent for twice this is given up.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// The first and the longest pause between two attempts.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(3);
/// The longest pause after a master named the leader.
const RETRY_NAMED: Duration = Duration::from_millis(300);

fn endpoint(address: &str) -> Result<Endpoint, EdgeError> {
    let refuse = || EdgeError::MasterAddress(address.to_owned());
    leader::is_address(address).then_some(()).ok_or_else(refuse)?;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| refuse())?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true))
}

/// Checks the masters' addresses.
pub(crate) fn masters(addresses: &[String]) -> Result<Masters, EdgeError> {
    if addresses.is_empty() {
        return Err(EdgeError::NoMaster);
    }
    addresses
        .iter()
        .try_for_each(|address| endpoint(address).map(drop))?;
    Ok(Masters::new(addresses.to_vec()))
}

/// Keeps being told until `shutdown`. While there is no master, what was told last holds.
pub(crate) async fn run(shared: Arc<Shared>, masters: Masters, name: String, shutdown: CancellationToken) {
    shutdown
        .run_until_cancelled(forever(&shared, masters, &name))
        .await;
}

async fn forever(shared: &Arc<Shared>, mut masters: Masters, name: &str) {
    let mut catalog = Catalog::new();
    let mut wait = RETRY_MIN;
    let mut said = None;
    while let Some(master) = masters.dial() {
        let error = match one_stream(shared, &mut catalog, &master, name).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        if shared.is_connected.swap(false, Ordering::AcqRel) {
            (wait, said) = (RETRY_MIN, None);
        }
        let code = Some(error.code());
        if let Some(leader) = leader::named(&error) {
            debug!(master, leader, "the master stands by");
            masters.follow(leader);
            wait = wait.min(RETRY_NAMED);
        } else if said != code {
            complain(&master, &error, shared.is_complete());
            said = code;
        }
        // Jitter keeps the edges of a thousand hosts from dialling a new master in step.
        let pause = wait.mul_f64(rand::rng().random_range(0.5..1.0));
        sleep(pause).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

/// Says once an outage what is wrong, and what that means for those who are served.
fn complain(master: &str, error: &Status, is_complete: bool) {
    let meanwhile = match is_complete {
        true => "what was told last is served on",
        false => "nothing is served until it does",
    };
    let (code, message) = (error.code(), error.message());
    let what = match matches!(code, Code::Unimplemented | Code::Unavailable) {
        true => "the master serves no proffer.v1.Discovery now",
        false => "no word of services from the master",
    };
    warn!(master, ?code, message, "{what}; {meanwhile}");
}

/// Opens one stream and takes over what comes, until it ends.
async fn one_stream(
    shared: &Arc<Shared>,
    catalog: &mut Catalog,
    master: &str,
    name: &str,
) -> Result<std::convert::Infallible, Status> {
    let endpoint = endpoint(master).map_err(|error| Status::internal(error.to_string()))?;
    let unreachable = |error| Status::unavailable(format!("cannot be reached: {}", chain(&error)));
    let channel = endpoint.connect().await.map_err(unreachable)?;
    let mut client = DiscoveryClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let edge = name.to_owned();
    let request = v1::WatchRequest { edge };
    let mut incoming = client.watch(request).await?.into_inner();
    let mut told = std::pin::pin!(async {
        catalog.begin();
        loop {
            let Some(frame) = incoming.message().await? else {
                return Err(Status::unavailable("the stream ended"));
            };
            let bad = |error: &dyn std::fmt::Display| Status::data_loss(format!("a bad frame: {error}"));
            let frame = frame
                .try_into()
                .map_err(|error: proffer_wire::ConvertError| bad(&error))?;
            if catalog.apply(frame).map_err(|error| bad(&error))? {
                shared.publish(catalog.services().clone(), Arc::clone(catalog.network()));
                if !shared.is_connected.swap(true, Ordering::AcqRel) {
                    info!(master, services = catalog.services().len(), "told all services");
                }
            }
        }
    });
    tokio::select! {
        ended = &mut told => ended,
        never = reporting(shared, channel, name) => match never {},
    }
}

/// Reports for as long as the stream lives; a report that fails does not end it.
async fn reporting(shared: &Arc<Shared>, channel: Channel, name: &str) -> std::convert::Infallible {
    loop {
        if let Err(error) = report::stream(shared, channel.clone(), name).await {
            debug!(code = ?error.code(), message = error.message(), "the master takes no reports");
        }
        sleep(RETRY_MAX).await;
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

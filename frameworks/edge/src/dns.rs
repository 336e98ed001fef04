//! The DNS server: questions of our zone are answered from what is known, others by the upstreams, where there are any.

mod forward;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::{Edns, MessageType, Metadata, OpCode, ResponseCode};
use hickory_server::proto::rr::rdata::{SOA, SRV};
use hickory_server::proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use proffer_edge_core::names::{self, Answer, Data, Kind, TTL_S, ZONE};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::forward::Forwarder;
use crate::sockets;
use crate::state::Shared;

/// A TCP connection that asks nothing for so long is closed.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);
/// Answers that may wait for a client that does not read.
const TCP_QUEUE: usize = 16;
/// The largest answer by UDP: what passes every network unfragmented (DNS flag day 2020).
const UDP_BYTES: u16 = 1232;
/// Pauses between attempts to listen.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Answers at one address until `shutdown`. Where it cannot listen it tries again.
pub(crate) async fn run(
    shared: Arc<Shared>,
    address: SocketAddr,
    upstreams: Arc<[SocketAddr]>,
    shutdown: CancellationToken,
) {
    let mut wait = RETRY_MIN;
    while !shutdown.is_cancelled() {
        let ended = serve(&shared, address, Arc::clone(&upstreams), &shutdown).await;
        let Err(error) = ended else { return };
        if wait == RETRY_MIN {
            warn!(%address, error, "no DNS there; trying again");
        }
        let pause = tokio::time::sleep(wait);
        if shutdown.run_until_cancelled(pause).await.is_none() {
            return;
        }
        wait = (wait * 2).min(RETRY_MAX);
    }
}

async fn serve(
    shared: &Arc<Shared>,
    address: SocketAddr,
    upstreams: Arc<[SocketAddr]>,
    shutdown: &CancellationToken,
) -> Result<(), String> {
    let socket = sockets::udp(address).map_err(|error| error.to_string())?;
    let listener = sockets::tcp(address).map_err(|error| error.to_string())?;
    let handler = Handler {
        shared: Arc::clone(shared),
        forwarder: Forwarder::new(upstreams),
    };
    let mut server = Server::new(handler);
    server.register_socket(socket);
    server.register_listener(listener, TCP_TIMEOUT, TCP_QUEUE);
    debug!(%address, "answering DNS");
    tokio::select! {
        () = shutdown.cancelled() => {}
        ended = server.block_until_done() => return ended.map_err(|error| error.to_string()),
    }
    server
        .shutdown_gracefully()
        .await
        .map_err(|error| error.to_string())
}

struct Handler {
    shared: Arc<Shared>,
    forwarder: Forwarder,
}

/// What a question is answered with.
#[derive(Default)]
struct Reply {
    code: Option<ResponseCode>,
    is_ours: bool,
    truncated: bool,
    answers: Vec<Record>,
    authorities: Vec<Record>,
    additionals: Vec<Record>,
}

impl Reply {
    fn error(code: ResponseCode) -> Self {
        Self {
            code: Some(code),
            ..Self::default()
        }
    }
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        self.shared.n_questions.fetch_add(1, Ordering::Relaxed);
        let reply = self.reply(request).await;
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = reply.code.unwrap_or(ResponseCode::NoError);
        metadata.authoritative = reply.is_ours;
        metadata.truncation = reply.truncated;
        metadata.recursion_available = self.forwarder.is_there();
        let mut edns = Edns::new();
        let mut response = MessageResponseBuilder::from_message_request(request);
        if request.edns.is_some() {
            edns.set_max_payload(request.max_payload().min(UDP_BYTES));
            response.edns(&edns);
        }
        let response = response.build(
            metadata,
            &reply.answers,
            &reply.authorities,
            [],
            &reply.additionals,
        );
        match response_handle.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                debug!(%error, "an answer was not sent");
                metadata.response_code = ResponseCode::ServFail;
                hickory_server::proto::op::Header {
                    metadata,
                    counts: hickory_server::proto::op::HeaderCounts::default(),
                }
                .into()
            }
        }
    }
}

impl Handler {
    async fn reply(&self, request: &Request) -> Reply {
        if request.metadata.message_type != MessageType::Query || request.metadata.op_code != OpCode::Query {
            return Reply::error(ResponseCode::NotImp);
        }
        let [query] = request.queries.queries() else {
            return Reply::error(ResponseCode::FormErr);
        };
        if query.query_class() != DNSClass::IN {
            return Reply::error(ResponseCode::Refused);
        }
        let name = query.name().to_string();
        let labels: Vec<&str> = name.split('.').filter(|label| !label.is_empty()).collect();
        match self.answer(&labels, query.query_type()) {
            Answer::Records { answers, additionals } => Reply {
                is_ours: true,
                answers: records(answers),
                additionals: records(additionals),
                ..Reply::default()
            },
            Answer::Soa => Reply {
                is_ours: true,
                answers: self.soa().into_iter().collect(),
                ..Reply::default()
            },
            Answer::NoData => self.nothing(ResponseCode::NoError),
            Answer::NxDomain => self.nothing(ResponseCode::NXDomain),
            Answer::Refused => self.forwarder.ask(request).await,
        }
    }

    fn answer(&self, labels: &[&str], kind: RecordType) -> Answer {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the zone has nothing of the others"
        )]
        let kind = match kind {
            RecordType::A => Kind::A,
            RecordType::AAAA => Kind::Aaaa,
            RecordType::SRV => Kind::Srv,
            RecordType::SOA => Kind::Soa,
            RecordType::ANY => Kind::Any,
            _ => Kind::Other,
        };
        let (services, down) = (self.shared.services.load(), self.shared.down.load());
        let is_ours = labels.last() == Some(&ZONE);
        if is_ours && !self.shared.is_complete() {
            // Nothing is known, so nothing can be said not to be there.
            return Answer::Refused;
        }
        let is_up = |service: &_, endpoint: &_| Shared::is_up(&down, service, endpoint);
        names::answer(&services, labels, kind, is_up, &mut rand::rng())
    }

    fn nothing(&self, code: ResponseCode) -> Reply {
        Reply {
            code: Some(code),
            is_ours: true,
            authorities: self.soa().into_iter().collect(),
            ..Reply::default()
        }
    }

    /// The zone's own record; it also says for how long names that are not there may be remembered so.
    fn soa(&self) -> Option<Record> {
        let zone = Name::from_ascii(format!("{ZONE}.")).ok()?;
        let server = Name::from_ascii(format!("ns.{ZONE}.")).ok()?;
        let people = Name::from_ascii(format!("hostmaster.{ZONE}.")).ok()?;
        // A serial wraps (RFC 1982).
        let serial = u32::try_from(self.shared.n_changes() & u64::from(u32::MAX)).unwrap_or(0);
        let soa = SOA::new(server, people, serial, 60, 10, 3600, TTL_S);
        Some(Record::from_rdata(zone, TTL_S, RData::SOA(soa)))
    }
}

fn records(records: Vec<names::Record>) -> Vec<Record> {
    let one = |record: names::Record| {
        let name = Name::from_ascii(record.name + ".").ok()?;
        let data = match record.data {
            Data::Address(address) => RData::from(address),
            Data::Srv { weight, port, target } => {
                RData::SRV(SRV::new(0, weight, port, Name::from_ascii(target + ".").ok()?))
            }
        };
        Some(Record::from_rdata(name, TTL_S, data))
    };
    records.into_iter().filter_map(one).collect()
}

/// Whether a question came by UDP.
fn is_udp(request: &Request) -> bool {
    request.protocol() == Protocol::Udp
}

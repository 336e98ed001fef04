//! DNS by UDP and TCP.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_server::proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_server::proto::rr::{Name, RData, RecordType};
use proffer_types::discovery::PortProtocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::master::Master;
use crate::world::{Edge, PATIENCE, endpoint, port, service, until};

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

async fn by_udp(server: SocketAddr, question: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(&question.to_vec().unwrap()).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let len = timeout(PATIENCE, socket.recv(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    Message::from_vec(&buffer[..len]).unwrap()
}

async fn by_tcp(server: SocketAddr, question: &Message) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let bytes = question.to_vec().unwrap();
    stream.write_u16(bytes.len().try_into().unwrap()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = vec![0; stream.read_u16().await.unwrap().into()];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

async fn ask(edge: &Edge, name: &str, kind: RecordType) -> Message {
    by_udp(edge.dns, &question(name, kind)).await
}

fn addresses(message: &Message) -> Vec<Ipv4Addr> {
    let one = |record: &hickory_server::proto::rr::Record| {
        if let RData::A(address) = &record.data {
            return Some(address.0);
        }
        None
    };
    let mut addresses: Vec<Ipv4Addr> = message.answers.iter().filter_map(one).collect();
    addresses.sort_unstable();
    addresses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_answered_within_a_second_and_what_was_told_holds_without_a_master() {
    let master = Master::start().await;
    let edge = Edge::start(&master).await;
    let name = "web.service.proffer.";
    let missing = ask(&edge, name, RecordType::A).await;
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    assert!(missing.metadata.authoritative);

    let at = |last: u8| endpoint(&format!("e{last}"), SocketAddr::from(([10, 1, 0, last], 80)));
    for last in 1..=5_u8 {
        let endpoints = (1..=last).map(at).collect();
        let web = service("web", "127.81.0.1", port(9, PortProtocol::Tcp), endpoints);
        let told = Instant::now();
        master.tell(&web);
        until("the new endpoint is told of", || async {
            let found = addresses(&ask(&edge, name, RecordType::A).await);
            (found.len() == usize::from(last)).then_some(())
        })
        .await;
        assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
    }
    let found = ask(&edge, "WEB.Service.Proffer.", RecordType::A).await;
    assert_eq!(addresses(&found).len(), 5);
    assert!(found.answers.iter().all(|record| record.ttl <= 1));

    let nothing = ask(&edge, name, RecordType::AAAA).await;
    assert_eq!(nothing.metadata.response_code, ResponseCode::NoError);
    assert!(nothing.answers.is_empty());
    assert_eq!(nothing.authorities[0].record_type(), RecordType::SOA);
    let own = ask(&edge, "web.virtual.proffer.", RecordType::A).await;
    assert_eq!(addresses(&own), [Ipv4Addr::new(127, 81, 0, 1)]);
    let ports = ask(&edge, "_main._tcp.web.service.proffer.", RecordType::SRV).await;
    assert_eq!((ports.answers.len(), ports.additionals.len()), (5, 5));
    let foreign = ask(&edge, "example.org.", RecordType::A).await;
    assert_eq!(foreign.metadata.response_code, ResponseCode::Refused);

    let address = master.address;
    drop(master);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(addresses(&ask(&edge, name, RecordType::A).await).len(), 5);

    // A master that knows nothing more is believed.
    let master = Master::start_at(address).await;
    until("the service is gone", || async {
        let answer = ask(&edge, name, RecordType::A).await;
        (answer.metadata.response_code == ResponseCode::NXDomain).then_some(())
    })
    .await;
    drop(master);
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_too_large_for_udp_is_had_by_tcp() {
    let master = Master::start().await;
    let many =
        (0..200_u8).map(|last| endpoint(&format!("e{last}"), SocketAddr::from(([10, 2, 0, last], 80))));
    master.tell(&service(
        "web",
        "127.81.0.2",
        port(9, PortProtocol::Tcp),
        many.collect(),
    ));
    let edge = Edge::start(&master).await;
    let plain = question("web.service.proffer.", RecordType::A);
    let cut = by_udp(edge.dns, &plain).await;
    assert!(cut.metadata.truncation && cut.answers.len() < 200);
    assert!(cut.to_vec().unwrap().len() <= 512);
    let mut larger = plain.clone();
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    larger.edns = Some(edns);
    let larger = by_udp(edge.dns, &larger).await;
    assert!(larger.metadata.truncation && larger.answers.len() > cut.answers.len());
    assert!(larger.to_vec().unwrap().len() <= 1232);
    let whole = by_tcp(edge.dns, &plain).await;
    assert!(!whole.metadata.truncation);
    assert_eq!(addresses(&whole).len(), 200);
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_names_are_asked_on_where_that_is_configured() {
    // An edge of another cluster stands in for a resolver: it answers what it is asked, with its own data.
    let upstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = upstream.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        loop {
            let (len, from) = upstream.recv_from(&mut buffer).await.unwrap();
            let mut answer = Message::from_vec(&buffer[..len]).unwrap();
            assert_ne!(answer.queries[0].name().to_ascii(), "x.service.proffer.");
            answer.metadata.message_type = MessageType::Response;
            let name = answer.queries[0].name().clone();
            let forged = RData::from(std::net::IpAddr::from([6, 6, 6, 6]));
            answer.answers = vec![hickory_server::proto::rr::Record::from_rdata(
                name.clone(),
                60,
                forged,
            )];
            let id = answer.metadata.id;
            answer.metadata.id = id.wrapping_add(1);
            upstream.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
            answer.metadata.id = id;
            let real = RData::from(std::net::IpAddr::from([192, 0, 2, 7]));
            answer.answers = vec![hickory_server::proto::rr::Record::from_rdata(name, 60, real)];
            upstream.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    let master = Master::start().await;
    let edge = Edge::start_with(&master, vec![address]).await;
    let answer = ask(&edge, "example.org.", RecordType::A).await;
    assert_eq!(addresses(&answer), [Ipv4Addr::new(192, 0, 2, 7)]);
    assert!(!answer.metadata.authoritative && answer.metadata.recursion_available);
    let ours = ask(&edge, "x.service.proffer.", RecordType::A).await;
    assert_eq!(ours.metadata.response_code, ResponseCode::NXDomain);
    edge.end().await;
}

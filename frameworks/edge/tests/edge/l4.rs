//! TCP and UDP, passed on as they come, and listeners that cannot be had.

use std::net::SocketAddr;
use std::time::Duration;

use proffer_types::discovery::PortProtocol;
use proffer_types::edge_report::EndpointCondition;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use crate::master::Master;
use crate::world::{Backend, Edge, PATIENCE, client, endpoint, get, port, service, until};

/// Greets with its name, and then sends back what it gets.
async fn echo(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                stream.write_all(name.as_bytes()).await.unwrap();
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

async fn greeting(address: &str) -> Option<(TcpStream, char)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let mut name = [0];
    stream.read_exact(&mut name).await.ok()?;
    Some((stream, name[0].into()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_goes_to_each_in_turn_and_what_is_open_outlives_its_endpoint_and_the_listener() {
    let master = Master::start().await;
    let (a, b) = (endpoint("a", echo("a").await), endpoint("b", echo("b").await));
    let dead = endpoint("dead", crate::world::free_port());
    let tcp = |endpoints| service("tcp", "127.82.0.1", port(7000, PortProtocol::Tcp), endpoints);
    master.tell(&tcp(vec![a, b.clone(), dead]));
    let edge = Edge::start(&master).await;
    let address = "127.82.0.1:7000";
    let mut open = until("a connection", || greeting(address)).await;
    let mut seen = vec![open.1];
    for _ in 0..9 {
        // The dead one costs a retry, not the connection.
        seen.push(greeting(address).await.unwrap().1);
    }
    assert!(seen.contains(&'a') && seen.contains(&'b'), "{seen:?}");

    master.tell(&tcp(vec![b]));
    until("a has left", || async {
        let (first, second) = (greeting(address).await?, greeting(address).await?);
        (first.1 == 'b' && second.1 == 'b').then_some(())
    })
    .await;
    edge.shutdown.cancel();
    until("nobody listens", || async {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
    assert!(!edge.running.is_finished());
    for _ in 0..100 {
        open.0.write_all(&[7; 1000]).await.unwrap();
        let mut back = [0; 1000];
        timeout(PATIENCE, open.0.read_exact(&mut back))
            .await
            .unwrap()
            .unwrap();
    }
    drop(open);
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn udp_senders_stay_with_one_endpoint_until_it_leaves() {
    async fn echo(name: &'static str) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            loop {
                let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
                let text = format!("{name}{}", String::from_utf8_lossy(&buffer[..len]));
                socket.send_to(text.as_bytes(), from).await.unwrap();
            }
        });
        address
    }
    async fn ask(socket: &UdpSocket, text: &str) -> Option<String> {
        socket.send(text.as_bytes()).await.ok()?;
        let mut buffer = [0; 2048];
        let len = timeout(Duration::from_millis(500), socket.recv(&mut buffer))
            .await
            .ok()?
            .ok()?;
        Some(String::from_utf8_lossy(&buffer[..len]).into_owned())
    }
    async fn sender() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect("127.82.0.2:5300").await.unwrap();
        socket
    }
    let master = Master::start().await;
    let (a, b) = (endpoint("a", echo("a").await), endpoint("b", echo("b").await));
    let udp = |endpoints| service("udp", "127.82.0.2", port(5300, PortProtocol::Udp), endpoints);
    master.tell(&udp(vec![a, b.clone()]));
    let edge = Edge::start(&master).await;
    let first = sender().await;
    let one = until("an answer", || ask(&first, "1")).await;
    let two = ask(&sender().await, "1").await.unwrap();
    assert_ne!(one, two);
    for _ in 0..20 {
        assert_eq!(ask(&first, "1").await.unwrap(), one);
    }
    master.tell(&udp(vec![b]));
    until("all go to b", || async {
        (ask(&first, "2").await? == "b2").then_some(())
    })
    .await;
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_reported_and_had_when_it_is_free() {
    let master = Master::start().await;
    let backend = Backend::start("a").await;
    let taken = std::net::TcpListener::bind("127.82.0.3:8080").unwrap();
    master.tell(&service(
        "web",
        "127.82.0.3",
        port(8080, PortProtocol::Http),
        vec![backend.endpoint()],
    ));
    // Two services want one place.
    let mut second = service(
        "xeb",
        "127.82.0.3",
        port(8080, PortProtocol::Http),
        vec![backend.endpoint()],
    );
    second.ports[0].number = 8080.try_into().unwrap();
    master.tell(&second);
    let edge = Edge::start(&master).await;
    let failures = until("the failure is reported", || async {
        let report = master.reports().pop()?;
        (report.listeners.len() == 2).then_some(report.listeners)
    })
    .await;
    assert!(
        failures
            .iter()
            .all(|failure| failure.address == "127.82.0.3:8080"),
        "{failures:?}"
    );
    let reasons: Vec<&str> = failures.iter().map(|failure| failure.reason.as_str()).collect();
    assert!(reasons.contains(&"default/web has it"), "{reasons:?}");
    assert!(
        reasons.iter().any(|reason| reason.contains("in use")),
        "{reasons:?}"
    );
    drop(taken);
    let client = client();
    until("the listener is there", || async {
        let answered = get(&client, "http://127.82.0.3:8080/").await.ok()?;
        (answered == (200, "a".to_owned())).then_some(())
    })
    .await;
    master.remove(&second);
    until("the failures are gone from the report", || async {
        master.reports().pop()?.listeners.is_empty().then_some(())
    })
    .await;
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_static_address_is_watched_over() {
    let master = Master::start().await;
    let (up, gone) = (Backend::start("up").await, crate::world::free_port());
    let mut endpoints = vec![up.endpoint(), endpoint("gone", gone)];
    endpoints.iter_mut().for_each(|endpoint| endpoint.probe = true);
    master.tell(&service(
        "ext",
        "127.82.0.4",
        port(8080, PortProtocol::Http),
        endpoints,
    ));
    let edge = Edge::start(&master).await;
    let found = until("the dead one is reported", || async {
        let found = master.reports().pop()?.endpoints;
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&*found[0].endpoint, found[0].condition),
        ("gone", EndpointCondition::Unreachable)
    );
    let client = client();
    for _ in 0..10 {
        assert_eq!(
            get(&client, "http://127.82.0.4:8080/").await,
            Ok((200, "up".to_owned()))
        );
    }
    let listener = TcpListener::bind(gone).await.unwrap();
    until("it is back", || async {
        master.reports().pop()?.endpoints.is_empty().then_some(())
    })
    .await;
    drop(listener);
    sleep(Duration::from_millis(10)).await;
    edge.end().await;
}

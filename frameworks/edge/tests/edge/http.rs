//! HTTP: balanced, tried again, drained, and nothing lost on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proffer_types::discovery::{BalancePolicy, DiscoveredService, Endpoint, PortProtocol};
use proffer_types::edge_report::EndpointCondition;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::master::Master;
use crate::world::{
    Backend, Client, Edge, PATIENCE, client, endpoint, free_port, get, port, send, service, until,
};

fn web(address: &str, endpoints: Vec<Endpoint>) -> DiscoveredService {
    service("web", address, port(8080, PortProtocol::Http), endpoints)
}

async fn served(client: &Client, url: &str) {
    until("it is served", || async {
        get(client, url).await.ok().filter(|(status, _)| *status == 200)
    })
    .await;
}

/// Clients that ask without a pause, each by a connection of its own that it keeps.
struct Load {
    clients: JoinSet<Vec<String>>,
    n_good: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Load {
    fn start(n_clients: usize, url: &str) -> Self {
        let (n_good, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut clients = JoinSet::new();
        for _ in 0..n_clients {
            let (n_good, stop, url) = (Arc::clone(&n_good), Arc::clone(&stop), url.to_owned());
            clients.spawn(async move {
                let (client, mut failures) = (client(), Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    match get(&client, &url).await {
                        Ok((200, _)) => drop(n_good.fetch_add(1, Ordering::Relaxed)),
                        other => failures.push(format!("{other:?}")),
                    }
                }
                failures
            });
        }
        Self {
            clients,
            n_good,
            stop,
        }
    }

    /// Waits until so many more were answered.
    async fn pass(&self, n: u64) {
        let before = self.n_good.load(Ordering::Relaxed);
        until("requests are answered", || async {
            (self.n_good.load(Ordering::Relaxed) >= before + n).then_some(())
        })
        .await;
    }

    async fn end(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.clients.join_all().await;
        (self.n_good.load(Ordering::Relaxed), failures.concat())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_are_replaced_under_load_and_no_request_fails() {
    let master = Master::start().await;
    let mut old = [Backend::start("0").await, Backend::start("0").await];
    let told = |backends: &[Backend]| {
        let all = backends.iter().enumerate();
        web(
            "127.83.0.1",
            all.map(|(n, of)| endpoint(&format!("{}-{n}", of.name), of.address))
                .collect(),
        )
    };
    master.tell(&told(&old));
    let edge = Edge::start(&master).await;
    let url = "http://127.83.0.1:8080/?sleep_ms=2";
    served(&client(), url).await;
    let load = Load::start(16, url);
    for round in 1..=8 {
        let name = round.to_string();
        let new = [Backend::start(&name).await, Backend::start(&name).await];
        master.tell(&told(&new));
        load.pass(200).await;
        // Nothing new goes to the old ones, and what they have they answer.
        for backend in std::mem::replace(&mut old, new) {
            backend.end().await;
        }
    }
    let (n_good, failures) = load.end().await;
    assert_eq!(failures, Vec::<String>::new(), "of {n_good}");
    assert!(n_good >= 1600);
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_endpoint_costs_no_request_and_gets_none_any_more() {
    let master = Master::start().await;
    let alive = Backend::start("alive").await;
    // Answers once on each connection, and breaks off in the midst of what comes next; then it is gone as a whole.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let broken = tokio::spawn(async move {
        for _ in 0..6 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.unwrap() > 0 {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")
                    .await
                    .unwrap();
                let _ = stream.read(&mut buffer).await;
            }
        }
    });
    master.tell(&web(
        "127.83.0.2",
        vec![alive.endpoint(), endpoint("broken", address)],
    ));
    let edge = Edge::start(&master).await;
    let (client, url) = (client(), "http://127.83.0.2:8080/");
    served(&client, url).await;
    for n in 0..100 {
        let (status, _) = get(&client, url).await.unwrap();
        assert_eq!(status, 200, "request {n}");
    }
    timeout(PATIENCE, broken).await.unwrap().unwrap();
    let found = until("it is ejected", || async {
        let found = master.reports().pop()?.endpoints;
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(
        (&*found[0].endpoint, found[0].condition),
        ("broken", EndpointCondition::Ejected)
    );
    let before = alive.n_requests();
    for _ in 0..20 {
        assert_eq!(get(&client, url).await, Ok((200, "alive".to_owned())));
    }
    assert_eq!(alive.n_requests(), before + 20);
    // Whatever has a body goes out once: its connection is made elsewhere, but it is not sent twice.
    let (_, metrics) = get(&client, &format!("http://{}/metrics", edge.status))
        .await
        .unwrap();
    for line in [
        r#"proffer_edge_route_ejections_total{namespace="default",service="web",port="8080",protocol="http"} 1"#,
        r#"proffer_edge_route_endpoints_eligible{namespace="default",service="web",port="8080",protocol="http"} 1"#,
        "proffer_edge_route_seconds_bucket{le=\"0.001\"",
        "proffer_edge_connected 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_endpoint_may_close_a_kept_connection_in_the_face_of_a_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let n_broken = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&n_broken);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.unwrap() > 0 {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";
                stream.write_all(answer).await.unwrap();
                if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    let master = Master::start().await;
    master.tell(&web("127.83.0.9", vec![endpoint("rude", address)]));
    let edge = Edge::start(&master).await;
    let (client, url) = (client(), "http://127.83.0.9:8080/");
    served(&client, url).await;
    for _ in 0..20 {
        assert_eq!(get(&client, url).await, Ok((200, "x".to_owned())));
    }
    assert!(n_broken.load(Ordering::Relaxed) >= 10);
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_sent_twice_is_tried_elsewhere_and_nothing_else() {
    let master = Master::start().await;
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let mut told = web("127.83.0.3", vec![a.endpoint(), b.endpoint()]);
    told.ports[0].outlier.consecutive_failures = 0;
    master.tell(&told);
    let edge = Edge::start(&master).await;
    let (client, url) = (client(), "http://127.83.0.3:8080/");
    served(&client, url).await;
    for _ in 0..4 {
        let tried = get(&client, &format!("{url}?status=503&of=a")).await.unwrap();
        assert_eq!(tried, (200, "b".to_owned()));
    }
    // Both fail: the last answer is the client's.
    assert_eq!(get(&client, &format!("{url}?status=503")).await.unwrap().0, 503);
    // 500 may have done something already.
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(get(&client, &format!("{url}?status=500&of=a")).await.unwrap().0);
    }
    assert!(seen.contains(&500) && seen.contains(&200), "{seen:?}");
    let mut seen = Vec::new();
    for _ in 0..4 {
        let post = Request::post(format!("{url}?status=503&of=a"))
            .body(Full::from("order"))
            .unwrap();
        seen.push(send(&client, post).await.unwrap());
    }
    assert!(
        seen.contains(&(503, "aorder".to_owned())) && seen.contains(&(200, "border".to_owned())),
        "{seen:?}"
    );

    // A connection that was never made has done nothing: an order goes elsewhere.
    master.tell(&web(
        "127.83.0.3",
        vec![endpoint("dead", free_port()), b.endpoint()],
    ));
    until("a has left", || async {
        let answer = get(&client, url).await.ok()?;
        (answer.1 == "b" && get(&client, url).await.ok()?.1 == "b").then_some(())
    })
    .await;
    for _ in 0..4 {
        let post = Request::post(url).body(Full::from("order")).unwrap();
        assert_eq!(send(&client, post).await, Ok((200, "border".to_owned())));
    }
    master.tell(&web("127.83.0.3", Vec::new()));
    until("nobody is left", || async {
        let answer = get(&client, url).await.ok()?;
        (answer == (503, "no endpoint is ready\n".to_owned())).then_some(())
    })
    .await;
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_ends_beside_a_new_one_drops_no_request() {
    let master = Master::start().await;
    let backend = Backend::start("a").await;
    master.tell(&web("127.83.0.4", vec![backend.endpoint()]));
    let mut edge = Edge::start(&master).await;
    let url = "http://127.83.0.4:8080/?sleep_ms=5";
    served(&client(), url).await;
    let load = Load::start(16, url);
    for _ in 0..4 {
        load.pass(200).await;
        let next = Edge::start(&master).await;
        sleep(Duration::from_millis(200)).await;
        std::mem::replace(&mut edge, next).end().await;
    }
    load.pass(200).await;
    let (n_good, failures) = load.end().await;
    assert_eq!(failures, Vec::<String>::new(), "of {n_good}");
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_at_the_end_is_answered() {
    let master = Master::start().await;
    let backend = Backend::start("a").await;
    master.tell(&web("127.83.0.5", vec![backend.endpoint()]));
    let edge = Edge::start(&master).await;
    let url = "http://127.83.0.5:8080/";
    served(&client(), url).await;
    let before = backend.n_requests();
    let mut slow = JoinSet::new();
    for _ in 0..8 {
        slow.spawn(async move { get(&client(), &format!("{url}?sleep_ms=2500")).await });
    }
    until("all have come", || async {
        (backend.n_requests() == before + 8).then_some(())
    })
    .await;
    edge.end().await;
    assert_eq!(slow.join_all().await, vec![Ok((200, "a".to_owned())); 8]);
    assert!(TcpStream::connect("127.83.0.5:8080").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_is_told_who_asks_and_both_versions_are_spoken() {
    let master = Master::start().await;
    let backend = Backend::start("a").await;
    master.tell(&web("127.83.0.6", vec![backend.endpoint()]));
    let edge = Edge::start(&master).await;
    let (plain, url) = (client(), "http://127.83.0.6:8080/");
    served(&plain, url).await;
    let second: Client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    for (client, version) in [(&plain, Version::HTTP_11), (&second, Version::HTTP_2)] {
        for (head, expected) in [
            ("x-forwarded-for", "192.0.2.1, 127.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("host", "127.83.0.6:8080"),
            ("keep-alive", ""),
        ] {
            let mut request =
                Request::get(format!("{url}?head={head}")).header("x-forwarded-for", "192.0.2.1");
            if version == Version::HTTP_11 {
                request = request.header("keep-alive", "1");
            }
            let request = request.version(version).body(Full::<Bytes>::default()).unwrap();
            assert_eq!(
                send(client, request).await,
                Ok((200, expected.to_owned())),
                "{version:?} {head}"
            );
        }
        let large = Bytes::from(vec![b'x'; 3 << 20]);
        let post = Request::post(url)
            .version(version)
            .body(Full::new(large))
            .unwrap();
        assert_eq!(send(client, post).await.unwrap().1.len(), (3 << 20) + 1);
    }
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_may_go_on_with_another_protocol() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(
            head.contains("connection: upgrade\r\n") && head.contains("upgrade: echo\r\n"),
            "{head}"
        );
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let master = Master::start().await;
    master.tell(&web("127.83.0.7", vec![endpoint("echo", address)]));
    let edge = Edge::start(&master).await;
    let stream = until("the listener", || async {
        TcpStream::connect("127.83.0.7:8080").await.ok()
    })
    .await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::get("/")
        .header("host", "x")
        .header("connection", "upgrade")
        .header("upgrade", "echo")
        .body(Full::<Bytes>::default())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 101);
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    for _ in 0..10 {
        stream.write_all(b"hello").await.unwrap();
        let mut back = [0; 5];
        timeout(PATIENCE, stream.read_exact(&mut back))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&back, b"hello");
    }
    drop(stream);
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_is_counted_once_for_each_endpoint_and_reported() {
    let master = Master::start().await;
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let (mut light, mut heavy) = (a.endpoint(), b.endpoint());
    (light.weight, heavy.weight) = (1, 3);
    let mut told = web("127.83.0.8", vec![light, heavy]);
    told.ports[0].policy = BalancePolicy::Weighted;
    master.tell(&told);
    let edge = Edge::start(&master).await;
    let (client, url) = (client(), "http://127.83.0.8:8080/");
    served(&client, url).await;
    for _ in 0..40 {
        get(&client, &format!("{url}?status=404")).await.unwrap();
    }
    let (a_asked, b_asked) = (a.n_requests(), b.n_requests());
    assert!(
        (9..=12).contains(&a_asked) && a_asked + b_asked >= 41,
        "{a_asked} {b_asked}"
    );
    let sums = std::sync::Mutex::new((0, 0));
    until("all is reported", || async {
        let mut sums = sums.lock().unwrap();
        for of in master.reports().into_iter().flat_map(|report| report.traffic) {
            assert_eq!(of.traffic.latency.iter().sum::<u64>(), of.traffic.count);
            sums.0 += of.traffic.count;
            sums.1 += of.traffic.by_class[3];
        }
        (*sums == (a_asked + b_asked, 40)).then_some(())
    })
    .await;
    let body = client.get(url.parse().unwrap()).await.unwrap().into_body();
    body.collect().await.unwrap();
    edge.end().await;
}

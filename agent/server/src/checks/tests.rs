//! Servers that answer well, badly, and not to the end.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use proffer_types::{AgentId, Resources, TaskId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;

const SOON: Duration = Duration::from_millis(300);

fn check(kind: CheckKind, timeout: Duration) -> Planned {
    let info = TaskInfo::new(
        TaskId::new("t").unwrap(),
        AgentId::new("a").unwrap(),
        Resources::new(),
        ["true"],
    );
    Planned {
        which: CheckRole::Health,
        port: port(&kind, &info),
        first_in: Duration::ZERO,
        check: Check {
            kind,
            delay: Duration::ZERO,
            interval: SOON,
            timeout,
            grace: Duration::ZERO,
            failures: 1,
        },
    }
}

/// There is no container to execute a command in.
fn none() -> Execute {
    Arc::new(|_| Box::pin(async { Err("the container is not running".to_owned()) }))
}

/// Serves every connection in the same way; answers with the port.
async fn server<T: Future<Output = ()> + Send>(
    serve: impl Fn(TcpStream) -> T + Send + Sync + 'static,
) -> PortRef {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            serve(listener.accept().await.unwrap().0).await;
        }
    });
    PortRef::Number(port)
}

async fn http_server(answer: &'static str) -> PortRef {
    server(move |mut stream| async move {
        // The request fits one packet.
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await
}

async fn http(port: PortRef, tls: bool) -> Result<(), String> {
    let path = "/healthz?full=1".to_owned();
    let kind = CheckKind::Http { port, path, tls };
    check(kind, Duration::from_secs(5))
        .once(&Network::Host, &none())
        .await
}

#[tokio::test]
async fn a_web_server_is_well_when_its_status_is_below_400_and_its_body_is_not_read() {
    let well = http_server(
        "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 1000000000000\r\n\r\nnot all of it",
    )
    .await;
    assert_eq!(http(well, false).await, Ok(()));
    let ill = http_server("HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
    assert_eq!(
        http(ill, false).await.unwrap_err(),
        "it answered with status 503 Service Unavailable"
    );
    let mute = http_server("").await;
    let error = http(mute, false).await.unwrap_err();
    assert!(error.starts_with("no HTTP answer: "), "{error}");
}

#[tokio::test]
async fn a_server_that_never_stops_its_headers_or_hardly_begins_them_fails_in_bounded_time_and_memory() {
    let endless = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream
            .write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n")
            .await
            .is_ok()
        {}
    })
    .await;
    let error = http(endless, false).await.unwrap_err();
    assert!(error.starts_with("no HTTP answer: "), "{error}");

    let slow = server(|mut stream| async move {
        while stream.write_all(b"H").await.is_ok() {
            tokio::time::sleep(SOON).await;
        }
    })
    .await;
    let kind = CheckKind::Http {
        port: slow,
        path: "/".to_owned(),
        tls: false,
    };
    let result = check(kind, SOON).once(&Network::Host, &none()).await;
    assert_eq!(result.unwrap_err(), "no answer within 300ms");
}

#[tokio::test]
async fn https_takes_any_certificate() {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key =
        rustls::pki_types::PrivateKeyDer::try_from(include_bytes!("testdata/key.der").to_vec()).unwrap();
    let certificate = include_bytes!("testdata/certificate.der").to_vec().into();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let port = server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .await;
                let _ = stream.shutdown().await;
            }
        }
    })
    .await;
    assert_eq!(http(port, true).await, Ok(()));
    let plain = http_server("HTTP/1.1 200 OK\r\n\r\n").await;
    let error = http(plain, true).await.unwrap_err();
    assert!(error.starts_with("no TLS connection: "), "{error}");
}

#[tokio::test]
async fn a_port_is_well_when_somebody_listens() {
    let port = server(|_| async {}).await;
    let kind = CheckKind::Tcp { port };
    assert_eq!(check(kind, SOON).once(&Network::Host, &none()).await, Ok(()));
    let nobody = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .unwrap();
    let port = PortRef::Number(nobody.local_addr().unwrap().port());
    drop(nobody);
    let error = check(CheckKind::Tcp { port }, SOON)
        .once(&Network::Host, &none())
        .await
        .unwrap_err();
    assert!(error.contains("refused"), "{error}");
    let unnamed = CheckKind::Tcp {
        port: PortRef::Name("web".to_owned()),
    };
    let error = check(unnamed, SOON)
        .once(&Network::Host, &none())
        .await
        .unwrap_err();
    assert_eq!(error, "the task has no port `web`");
}

#[tokio::test]
async fn a_grpc_server_is_well_when_it_says_that_it_serves() {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter
        .set_service_status("db", tonic_health::ServingStatus::NotServing)
        .await;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let router = tonic::service::Routes::new(service).prepare().into_axum_router();
        axum::serve(listener, router).await.unwrap();
    });
    let ask = async |service: &str| {
        let kind = CheckKind::Grpc {
            port: PortRef::Number(port),
            service: service.to_owned(),
        };
        check(kind, Duration::from_secs(5))
            .once(&Network::Host, &none())
            .await
    };
    assert_eq!(ask("").await, Ok(()));
    assert_eq!(ask("db").await.unwrap_err(), "it answered with NOT_SERVING");
    let error = ask("none").await.unwrap_err();
    assert!(error.starts_with("it answered with NotFound"), "{error}");
}

#[test]
fn what_a_task_says_of_itself_is_one_short_line() {
    let error = cut(&format!("a\nb\u{1b}[2J{}", "é".repeat(1000)));
    assert!(error.starts_with("a b [2Jé"), "{error}");
    assert!(error.len() <= MAX_ERROR_BYTES, "{}", error.len());
}

#[tokio::test]
async fn a_command_that_cannot_be_started_fails_the_check() {
    let kind = CheckKind::Command(vec!["true".to_owned()]);
    let error = check(kind, SOON).once(&Network::Host, &none()).await.unwrap_err();
    assert_eq!(error, "the container is not running");
}

//! Virtual addresses that the host does not have yet.

use proffer_types::discovery::PortProtocol;

use crate::master::Master;
use crate::world::{Backend, Edge, client, get, port, service, until};

fn is_on_this_host(address: &str) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_added_and_stays_for_as_long_as_an_edge_needs_it() {
    const ADDRESS: &str = "198.18.82.7";
    let master = Master::start().await;
    let backend = Backend::start("a").await;
    let web = service(
        "web",
        ADDRESS,
        port(8080, PortProtocol::Http),
        vec![backend.endpoint()],
    );
    master.tell(&web);
    let first = Edge::start(&master).await;
    let client = client();
    let url = format!("http://{ADDRESS}:8080/");
    let served = until("it is served, or the host does not allow it", || async {
        let denied = master.reports().pop().is_some_and(|report| {
            let mut listeners = report.listeners.iter();
            listeners.any(|listener| listener.reason.contains("cannot add"))
        });
        match denied {
            true => Some(false),
            false => get(&client, &url).await.is_ok().then_some(true),
        }
    })
    .await;
    if !served {
        eprintln!("skipped: addresses cannot be added to lo here");
        first.end().await;
        return;
    }
    // Another edge takes over: it needs what the first one added.
    let second = Edge::start(&master).await;
    until("the second listens too", || async {
        let text = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        let word = u32::from_ne_bytes([198, 18, 82, 7]);
        let listening = format!("{word:08X}:1F90 00000000:0000 0A");
        (text.matches(&listening).count() == 2).then_some(())
    })
    .await;
    first.end().await;
    assert!(is_on_this_host(ADDRESS));
    assert_eq!(get(&client, &url).await, Ok((200, "a".to_owned())));
    drop(client);
    second.end().await;
    assert!(!is_on_this_host(ADDRESS));
}

//! Bandwidth limits, measured.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Instant;

use proffer_linux::netns;
use proffer_network::{AttachError, Bandwidth, Mode, Request};

use crate::world::{PATIENCE, World, address, in_own_network};

/// What is sent: a second or so at the limits below, with their bursts.
const N_BYTES: usize = 1_500_000;

/// Megabits a second from one namespace to a server in another.
fn mbps(from: &Path, to: &Path, server: SocketAddr) -> f64 {
    let listener = netns::run_in(to, || TcpListener::bind(server)).unwrap().unwrap();
    let receiver = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes).unwrap();
        bytes.len()
    });
    let start = Instant::now();
    let connect = || TcpStream::connect_timeout(&server, PATIENCE);
    let mut connection = netns::run_in(from, connect).unwrap().unwrap();
    connection.write_all(&vec![0; N_BYTES]).unwrap();
    drop(connection);
    assert_eq!(receiver.join().unwrap(), N_BYTES);
    #[expect(clippy::cast_precision_loss, reason = "a few million bits")]
    let bits = (N_BYTES * 8) as f64;
    bits / start.elapsed().as_secs_f64() / 1e6
}

fn limited(world: &World, id: &str, egress: Option<u64>, ingress: Option<u64>) -> Request {
    Request {
        bandwidth: Bandwidth {
            egress_kbps: egress,
            ingress_kbps: ingress,
        },
        ..world.request(id, Mode::Bridge, &[])
    }
}

#[test]
fn a_container_sends_and_receives_as_fast_as_it_may() {
    in_own_network(|world| async move {
        let networks = world.networks(&[]).await;
        let slow = networks
            .attach(limited(&world, "slow", Some(8_000), Some(16_000)))
            .await
            .unwrap();
        let free = networks
            .attach(limited(&world, "free", None, None))
            .await
            .unwrap();
        let (slow_ns, free_ns) = (world.netns("slow"), world.netns("free"));
        let sent = mbps(&slow_ns, &free_ns, (address(&free), 80).into());
        let received = mbps(&free_ns, &slow_ns, (address(&slow), 80).into());
        let unlimited = mbps(&free_ns, &free_ns, (address(&free), 81).into());
        // On a busy machine it is less; never more, but for the first burst.
        assert!((3.0..9.5).contains(&sent), "sent at {sent} Mbit/s");
        assert!((6.0..19.0).contains(&received), "received at {received} Mbit/s");
        assert!(unlimited > 100.0, "{unlimited} Mbit/s");
        for id in ["slow", "free"] {
            networks.detach(id).await.unwrap();
        }
        networks.remove_unused().await.unwrap();
        assert_eq!(world.traces(), [].into());
    });
}

#[test]
fn no_bandwidth_at_all_is_refused() {
    in_own_network(|world| async move {
        let networks = world.networks(&[]).await;
        let error = networks
            .attach(limited(&world, "a", Some(0), None))
            .await
            .unwrap_err();
        assert!(matches!(error, AttachError::ZeroBandwidth), "{error}");
        let nowhere = Request {
            mode: Mode::None,
            ..limited(&world, "a", Some(1), None)
        };
        let error = networks.attach(nowhere).await.unwrap_err();
        assert!(matches!(error, AttachError::NothingToLimit), "{error}");
    });
}

//! What is particular to a store that others use at the same time, over a network.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::process::Command;
use std::time::{Duration, Instant};

use proffer_store::{
    Batch, Candidate, CommitError, Election as _, Etcd, EtcdAddress, EtcdError, MIN_LEASE, Revision, Store,
};
use tokio::time::timeout;

use crate::etcd_server::EtcdServer;

/// Larger than one transaction.
fn large(byte: u8) -> Batch {
    (0..150).fold(Batch::new().put("large", vec![byte; 2 << 20]), |batch, n| {
        batch.put(format!("many/{n:03}"), vec![byte])
    })
}

#[tokio::test]
async fn a_commit_cut_off_at_any_moment_takes_effect_whole_or_not_at_all() {
    let Some(server) = EtcdServer::start() else { return };
    let address = server.new_prefix();
    let mut outcomes = [0, 0];
    for n in 1..=40 {
        let store = Etcd::open(address.clone()).await.unwrap();
        let before = store.commit(large(0)).await.unwrap();
        // Dropped in the middle, as by a crash: what was sent is sent, and nothing follows.
        let patience = Duration::from_millis(n * 2);
        let _ = tokio::time::timeout(patience, store.commit(large(1))).await;
        drop(store);

        let next = Etcd::open(address.clone()).await.unwrap();
        let entries = next.scan("").await.unwrap();
        let byte = entries[0].value[0];
        outcomes[usize::from(byte)] += 1;
        assert_eq!(entries.len(), 151);
        for entry in &entries {
            assert!(
                entry.value.iter().all(|found| *found == byte),
                "{} {n}",
                entry.key
            );
            assert_eq!(entry.revision.0, before.0 + u64::from(byte), "{} {n}", entry.key);
        }
    }
    assert!(
        outcomes.iter().all(|n| *n > 0),
        "cut off too early or too late: {outcomes:?}"
    );
}

#[tokio::test]
async fn of_two_that_commit_on_the_same_record_one_wins() {
    let Some(server) = EtcdServer::start() else { return };
    let address = server.new_prefix();
    let (one, other) = (
        Etcd::open(address.clone()).await.unwrap(),
        Etcd::open(address).await.unwrap(),
    );
    let mut at = one.commit(Batch::new().put("meta", "0")).await.unwrap();
    for n in 0..20 {
        // Every other time too large for one transaction.
        let batch = |byte| match n % 2 {
            0 => Batch::new(),
            _ => large(byte),
        };
        let batch = |byte| batch(byte).put("meta", [byte]).require("meta", Some(at));
        let (first, second) = tokio::join!(one.commit(batch(1)), other.commit(batch(2)));
        let (won, lost) = if first.is_ok() {
            (first, second)
        } else {
            (second, first)
        };
        at = won.unwrap();
        assert!(matches!(lost, Err(CommitError::Conflict { .. })), "{lost:?}");
        assert_eq!(other.get("meta").await.unwrap().unwrap().revision, at);
    }
    assert_eq!(at, Revision(21));
}

#[tokio::test]
async fn who_writes_alone_asks_nothing_before_a_commit() {
    let Some(server) = EtcdServer::start() else { return };
    let store = Etcd::open(server.new_prefix()).await.unwrap();
    let fence = store.commit(Batch::new().put("meta", "0")).await.unwrap();
    let fenced = |batch: Batch| batch.require("meta", Some(fence));
    store.commit(fenced(Batch::new().put("a", "0"))).await.unwrap();
    let calls = || (server.n_calls("Range"), server.n_calls("Txn"));
    let before = calls();
    for n in 0..10 {
        store
            .commit(fenced(Batch::new().put("a", n.to_string())))
            .await
            .unwrap();
    }
    assert_eq!(calls(), (before.0, before.1 + 10));
    // As many as are admitted at once: staged, three groups put in place, and done.
    let many = (0..128).fold(Batch::new(), |batch, n| batch.put(format!("many/{n}"), "1"));
    store.commit(fenced(many)).await.unwrap();
    assert_eq!(calls(), (before.0, before.1 + 15));
    assert_eq!(store.scan("").await.unwrap().len(), 130);
    // What it depends on is its own as well.
    let at = store.commit(fenced(Batch::new().put("meta", "1"))).await.unwrap();
    let refused = store.commit(fenced(Batch::new().put("a", "x"))).await;
    assert!(
        matches!(refused, Err(CommitError::Conflict { .. })),
        "{refused:?}"
    );
    store
        .commit(Batch::new().put("a", "y").require("meta", Some(at)))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_is_an_error_in_time_and_used_again_when_it_is_back() {
    let Some(server) = EtcdServer::start() else { return };
    let store = Etcd::open(server.new_prefix()).await.unwrap();
    store.commit(Batch::new().put("a", "1")).await.unwrap();
    signal(&server, "-STOP");
    let since = Instant::now();
    let failed = store.commit(Batch::new().put("a", "2")).await;
    let took = since.elapsed();
    signal(&server, "-CONT");
    assert!(matches!(failed, Err(CommitError::Failed { .. })), "{failed:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = store.commit(Batch::new().put("a", "3")).await {
        assert!(Instant::now() < deadline, "{error}");
    }
    assert_eq!(store.get("a").await.unwrap().unwrap().value, b"3");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    // Bound and never listened on by an etcd.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("etcd://{}/x", taken.local_addr().unwrap());
    drop(taken);
    let refused = Etcd::open(address.parse().unwrap()).await.unwrap_err();
    assert!(matches!(refused, EtcdError::Unreachable { .. }), "{refused}");
    assert!(refused.to_string().contains(&address), "{refused}");
}

async fn candidate(address: &EtcdAddress) -> Candidate {
    Candidate::new(address, MIN_LEASE).await.unwrap()
}

#[tokio::test]
async fn one_leads_at_a_time_and_the_next_when_it_resigns_or_is_gone() {
    let Some(server) = EtcdServer::start() else { return };
    let address = server.new_prefix();
    let (one, other) = (candidate(&address).await, candidate(&address).await);
    assert_eq!(one.leader().await, None);
    let first = one.campaign("one").await;
    assert!(first.is_certain());
    assert_eq!(other.leader().await.as_deref(), Some("one"));

    let mut waiting = Box::pin(other.campaign("other"));
    assert!(timeout(MIN_LEASE * 2, &mut waiting).await.is_err(), "two lead");
    assert!(first.is_certain());
    first.resign().await;
    let second = timeout(MIN_LEASE / 2, waiting).await.unwrap();
    assert_eq!(one.leader().await.as_deref(), Some("other"));

    // As a process that is killed: it keeps nothing alive, and says nothing.
    let since = Instant::now();
    let waiting = one.campaign("one again");
    let (lost, third) = tokio::join!(
        async {
            assert!(timeout(MIN_LEASE, second.lost()).await.is_err());
            drop(second);
        },
        waiting
    );
    let () = lost;
    assert!(third.is_certain());
    assert!(since.elapsed() < MIN_LEASE * 6, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_leader_that_cannot_reach_etcd_stops_before_its_lease_ends() {
    let Some(server) = EtcdServer::start() else { return };
    let candidate = candidate(&server.new_prefix()).await;
    let leadership = candidate.campaign("it").await;
    signal(&server, "-STOP");
    let outcome = timeout(MIN_LEASE, leadership.lost()).await;
    let certain = leadership.is_certain();
    signal(&server, "-CONT");
    assert!(outcome.is_ok() && !certain);
    // And leads again when etcd is back.
    drop(leadership);
    let again = timeout(Duration::from_secs(20), candidate.campaign("it")).await;
    assert!(again.unwrap().is_certain());
}

fn signal(server: &EtcdServer, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &server.pid().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

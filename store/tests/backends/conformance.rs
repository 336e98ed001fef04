//! Every backend behaves like the model: one suite for all of them.

use proffer_store::{Batch, CommitError, MAX_BATCH_BYTES, Memory, Model, Revision, Store};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// An empty store, and the directory that goes with it.
struct Backend {
    name: &'static str,
    store: Box<dyn Store>,
    _directory: Option<tempfile::TempDir>,
}

/// What backends need to be there for all of a test.
#[derive(Default)]
struct Servers {
    #[cfg(feature = "etcd")]
    etcd: Option<crate::etcd_server::EtcdServer>,
}

impl Servers {
    fn start() -> Self {
        Self {
            #[cfg(feature = "etcd")]
            etcd: crate::etcd_server::EtcdServer::start(),
        }
    }
}

async fn backends(servers: &Servers) -> Vec<Backend> {
    let memory = Backend {
        name: "memory",
        store: Box::new(Memory::new()),
        _directory: None,
    };
    vec![
        memory,
        #[cfg(feature = "rocksdb")]
        rocks().await,
    ]
    .into_iter()
    .chain(etcd(servers).await)
    .collect()
}

#[cfg(not(feature = "etcd"))]
async fn etcd(_servers: &Servers) -> Option<Backend> {
    None
}

#[cfg(feature = "etcd")]
#[expect(clippy::unwrap_used, reason = "a test ends by panicking")]
async fn etcd(servers: &Servers) -> Option<Backend> {
    let address = servers.etcd.as_ref()?.new_prefix();
    let store = proffer_store::Etcd::open(address).await.unwrap();
    Some(Backend {
        name: "etcd",
        store: Box::new(store),
        _directory: None,
    })
}

#[cfg(feature = "rocksdb")]
#[expect(clippy::unwrap_used, reason = "a test ends by panicking")]
async fn rocks() -> Backend {
    let directory = tempfile::tempdir().unwrap();
    let store = proffer_store::Rocks::open(directory.path()).await.unwrap();
    Backend {
        name: "rocksdb",
        store: Box::new(store),
        _directory: Some(directory),
    }
}

#[tokio::test]
async fn a_batch_takes_effect_whole_or_not_at_all() {
    let servers = Servers::start();
    for Backend { name, store, .. } in &backends(&servers).await {
        let first = store.commit(Batch::new().put("a", "1").put("b", "2")).await;
        assert_eq!(first, Ok(Revision(1)), "{name}");
        let stale = Batch::new()
            .put("a", "x")
            .delete("b")
            .require("b", Some(Revision(7)));
        let conflict = CommitError::Conflict {
            key: "b".into(),
            expected: Some(Revision(7)),
            found: Some(Revision(1)),
        };
        assert_eq!(store.commit(stale).await, Err(conflict), "{name}");
        assert_eq!(store.get("a").await.unwrap().unwrap().value, b"1", "{name}");
        let good = Batch::new()
            .put("a", "x")
            .delete("b")
            .require("b", Some(Revision(1)))
            .require("c", None);
        assert_eq!(store.commit(good).await, Ok(Revision(2)), "{name}");
        let changed = store.get("a").await.unwrap().unwrap();
        assert_eq!(
            (changed.value, changed.revision),
            (b"x".to_vec(), Revision(2)),
            "{name}"
        );
        assert_eq!(store.get("b").await.unwrap(), None, "{name}");
    }
}

#[tokio::test]
async fn bad_keys_and_oversized_batches_are_refused() {
    let servers = Servers::start();
    for Backend { name, store, .. } in &backends(&servers).await {
        for key in ["", "\0revision", "a\nb", &"x".repeat(1025)] {
            let refused = store.commit(Batch::new().put(key, "1")).await;
            assert!(
                matches!(refused, Err(CommitError::BadKey { .. })),
                "{name} {key:?}"
            );
        }
        let large = vec![0; MAX_BATCH_BYTES];
        let refused = store.commit(Batch::new().put("a", large)).await;
        assert!(matches!(refused, Err(CommitError::TooLarge { .. })), "{name}");
        assert_eq!(store.scan("").await.unwrap(), [], "{name}");
        assert_eq!(store.get("\0revision").await.unwrap(), None, "{name}");
    }
}

/// Larger than a backend may take at once, in one record and in many.
#[tokio::test]
async fn a_large_batch_takes_effect_whole() {
    let servers = Servers::start();
    for Backend { name, store, .. } in &backends(&servers).await {
        let large = |byte| vec![byte; 5 << 20];
        let many = |byte: u8| {
            (0..300).fold(Batch::new().put("large", large(byte)), |batch, n| {
                batch.put(format!("many/{n:03}"), vec![byte; 200])
            })
        };
        assert_eq!(store.commit(many(1)).await, Ok(Revision(1)), "{name}");
        let changed = many(2).delete("many/007").require("large", Some(Revision(1)));
        assert_eq!(store.commit(changed).await, Ok(Revision(2)), "{name}");
        let read = store.get("large").await.unwrap().unwrap();
        assert!(read.value == large(2) && read.revision == Revision(2), "{name}");
        let all = store.scan("").await.unwrap();
        assert_eq!(all.len(), 300, "{name}");
        assert!(all.iter().all(|entry| entry.revision == Revision(2)), "{name}");
        let short = Batch::new().put("large", "short");
        assert_eq!(store.commit(short).await, Ok(Revision(3)), "{name}");
        assert_eq!(
            store.get("large").await.unwrap().unwrap().value,
            b"short",
            "{name}"
        );
        assert_eq!(store.scan("").await.unwrap().len(), 300, "{name}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Batch),
    Scan(&'static str),
    Get(&'static str),
}

fn key() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec!["a", "a/1", "a/2", "b", "ü"])
}

fn batch() -> impl Strategy<Value = Batch> {
    let value = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..4));
    let revision = proptest::option::of((0..4_u64).prop_map(Revision));
    (
        proptest::collection::vec((key(), value), 0..4),
        proptest::collection::vec((key(), revision), 0..2),
    )
        .prop_map(|(ops, preconditions)| {
            let batch = ops
                .into_iter()
                .fold(Batch::new(), |batch, (key, value)| match value {
                    Some(value) => batch.put(key, value),
                    None => batch.delete(key),
                });
            let require = |batch: Batch, (key, revision)| batch.require(key, revision);
            preconditions.into_iter().fold(batch, require)
        })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        batch().prop_map(Step::Commit),
        proptest::sample::select(vec!["", "a", "a/", "c"]).prop_map(Step::Scan),
        key().prop_map(Step::Get),
    ]
}

async fn check(backend: &Backend, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let Backend { name, store, .. } = backend;
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Commit(batch) => {
                prop_assert_eq!(store.commit(batch.clone()).await, model.commit(batch), "{}", name);
            }
            Step::Scan(prefix) => {
                prop_assert_eq!(store.scan(prefix).await, Ok(model.scan(prefix)), "{}", name);
            }
            Step::Get(key) => {
                prop_assert_eq!(store.get(key).await, Ok(model.get(key)), "{}", name);
            }
        }
    }
    Ok(())
}

#[test]
fn every_backend_answers_like_the_model() {
    let servers = Servers::start();
    // Each case opens a database and syncs its log.
    let config = ProptestConfig {
        failure_persistence: None,
        cases: 32,
        ..ProptestConfig::default()
    };
    let steps = proptest::collection::vec(step(), 1..24);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            for backend in &backends(&servers).await {
                check(backend, steps.clone()).await?;
            }
            Ok(())
        })
    });
    outcome.unwrap();
}

//! What is particular to a store on disk: it survives, and it says clearly what keeps it from opening.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::fs;

use proffer_store::{Batch, CommitError, Entry, OpenError, ReadError, Revision, Rocks, Store};

#[tokio::test]
async fn records_and_revisions_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = Rocks::open(directory.path()).await.unwrap();
    store.commit(Batch::new().put("a", "1")).await.unwrap();
    store.commit(Batch::new().put("b", "2")).await.unwrap();
    drop(store);
    let store = Rocks::open(directory.path()).await.unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().revision, Revision(1));
    assert_eq!(store.commit(Batch::new().delete("a")).await, Ok(Revision(3)));
}

#[tokio::test]
async fn a_directory_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _held = Rocks::open(directory.path()).await.unwrap();
    let refused = Rocks::open(directory.path()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = Rocks::open(file.join("data")).await.unwrap_err();
    assert!(matches!(refused, OpenError::Directory { .. }), "{refused}");
}

#[tokio::test]
async fn damage_is_refused_and_not_taken_for_an_empty_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = Rocks::open(directory.path()).await.unwrap();
    store.commit(Batch::new().put("a", "1")).await.unwrap();
    drop(store);
    let manifest = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("MANIFEST")
        })
        .unwrap();
    let mut bytes = fs::read(&manifest).unwrap();
    for byte in bytes.iter_mut().skip(8) {
        *byte ^= 0x5a;
    }
    fs::write(&manifest, bytes).unwrap();
    let refused = Rocks::open(directory.path()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
}

const N_COMMITS: usize = 5;

/// A store with some commits in its write-ahead log, and that log.
async fn with_log() -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let store = Rocks::open(directory.path()).await.unwrap();
    for n in 0..N_COMMITS {
        let batch = Batch::new().put(format!("key-{n}"), vec![b'x'; 20]);
        store.commit(batch).await.unwrap();
    }
    drop(store);
    let entries = fs::read_dir(directory.path()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let log = paths.max_by_key(|path| {
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        is_log.then(|| fs::metadata(path).unwrap().len())
    });
    (directory, log.unwrap())
}

/// What is left, where the store opens: the first so many commits.
async fn n_left(directory: &std::path::Path) -> Result<usize, OpenError> {
    let found = Rocks::open(directory).await?.scan("key-").await.unwrap();
    for (n, entry) in found.iter().enumerate() {
        assert_eq!(entry.key, format!("key-{n}"));
    }
    Ok(found.len())
}

/// Nobody was told of what a power loss cut off.
#[tokio::test]
async fn the_end_of_a_log_may_be_missing_or_empty() {
    for (cut, zeros) in [(1, 0), (10, 0), (40, 0), (1, 1), (25, 25), (25, 5000)] {
        let (directory, log) = with_log().await;
        let mut bytes = fs::read(&log).unwrap();
        bytes.truncate(bytes.len() - cut);
        bytes.resize(bytes.len() + zeros, 0);
        fs::write(&log, bytes).unwrap();
        assert_eq!(
            n_left(directory.path()).await.unwrap(),
            N_COMMITS - 1,
            "{cut} {zeros}"
        );
    }
}

#[tokio::test]
async fn a_log_that_is_damaged_before_its_end_is_refused_and_nothing_is_dropped() {
    let (_directory, log) = with_log().await;
    let length = fs::read(&log).unwrap().len();
    // The first commits, at some bits of each byte.
    for at in (0..length / 2).step_by(5) {
        let (directory, log) = with_log().await;
        let whole = fs::read(&log).unwrap();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&log, bytes).unwrap();
        let refused = n_left(directory.path()).await.unwrap_err();
        assert!(matches!(refused, OpenError::Corrupt { .. }), "{at}: {refused}");
        let text = refused.to_string();
        assert!(text.contains("restore it from a backup"), "{text}");
        assert!(text.contains(&directory.path().display().to_string()), "{text}");
        fs::write(&log, whole).unwrap();
        assert_eq!(n_left(directory.path()).await.unwrap(), N_COMMITS, "{at}");
    }
}

/// Writes a record behind the store's back.
/// Records that fill tables; returns the tables.
async fn with_tables(directory: &std::path::Path) -> (Vec<Entry>, Vec<std::path::PathBuf>) {
    let store = Rocks::open(directory).await.unwrap();
    let mut state = 1_u32;
    // Values that nothing can make smaller.
    let mut value = || {
        let bytes = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        bytes.take(16 << 10).collect::<Vec<_>>()
    };
    for n in 0..100 {
        store
            .commit(Batch::new().put(format!("k{n:03}"), value()))
            .await
            .unwrap();
    }
    let all = store.scan("").await.unwrap();
    drop(store);
    // What the log still has goes to a table.
    drop(Rocks::open(directory).await.unwrap());
    let files = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let tables = files.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
    (all, tables.collect())
}

#[tokio::test]
async fn a_damaged_table_is_named_and_gives_no_wrong_answer() {
    let directory = tempfile::tempdir().unwrap();
    let (all, tables) = with_tables(directory.path()).await;
    assert!(!tables.is_empty());
    let (mut n_named, mut n_tried) = (0, 0);
    for table in tables {
        let whole = fs::read(&table).unwrap();
        let name = table.file_name().unwrap().to_string_lossy().into_owned();
        let stride = whole.len() / 40;
        // Its last bytes tell where everything else is.
        let end = whole.len() - 64..whole.len();
        for at in (0..whole.len()).step_by(stride).chain(end.step_by(5)) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(&table, damaged).unwrap();
            n_tried += 1;
            let said = match Rocks::open_existing(directory.path()).await {
                Err(refused @ OpenError::Corrupt { .. }) => refused.to_string(),
                Err(other) => panic!("byte {at}: {other}"),
                Ok(store) => match store.scan("").await {
                    Err(refused @ ReadError::Corrupt { .. }) => refused.to_string(),
                    Err(other) => panic!("byte {at}: {other}"),
                    // A byte that says nothing, or what is only a shortcut.
                    Ok(found) => {
                        assert!(found == all, "byte {at} changed what was read");
                        continue;
                    }
                },
            };
            assert!(said.contains(&name), "byte {at}: {said}");
            n_named += 1;
        }
        fs::write(&table, whole).unwrap();
    }
    assert!(n_named * 10 >= n_tried * 8, "{n_named} of {n_tried} were noticed");
    let store = Rocks::open_existing(directory.path()).await.unwrap();
    assert!(store.scan("").await.unwrap() == all);
}

fn write_raw(directory: &std::path::Path, key: &[u8], value: &[u8]) {
    rocksdb::DB::open_default(directory)
        .unwrap()
        .put(key, value)
        .unwrap();
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(Rocks::open(directory.path()).await.unwrap());
    write_raw(directory.path(), b"\0format", &2_u32.to_be_bytes());
    let refused = Rocks::open(directory.path()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Format { found: 2, .. }), "{refused}");
}

#[tokio::test]
async fn a_record_that_was_not_written_by_the_store_is_reported_as_damage() {
    let directory = tempfile::tempdir().unwrap();
    drop(Rocks::open(directory.path()).await.unwrap());
    write_raw(directory.path(), b"a", b"short");
    let store = Rocks::open(directory.path()).await.unwrap();
    assert!(matches!(store.scan("").await, Err(ReadError::Corrupt { .. })));
}

/// With its directory gone RocksDB cannot start the next write-ahead log, and the write fails.
#[tokio::test]
async fn a_failed_write_is_reported_and_the_store_comes_back_with_what_it_had() {
    let parent = tempfile::tempdir().unwrap();
    let (path, away) = (parent.path().join("store"), parent.path().join("away"));
    let store = Rocks::open(&path).await.unwrap();
    store.commit(Batch::new().put("a", "1")).await.unwrap();
    fs::rename(&path, &away).unwrap();
    // Each batch fills a write buffer, so that one of the first needs a new log.
    let large = || Batch::new().put("large", vec![0; 2 << 20]);
    let mut failed = None;
    for _ in 0..8 {
        failed = failed.or(store.commit(large()).await.err());
    }
    assert!(matches!(failed, Some(CommitError::Failed { .. })), "{failed:?}");
    assert!(matches!(store.get("a").await, Err(ReadError::Unavailable { .. })));
    fs::rename(&away, &path).unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().value, b"1");
    store.commit(large()).await.unwrap();
}

//! What is particular to a store on disk: it survives, and it says clearly what keeps it from opening.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::fs;

use proffer_store::{Batch, CommitError, OpenError, ReadError, Revision, Rocks, Store};

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

/// Writes a record behind the store's back.
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

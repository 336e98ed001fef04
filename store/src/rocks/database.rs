//! An open database: the layout of its records, and the options that keep it small.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, DB, LogLevel, Options, PrefixRange, ReadOptions, WriteBatch, WriteOptions,
};

use crate::rocks::error::{OpenError, commit_error, corrupt, read_error};
use crate::rocks::wal;
use crate::{Batch, CommitError, Entry, Op, ReadError, Revision};

/// The layout of this version. A directory with a greater number is refused.
const FORMAT: u32 = 1;
const FORMAT_KEY: &[u8] = b"\0format";
const REVISION_KEY: &[u8] = b"\0revision";
const REVISION_BYTES: usize = 8;

/// The registry of thousands of agents is a few MiB; larger buffers would only cost memory.
const WRITE_BUFFER_BYTES: usize = 1 << 20;
/// Records are read at start and seldom after.
const CACHE_BYTES: usize = 2 << 20;
/// Logs of 4 MiB replay in well under a second at start.
const MAX_WAL_BYTES: u64 = 4 << 20;
/// A database of this size has a handful of files.
const MAX_OPEN_FILES: i32 = 32;
/// RocksDB's own log.
const MAX_LOG_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Database {
    db: DB,
    revision: Revision,
    write_failed: bool,
}

impl Database {
    /// Opens the database, and makes it when there is none.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        std::fs::create_dir_all(path).map_err(|source| OpenError::Directory {
            path: path.to_owned(),
            source,
        })?;
        let mut options = options();
        options.create_if_missing(true);
        Self::with_options(path, &options)
    }

    /// Opens the database that was there a moment ago: one that vanished must not come back empty.
    pub(super) fn reopen(path: &Path) -> Result<Self, OpenError> {
        // RocksDB would make the directory for its own log before it notices.
        if !path.join("CURRENT").exists() {
            return Err(OpenError::Vanished {
                path: path.to_owned(),
            });
        }
        Self::with_options(path, &options())
    }

    fn with_options(path: &Path, options: &Options) -> Result<Self, OpenError> {
        match wal::damage(path) {
            Ok(None) => {}
            Ok(Some(wal::Damage { log, at })) => {
                return Err(OpenError::Corrupt {
                    path: path.to_owned(),
                    detail: format!("`{}` is damaged at byte {at}, and records follow", log.display()),
                });
            }
            Err(source) => {
                return Err(OpenError::Directory {
                    path: path.to_owned(),
                    source,
                });
            }
        }
        let db = DB::open(options, path).map_err(|error| OpenError::of(path, &error))?;
        let mut database = Self {
            db,
            revision: Revision(0),
            write_failed: false,
        };
        database.check_format(path)?;
        if let Some(bytes) = database.own_record(path, REVISION_KEY)? {
            database.revision = Revision(u64::from_be_bytes(bytes));
        }
        Ok(database)
    }

    fn check_format(&self, path: &Path) -> Result<(), OpenError> {
        match self.own_record(path, FORMAT_KEY)?.map(u32::from_be_bytes) {
            Some(FORMAT) => Ok(()),
            Some(found) => Err(OpenError::Format {
                path: path.to_owned(),
                found,
                known: FORMAT,
            }),
            None => {
                let mut batch = WriteBatch::default();
                batch.put(FORMAT_KEY, FORMAT.to_be_bytes());
                self.write(batch).map_err(|error| OpenError::of(path, &error))
            }
        }
    }

    fn own_record<const N: usize>(&self, path: &Path, key: &[u8]) -> Result<Option<[u8; N]>, OpenError> {
        let value = self.db.get(key).map_err(|error| OpenError::of(path, &error))?;
        value
            .map(|value| value.try_into())
            .transpose()
            .map_err(|value: Vec<u8>| OpenError::Corrupt {
                path: path.to_owned(),
                detail: format!(
                    "record `{}` has {} bytes, not {N}",
                    key.escape_ascii(),
                    value.len()
                ),
            })
    }

    /// Whether a write failed, after which only a new open tells what took effect.
    pub(super) fn write_failed(&self) -> bool {
        self.write_failed
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Entry>, ReadError> {
        // Keys that start with NUL are the store's own.
        if key.starts_with('\0') {
            return Ok(None);
        }
        let value = self.db.get(key).map_err(|error| read_error(&error))?;
        value.map(|value| entry(key.as_bytes(), &value)).transpose()
    }

    pub(super) fn scan(&self, prefix: &str) -> Result<Vec<Entry>, ReadError> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(PrefixRange(prefix));
        self.db
            .iterator_opt(rocksdb::IteratorMode::Start, options)
            .filter(|item| !matches!(item, Ok((key, _)) if key.starts_with(b"\0")))
            .map(|item| {
                let (key, value) = item.map_err(|error| read_error(&error))?;
                entry(&key, &value)
            })
            .collect()
    }

    pub(super) fn commit(&mut self, batch: Batch) -> Result<Revision, CommitError> {
        for precondition in &batch.preconditions {
            let found = self.get(&precondition.key).map_err(|error| CommitError::Failed {
                detail: error.to_string(),
            })?;
            let found = found.map(|entry| entry.revision);
            if found != precondition.revision {
                return Err(CommitError::Conflict {
                    key: precondition.key.clone(),
                    expected: precondition.revision,
                    found,
                });
            }
        }
        if batch.ops.is_empty() {
            return Ok(self.revision);
        }
        let revision = Revision(self.revision.0 + 1);
        if let Err(error) = self.write(write_batch(revision, batch.ops)) {
            self.write_failed = true;
            return Err(commit_error(&error));
        }
        self.revision = revision;
        Ok(revision)
    }

    fn write(&self, batch: WriteBatch) -> Result<(), rocksdb::Error> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.write_opt(batch, &options)
    }
}

fn write_batch(revision: Revision, ops: Vec<Op>) -> WriteBatch {
    let mut batch = WriteBatch::default();
    let mut stored = Vec::new();
    for op in ops {
        match op {
            Op::Put { key, value } => {
                stored.clear();
                stored.extend_from_slice(&revision.0.to_be_bytes());
                stored.extend_from_slice(&value);
                batch.put(key, &stored);
            }
            Op::Delete { key } => batch.delete(key),
        }
    }
    batch.put(REVISION_KEY, revision.0.to_be_bytes());
    batch
}

fn entry(key: &[u8], stored: &[u8]) -> Result<Entry, ReadError> {
    let key = std::str::from_utf8(key)
        .map_err(|_| corrupt(format!("key `{}` is not text", key.escape_ascii())))?
        .to_owned();
    let Some((revision, value)) = stored.split_first_chunk::<REVISION_BYTES>() else {
        return Err(corrupt(format!("record `{key}` has only {} bytes", stored.len())));
    };
    Ok(Entry {
        key,
        value: value.to_vec(),
        revision: Revision(u64::from_be_bytes(*revision)),
    })
}

fn options() -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
    blocks.set_cache_index_and_filter_blocks(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_total_wal_size(MAX_WAL_BYTES);
    options.set_max_open_files(MAX_OPEN_FILES);
    options.set_max_file_opening_threads(1);
    options.set_max_background_jobs(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(MAX_LOG_BYTES);
    options.set_keep_log_file_num(1);
    options
}

//! RocksDB: one synced write batch a commit, one commit at a time.
//!
//! A record's value is its revision (8 bytes, big-endian), then the bytes. The store's own two records have keys
//! that start with NUL, which no user's key can: the format, and the revision of the last commit.
//!
//! After a failed write RocksDB refuses all further ones until it is opened again, and only then is it known what
//! took effect. So a failed write closes the database, and the next use opens it again.
//!
//! `open --write fails--> closed --next use--> open`

mod database;
mod error;
mod wal;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

pub use error::OpenError;

use crate::rocks::database::Database;
use crate::{Batch, CommitError, Entry, ReadError, Revision, Store};

/// A store in a directory of its own.
#[derive(Debug, Clone)]
pub struct Rocks {
    path: Arc<Path>,
    database: Arc<Mutex<Option<Database>>>,
}

impl Rocks {
    /// Opens the store in `path`, and makes it when there is none. Fails when the directory cannot be written,
    /// another process has it open, or what is in it is damaged or newer than this program.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let path: Arc<Path> = path.into().into();
        let at = path.clone();
        let database = blocking(move || Database::open(&at)).await?;
        Ok(Self {
            path,
            database: Arc::new(Mutex::new(Some(database))),
        })
    }

    /// Opens the store in `path`, where there must be one.
    pub async fn open_existing(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let path: PathBuf = path.into();
        // RocksDB would make a directory before it notices.
        if !path.join("CURRENT").exists() {
            return Err(OpenError::Missing { path });
        }
        Self::open(path).await
    }

    /// Runs `work` on the database, off the runtime's threads. Opens it first where a failed write closed it.
    async fn with<T, E>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<OpenError> + Send + 'static,
    {
        let this = self.clone();
        blocking(move || {
            // A panic under this lock leaves the database as a crash would, which is what it is made for.
            let mut slot = this.database.lock().unwrap_or_else(PoisonError::into_inner);
            let database = match slot.as_mut() {
                Some(database) => database,
                None => slot.insert(Database::reopen(&this.path)?),
            };
            let result = work(database);
            if database.write_failed() {
                *slot = None;
            }
            result
        })
        .await
    }
}

/// Runs blocking work. A panic in it goes on here; a runtime that shuts down never comes back.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| error.try_into_panic())
    {
        Ok(result) => result,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_cancelled)) => std::future::pending().await,
    }
}

#[async_trait]
impl Store for Rocks {
    async fn get(&self, key: &str) -> Result<Option<Entry>, ReadError> {
        let key = key.to_owned();
        self.with(move |database| database.get(&key)).await
    }

    async fn scan(&self, prefix: &str) -> Result<Vec<Entry>, ReadError> {
        let prefix = prefix.to_owned();
        self.with(move |database| database.scan(&prefix)).await
    }

    async fn commit(&self, batch: Batch) -> Result<Revision, CommitError> {
        batch.check()?;
        self.with(move |database| database.commit(batch)).await
    }
}

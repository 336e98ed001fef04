//! A registry as a file: taken while a master works, put into another store, or moved from store to store.
//!
//! A store that a registry is being put into says so in its `meta` until the last record is there, and one that a
//! registry was moved from says where to: no master starts on either.
//!
//! `mark the source moved -> read it -> mark the target restoring -> empty it -> write .. -> unmark`

use proffer_store::{Batch, CommitError, Entry, ReadError, Revision, Store};
use proffer_types::Timestamp;
use proffer_wire::v1;
use prost::Message as _;
use thiserror::Error;

use super::{FORMAT, META, decode, read};
use crate::MasterError;

/// What a backup begins with; the number is the version of this layout.
const MAGIC: &[u8] = b"proffer registry backup 1\n";
/// The checksum at the end.
const CRC_BYTES: usize = 4;
/// A restored registry goes on so many terms later: sessions of the masters since the backup was taken are of earlier
/// terms, so what is still under way of them stays fenced off. Leaves room for four thousand restores.
const TERMS_SKIPPED: u64 = 1 << 20;
/// Of one commit: well below what a batch may have.
const MAX_COMMIT_BYTES: usize = 4 << 20;

/// A whole registry, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// When it was read.
    pub taken: Timestamp,
    /// Starts of masters that it had seen.
    pub term: u64,
    pub n_agents: usize,
    pub n_frameworks: usize,
    pub n_roles: usize,
    /// All but `meta`.
    records: Vec<(String, Vec<u8>)>,
}

/// Why a registry cannot be saved, put back or moved.
#[derive(Debug, Error)]
pub enum BackupError {
    #[error("this is no backup of a registry, or one of a newer program")]
    NotABackup,
    #[error("the backup is cut off or damaged")]
    Damaged,
    #[error("there is no registry in the store")]
    NoRegistry,
    #[error("the store has {n_records} records already")]
    NotEmpty { n_records: usize },
    #[error("the registry has been moved to {to} before")]
    Moved { to: String },
    #[error("the registry has counted {0} terms, which leaves no room for a restore")]
    TermsExhausted(u64),
    #[error("the registry is not sound")]
    Registry(#[from] MasterError),
    #[error("cannot read the store")]
    Read(#[from] ReadError),
    #[error("cannot write the store")]
    Write(#[from] CommitError),
}

impl Backup {
    /// Reads all of a store, as of one moment. Fails where there is no registry, or one that no master could start on.
    pub async fn take(store: &dyn Store, now: Timestamp) -> Result<Self, BackupError> {
        Self::of(store.scan("").await?, now)
    }

    fn of(entries: Vec<Entry>, taken: Timestamp) -> Result<Self, BackupError> {
        let meta = entries.iter().find(|entry| entry.key == META);
        let meta: v1::RegistryMeta = decode(meta.ok_or(BackupError::NoRegistry)?)?;
        if meta.format > FORMAT {
            return Err(BackupError::Registry(MasterError::Format {
                found: meta.format,
                known: FORMAT,
            }));
        }
        if meta.restoring {
            return Err(BackupError::Registry(MasterError::Restoring));
        }
        let registry = read(&entries)?;
        let records = entries.into_iter().filter(|entry| entry.key != META);
        Ok(Self {
            taken,
            term: meta.term,
            n_agents: registry.agents.len(),
            n_frameworks: registry.frameworks.len(),
            n_roles: registry.roles.len(),
            records: records.map(|entry| (entry.key, entry.value)).collect(),
        })
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let meta = (META.to_owned(), meta(self.term).encode_to_vec());
        let records = std::iter::once(&meta).chain(&self.records);
        let records = records.map(|(key, value)| v1::RegistryBackupRecord {
            key: key.clone(),
            value: value.clone(),
        });
        let body = v1::RegistryBackup {
            taken_ms: self.taken.0,
            records: records.collect(),
        };
        let body = body.encode_to_vec();
        let crc = crc32fast::hash(&body).to_le_bytes();
        [MAGIC, &body, &crc].concat()
    }

    /// Reads a file. Every record is looked at: one that a master could not start on is refused here.
    pub fn from_bytes(file: &[u8]) -> Result<Self, BackupError> {
        let rest = file.strip_prefix(MAGIC).ok_or(BackupError::NotABackup)?;
        let (body, crc) = rest.split_last_chunk::<CRC_BYTES>().ok_or(BackupError::Damaged)?;
        if crc32fast::hash(body).to_le_bytes() != *crc {
            return Err(BackupError::Damaged);
        }
        let backup = v1::RegistryBackup::decode(body).map_err(|_| BackupError::Damaged)?;
        let entries = backup.records.into_iter().map(|record| Entry {
            key: record.key,
            value: record.value,
            revision: Revision::default(),
        });
        Self::of(entries.collect(), Timestamp(backup.taken_ms))
    }

    /// Puts the registry into a store: an empty one, one where a restore was cut off, or, with `replace`, any. A master
    /// that works on it ends. Whatever fails, no master starts on what is not whole; doing it again puts it right.
    pub async fn restore(&self, store: &dyn Store, replace: bool) -> Result<(), BackupError> {
        let there = store.scan("").await?;
        let old = there.iter().find(|entry| entry.key == META);
        let revision = old.map(|entry| entry.revision);
        // What is there is to go, so it may be anything.
        let old = old.and_then(|entry| v1::RegistryMeta::decode(entry.value.as_slice()).ok());
        let old = old.unwrap_or_default();
        if !there.is_empty() && !old.restoring && !replace {
            let n_records = there.len();
            return Err(BackupError::NotEmpty { n_records });
        }
        // A restore that was cut off has skipped its terms already, of this store.
        let term = self.term.saturating_add(TERMS_SKIPPED).max(old.term);
        if u32::try_from(term).is_err() {
            return Err(BackupError::TermsExhausted(self.term));
        }
        let begun = v1::RegistryMeta {
            restoring: true,
            ..meta(term)
        };
        let begun = Batch::new()
            .put(META, begun.encode_to_vec())
            .require(META, revision);
        let begun = store.commit(begun).await?;
        let stale = there.iter().map(|entry| (entry.key.as_str(), None));
        let stale = stale.filter(|(key, _)| *key != META);
        let fresh = self.records.iter();
        let fresh = fresh.map(|(key, value)| (key.as_str(), Some(value.as_slice())));
        put(store, begun, stale.chain(fresh)).await?;
        let done = Batch::new().put(META, meta(term).encode_to_vec());
        store.commit(done.require(META, Some(begun))).await?;
        Ok(())
    }
}

/// Moves a registry; `name` says, in the store it leaves, where it went. A master that works on it ends. When it fails
/// midway, doing it again goes on, and neither store is of use until it is done.
pub async fn transfer(
    from: &dyn Store,
    to: &dyn Store,
    name: &str,
    now: Timestamp,
) -> Result<Backup, BackupError> {
    let entry = from.get(META).await?.ok_or(BackupError::NoRegistry)?;
    let found: v1::RegistryMeta = decode(&entry)?;
    if !found.moved_to.is_empty() && found.moved_to != name {
        return Err(BackupError::Moved { to: found.moved_to });
    }
    // Nothing is marked before all of it is known to be sound, and to have a place.
    Backup::take(from, now).await?;
    let there = to.scan("").await?;
    let meta = there.iter().find(|entry| entry.key == META);
    let meta = meta.map(decode::<v1::RegistryMeta>).transpose()?;
    if !there.is_empty() && !meta.is_some_and(|meta| meta.restoring) {
        let n_records = there.len();
        return Err(BackupError::NotEmpty { n_records });
    }
    let marked = v1::RegistryMeta {
        moved_to: name.to_owned(),
        ..found
    };
    let marked = Batch::new().put(META, marked.encode_to_vec());
    from.commit(marked.require(META, Some(entry.revision))).await?;
    let backup = Backup::take(from, now).await?;
    backup.restore(to, false).await?;
    Ok(backup)
}

fn meta(term: u64) -> v1::RegistryMeta {
    v1::RegistryMeta {
        format: FORMAT,
        term,
        moved_to: String::new(),
        restoring: false,
    }
}

/// Puts and deletes, in as many commits as it takes, each only while `meta` is as it was.
async fn put<'a>(
    store: &dyn Store,
    meta: Revision,
    changes: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
) -> Result<(), CommitError> {
    let (mut batch, mut n_bytes) = (Batch::new(), 0);
    for (key, value) in changes {
        n_bytes += key.len() + value.map_or(0, <[u8]>::len);
        batch = match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        };
        if n_bytes >= MAX_COMMIT_BYTES {
            store
                .commit(std::mem::take(&mut batch).require(META, Some(meta)))
                .await?;
            n_bytes = 0;
        }
    }
    if !batch.ops.is_empty() {
        store.commit(batch.require(META, Some(meta))).await?;
    }
    Ok(())
}

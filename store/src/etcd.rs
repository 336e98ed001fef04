//! etcd: for masters that take turns, and share what they know.
//!
//! Every commit changes the one key that stands for the whole store, and takes effect only while that key is as it was
//! when the preconditions were looked at. A commit that is too large for one of etcd's transactions is staged: its
//! changes are written aside first; that the head points to them makes the commit certain; whoever reads the head next,
//! this process or another, puts them in place before anything else.
//!
//! `stage .., point the head to it (certain) -> put in place .. -> head without it`
//!
//! Each arrow is one answer of etcd, so one write to its disk. A process that writes alone asks nothing before a commit:
//! it knows the head it left, and what its commits depended on.

mod address;
pub mod bytes;
mod commit;
mod election;
mod error;
mod layout;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Client, ConnectOptions, GetOptions, KvClient};

pub use address::{AddressError, EtcdAddress};
pub use election::{Candidate, MAX_LEASE, MIN_LEASE};
pub use error::EtcdError;

use crate::etcd::error::{read_error, words};
use crate::etcd::layout::{Assembly, BadHead, Head, Keys, after_prefix};
use crate::{Batch, CommitError, Entry, ReadError, Revision, Store};

/// A server that does not take a connection for this long is tried no more.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// One request. etcd answers in milliseconds, or while it elects a leader, in seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a connection is probed, so that one whose other end is gone is not waited on; a busy server may take as long
/// as for a request.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Keys of one answer: what is read at a time is at most this many parts of records.
const PAGE_KEYS: i64 = 64;
/// More than a page.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// How often a read begins again when others commit or etcd's history is cut below it.
const MAX_ATTEMPTS: u32 = 16;

/// A store on an etcd cluster. Clones share the connection.
#[derive(Clone)]
pub struct Etcd {
    address: EtcdAddress,
    keys: Keys,
    client: KvClient,
    /// What the last commit left, unless something went wrong since.
    known: Arc<Mutex<Option<Known>>>,
}

/// What is certain of the store for as long as its head is as it was seen: who writes alone need not ask again.
#[derive(Debug, Clone)]
struct Known {
    /// Nothing of it is staged.
    seen: Seen,
    /// Of the records that commits depended on.
    revisions: BTreeMap<String, Option<Revision>>,
}

impl std::fmt::Debug for Etcd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Etcd")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The head as it was read.
#[derive(Debug, Clone, Copy)]
struct Seen {
    head: Head,
    /// When etcd last changed it; 0 when it is not there.
    mod_revision: i64,
    /// What etcd counted when it was read.
    at: i64,
}

impl Etcd {
    /// Connects. Fails when no server answers, or when what is there is damaged or newer than this program.
    pub async fn open(address: EtcdAddress) -> Result<Self, EtcdError> {
        let unreachable = |detail| EtcdError::Unreachable {
            address: address.clone(),
            detail,
        };
        let options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(REQUEST_TIMEOUT)
            .with_keep_alive(KEEP_ALIVE, REQUEST_TIMEOUT)
            .with_require_leader(true);
        let client = Client::connect(&address.servers, Some(options)).await;
        let client = client.map_err(|error| unreachable(words(&error)))?;
        let store = Self {
            keys: Keys(address.prefix.clone()),
            client: client.kv_client().max_decoding_message_size(MAX_ANSWER_BYTES),
            address: address.clone(),
            known: Arc::default(),
        };
        let head = store.client.clone().get(store.keys.head(), None).await;
        let head = head.map_err(|error| unreachable(words(&error)))?;
        match head.kvs().first().map(|kv| Head::from_bytes(kv.value())) {
            None | Some(Ok(_)) => Ok(store),
            Some(Err(BadHead::Format(found))) => Err(EtcdError::Format { address, found }),
            Some(Err(BadHead::Damaged)) => {
                let detail = "its head is damaged".to_owned();
                Err(EtcdError::Corrupt { address, detail })
            }
        }
    }

    /// The records whose keys are in a range, as of one moment.
    async fn read(&self, from: Vec<u8>, to: Vec<u8>) -> Result<Vec<Entry>, ReadError> {
        let mut last = None;
        for _ in 0..MAX_ATTEMPTS {
            let seen = self.settled().await?;
            match self.read_at(seen.at, from.clone(), to.clone()).await {
                Ok(assembly) => return assembly.finish().map_err(corrupt),
                // Old revisions are dropped by etcd's compaction.
                Err(ReadError::Unavailable { detail }) if detail.contains("compacted") => last = Some(detail),
                Err(error) => return Err(error),
            }
        }
        let detail = last.unwrap_or_default();
        Err(ReadError::Unavailable { detail })
    }

    async fn read_at(&self, revision: i64, mut from: Vec<u8>, to: Vec<u8>) -> Result<Assembly, ReadError> {
        let mut assembly = Assembly::default();
        loop {
            let options = GetOptions::new()
                .with_range(to.clone())
                .with_revision(revision)
                .with_limit(PAGE_KEYS);
            let page = self.client.clone().get(from, Some(options)).await;
            let page = page.map_err(|error| read_error(&error))?;
            for kv in page.kvs() {
                assembly.take(&self.keys, kv.key(), kv.value()).map_err(corrupt)?;
            }
            match page.kvs().last() {
                Some(last) if page.more() => {
                    from = last.key().to_vec();
                    from.push(0);
                }
                _ => return Ok(assembly),
            }
        }
    }
}

#[async_trait]
impl Store for Etcd {
    async fn get(&self, key: &str) -> Result<Option<Entry>, ReadError> {
        // Keys with control characters are the store's own.
        if key.chars().any(char::is_control) {
            return Ok(None);
        }
        let entries = self.read(self.keys.record(key), self.keys.after(key)).await?;
        Ok(entries.into_iter().next())
    }

    async fn scan(&self, prefix: &str) -> Result<Vec<Entry>, ReadError> {
        let from = self.keys.record(prefix);
        let to = after_prefix(&from);
        self.read(from, to).await
    }

    async fn commit(&self, batch: Batch) -> Result<Revision, CommitError> {
        batch.check()?;
        self.commit_checked(batch).await
    }
}

fn corrupt(detail: String) -> ReadError {
    ReadError::Corrupt { detail }
}

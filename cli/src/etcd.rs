//! Stores that a daemon may be told to use: a RocksDB of its own, or an etcd that several share and of which one leads.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use proffer_store::{AddressError, Candidate, Etcd, EtcdAddress, EtcdError, MAX_LEASE, MIN_LEASE, Standing};
use tracing::warn;

use crate::spec::Span;

/// A kind of store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Rocksdb,
    Etcd(EtcdAddress),
}

impl FromStr for StoreKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "rocksdb" => Ok(Self::Rocksdb),
            _ if !text.starts_with("etcd:") => Err(format!("`{text}` is not rocksdb or etcd://HOST:PORT")),
            _ => text
                .parse()
                .map(Self::Etcd)
                .map_err(|error: AddressError| error.to_string()),
        }
    }
}

/// Reads a lease's time.
pub(crate) fn lease(text: &str) -> Result<Duration, String> {
    let span = text.parse::<Span>()?.0;
    let is_good = span.subsec_nanos() == 0 && (MIN_LEASE..=MAX_LEASE).contains(&span);
    is_good
        .then_some(span)
        .ok_or_else(|| format!("`{text}` is not 2 to 300 whole seconds"))
}

/// How long a dead leader is missed at most, and one that is only slow is waited for.
const DEFAULT_LEASE: Duration = Duration::from_secs(3);

/// Opens a store that is shared, as soon as etcd is there, and prepares to stand in the election of those who share it.
/// `says` is what the others are told of this one.
pub(crate) async fn share(
    address: &EtcdAddress,
    lease: Option<Duration>,
    says: String,
) -> Result<(Etcd, Standing)> {
    let store = reach(address).await?;
    let candidate = Candidate::new(address, lease.unwrap_or(DEFAULT_LEASE)).await;
    let election = Arc::new(candidate.map_err(anyhow::Error::msg)?);
    Ok((store, Standing { election, says }))
}

/// How often an etcd that cannot be reached is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// Opens the store as soon as etcd is there: after the start of a machine it may be later.
async fn reach(address: &EtcdAddress) -> Result<Etcd, EtcdError> {
    loop {
        match Etcd::open(address.clone()).await {
            Err(error @ EtcdError::Unreachable { .. }) => warn!(%error, "waiting for etcd"),
            opened => return opened,
        }
        tokio::time::sleep(RETRY).await;
    }
}

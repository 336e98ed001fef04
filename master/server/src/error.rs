//! Why a master ends, or cannot start.

use std::net::SocketAddr;

use proffer_grpc::net::ListenError;
use proffer_store::{CommitError, ReadError};
use thiserror::Error;

/// What ends a master for good.
#[derive(Debug, Error)]
pub enum MasterError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot listen on {address}; is another program using it? pass another --listen address")]
    Bind {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot read the registry")]
    Read(#[from] ReadError),
    #[error("cannot write the registry")]
    Write(#[from] CommitError),
    #[error("the registry has format {found}, this program knows {known}; use a newer program")]
    Format { found: u32, known: u32 },
    #[error("record `{key}` of the registry is damaged: {detail}")]
    Record { key: String, detail: String },
    #[error("the registry has counted {0} starts, which is as far as it goes; use an empty data directory")]
    TermsExhausted(u64),
    #[error("a restore into this store was cut off; do it again, or start with an empty store")]
    Restoring,
    #[error("the registry was moved to {to}; start the master there")]
    Moved { to: String },
    #[error("another master uses this store: it has begun term {found}, after ours, {ours}")]
    Deposed { ours: u32, found: u64 },
    #[error("the system gives no randomness")]
    Randomness(#[source] rand::rngs::SysError),
    #[error("the descriptors for reflection are damaged; this program was built wrongly")]
    Descriptors(#[from] tonic_reflection::server::Error),
}

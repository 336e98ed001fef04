//! etcd's errors, told apart by what a person can do about them.

use etcd_client::Error;
use thiserror::Error;
use tonic::Code;

use crate::etcd::layout::FORMAT;
use crate::{CommitError, EtcdAddress, ReadError};

/// A store on etcd that could not be opened.
#[derive(Debug, Error)]
pub enum EtcdError {
    #[error("cannot reach {address}; does etcd run there? {detail}")]
    Unreachable { address: EtcdAddress, detail: String },
    #[error("{address} has format {found}, this program knows {FORMAT}; use a newer program")]
    Format { address: EtcdAddress, found: u32 },
    #[error("{address} is damaged; restore it from a backup, or use another prefix: {detail}")]
    Corrupt { address: EtcdAddress, detail: String },
}

/// An error of a read.
pub(super) fn read_error(error: &Error) -> ReadError {
    ReadError::Unavailable { detail: words(error) }
}

/// An error of a write, which may or may not have taken effect.
pub(super) fn commit_error(error: &Error) -> CommitError {
    let detail = words(error);
    // etcd stops taking writes when its database has grown to its quota.
    let is_full = matches!(error, Error::GRpcStatus(status) if status.code() == Code::ResourceExhausted);
    if is_full && detail.contains("space") {
        CommitError::DiskFull { detail }
    } else {
        CommitError::Failed { detail }
    }
}

/// What went wrong, without the ways it was wrapped in.
pub(super) fn words(error: &Error) -> String {
    if let Error::GRpcStatus(status) = error {
        return status.message().to_owned();
    }
    error.to_string()
}

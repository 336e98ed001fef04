//! Why something was not fetched; every message names the URI, without the secrets that may be in it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::source::Source;

/// Why something was not fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    #[error("`{uri}` cannot be fetched: {why}")]
    Uri { uri: String, why: &'static str },
    #[error(
        "cannot fetch `{uri}`: the path is not below one that the agent's operator allows (--allow-fetch-path)"
    )]
    NotAllowed { uri: String },
    #[error("cannot read `{uri}`: {source}")]
    Local { uri: String, source: io::Error },
    #[error("cannot fetch `{uri}`: the server answered {status}")]
    Status { uri: String, status: u16 },
    #[error("cannot fetch `{uri}`: {why}")]
    Transfer { uri: String, why: String },
    #[error("cannot fetch `{uri}`: nothing was received for {seconds} s")]
    Stalled { uri: String, seconds: u64 },
    #[error("`{uri}` is larger than the {max_bytes} bytes that may be fetched")]
    TooLarge { uri: String, max_bytes: u64 },
    #[error("`{uri}` has sha256 {found}, not {expected}")]
    Digest {
        uri: String,
        expected: String,
        found: String,
    },
    #[error("`{uri}` cannot go to `{destination}` of the sandbox: {why}")]
    Destination {
        uri: String,
        destination: String,
        why: String,
    },
    #[error("`{uri}` cannot be unpacked: {why}")]
    Archive { uri: String, why: String },
    #[error("cannot use `{}` for fetched files: {source}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("fetching `{uri}` did not finish: {why}")]
    Unfinished { uri: String, why: String },
}

impl FetchError {
    pub(crate) fn unfinished(source: &Source, why: &dyn std::fmt::Display) -> Self {
        Self::Unfinished {
            uri: source.shown(),
            why: why.to_string(),
        }
    }

    /// A server that says that nothing has changed since a state we never told it of.
    pub(crate) fn unexpected(url: &reqwest::Url) -> Self {
        Self::Status {
            uri: crate::source::shown(url),
            status: 304,
        }
    }

    pub(crate) fn disk(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Disk { path, source }
    }
}

//! Why an edge does not start.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

/// What is wrong with an edge's configuration.
#[derive(Debug, Error)]
pub enum EdgeError {
    #[error("no master is named")]
    NoMaster,
    #[error("`{0}` is not the address of a master, `host:port`")]
    MasterAddress(String),
    #[error("cannot listen on {address} for /metrics")]
    Status { address: SocketAddr, source: io::Error },
}

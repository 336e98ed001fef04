//! Where a daemon may listen.

use std::net::SocketAddr;

use thiserror::Error;

/// An address a daemon refuses to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "refusing to listen on {0}: it is not a loopback address, and there is no authentication yet, so \
     whoever reaches it can run commands; pass --insecure-listen to allow it all the same"
)]
pub struct ListenError(SocketAddr);

/// Allows loopback addresses, and any other only with `insecure`.
pub fn check_listen(address: SocketAddr, insecure: bool) -> Result<(), ListenError> {
    if address.ip().to_canonical().is_loopback() || insecure {
        return Ok(());
    }
    Err(ListenError(address))
}

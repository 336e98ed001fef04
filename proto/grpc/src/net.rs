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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_listens_off_loopback_only_when_told() {
        for good in ["127.0.0.1:1", "127.8.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(check_listen(good.parse().unwrap(), false).is_ok(), "{good}");
        }
        for bad in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1"] {
            assert!(check_listen(bad.parse().unwrap(), false).is_err(), "{bad}");
            assert!(check_listen(bad.parse().unwrap(), true).is_ok(), "{bad}");
        }
    }
}

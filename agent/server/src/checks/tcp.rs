//! Whether somebody listens on a port.

use super::Network;

/// Succeeds when it connects.
pub(super) async fn ask(network: &Network, port: u16) -> Result<(), String> {
    network
        .connect(port)
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

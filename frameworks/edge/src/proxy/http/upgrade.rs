//! Connections that go on with another protocol, such as WebSocket: passed on byte for byte.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tracing::debug;

use crate::route::Open;

/// Passes on both ways until both ends are done.
pub(super) async fn pass(client: OnUpgrade, endpoint: OnUpgrade, open: Open) {
    let passed = async {
        let (client, endpoint) = (client.await?, endpoint.await?);
        let (mut client, mut endpoint) = (TokioIo::new(client), TokioIo::new(endpoint));
        let copied = copy_bidirectional(&mut client, &mut endpoint).await;
        if let Err(error) = copied {
            debug!(%error, "an upgraded connection broke off");
        }
        Ok::<_, hyper::Error>(())
    };
    if let Err(error) = passed.await {
        debug!(%error, "a connection was not upgraded");
    }
    drop(open);
}

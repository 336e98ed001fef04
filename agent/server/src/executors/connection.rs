//! The connections of one executor, of which the newest is the present one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proffer_agent_core::ConnectionId;
use proffer_wire::v1;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::warn;

/// What goes out on a connection.
pub(super) type Outgoing = Result<v1::ExecutorEvent, Status>;

/// Events that wait to be read by an executor; more wait in its orders.
pub(super) const MAX_EVENTS_QUEUED: usize = 256;

/// How long an executor may not read while something waits for it.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// One stream.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) events: mpsc::Sender<Outgoing>,
    /// Ends the reading half.
    pub(super) end: CancellationToken,
}

#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Option<Connection>>);

impl Connections {
    fn present(&self) -> MutexGuard<'_, Option<Connection>> {
        // Every change is one assignment, so a thread that panicked left it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a newer one; the one before ends.
    pub(super) fn open(&self, connection: Connection) {
        let before = self.present().replace(connection);
        if let Some(before) = before {
            // Where there is no room for the reason, it ends without one.
            let why = Status::aborted("another subscription took its place");
            let _ = before.events.try_send(Err(why));
            before.end.cancel();
        }
    }

    /// Ends a connection with a reason, if it is the present one.
    pub(super) fn close(&self, id: ConnectionId, why: Status) {
        let closed = self.present().take_if(|connection| connection.id == id);
        if let Some(closed) = closed {
            let _ = closed.events.try_send(Err(why));
            closed.end.cancel();
        }
    }

    /// Sends an event on a connection, if it is the present one. One that does not read is ended.
    pub(super) async fn send(&self, id: ConnectionId, event: v1::ExecutorEvent) {
        let connection = self.present().clone();
        let Some(connection) = connection.filter(|connection| connection.id == id) else {
            return;
        };
        let sent = connection.events.send_timeout(Ok(event), READ_TIMEOUT);
        let sent = connection.end.run_until_cancelled(sent).await;
        if matches!(sent, Some(Err(_))) {
            warn!(
                connection = id.0,
                "an executor does not read, ending its connection"
            );
            self.close(id, Status::deadline_exceeded("it does not read"));
        }
    }
}

//! The outgoing queue of one stream, bounded in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{self, StreamExt as _};
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Status};

use crate::links::Responses;

/// The most bytes that may wait for one peer: a few of the largest frames, and thousands of ordinary ones.
const QUEUED_BYTES: usize = 16 << 20;

/// The sending end.
#[derive(Debug)]
pub(super) struct Outgoing<T> {
    /// Each with its length.
    frames: mpsc::UnboundedSender<(usize, T)>,
    n_bytes: Arc<AtomicUsize>,
    status: oneshot::Sender<Status>,
    closed: CancellationToken,
    gone: CancellationToken,
    /// Ends the stream though frames wait.
    abandoned: CancellationToken,
}

/// The receiving end, as the state of a stream.
struct Queue<T> {
    frames: mpsc::UnboundedReceiver<(usize, T)>,
    n_bytes: Arc<AtomicUsize>,
    status: Option<oneshot::Receiver<Status>>,
    abandoned: CancellationToken,
    _gone: DropGuard,
}

pub(super) fn channel<T: Message + 'static>() -> (Outgoing<T>, Responses<T>) {
    let (frames, queued) = mpsc::unbounded_channel();
    let (status, final_status) = oneshot::channel();
    let n_bytes = Arc::new(AtomicUsize::new(0));
    let (abandoned, gone) = (CancellationToken::new(), CancellationToken::new());
    let queue = Queue {
        frames: queued,
        n_bytes: n_bytes.clone(),
        status: Some(final_status),
        abandoned: abandoned.clone(),
        _gone: gone.clone().drop_guard(),
    };
    let outgoing = Outgoing {
        frames,
        n_bytes,
        status,
        closed: CancellationToken::new(),
        gone,
        abandoned,
    };
    (outgoing, stream::unfold(queue, next).boxed())
}

async fn next<T: Message>(mut queue: Queue<T>) -> Option<(Result<T, Status>, Queue<T>)> {
    let frame = tokio::select! {
        biased;
        () = queue.abandoned.cancelled() => {
            queue.status = None;
            queue.frames.close();
            while queue.frames.try_recv().is_ok() {}
            let status = Status::resource_exhausted("it does not read what is sent to it");
            queue.abandoned = CancellationToken::new();
            return Some((Err(status), queue));
        }
        frame = queue.frames.recv() => frame,
    };
    if let Some((len, frame)) = frame {
        queue.n_bytes.fetch_sub(len, Ordering::Relaxed);
        return Some((Ok(frame), queue));
    }
    let status = queue.status.take()?.await.ok()?;
    (status.code() != Code::Ok).then_some((Err(status), queue))
}

impl<T: Message> Outgoing<T> {
    pub(super) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    pub(super) fn gone(&self) -> CancellationToken {
        self.gone.clone()
    }

    /// Queues frames, in order. Returns false, and ends the stream, when the peer is too far behind.
    pub(super) fn send(&self, frames: Vec<T>) -> bool {
        for frame in frames {
            let len = frame.encoded_len();
            if self.n_bytes.fetch_add(len, Ordering::Relaxed) + len > QUEUED_BYTES {
                self.abandoned.cancel();
                self.closed.cancel();
                return false;
            }
            // A stream that is gone is noticed by the task that reads it.
            let _ = self.frames.send((len, frame));
        }
        true
    }

    /// Ends the stream after what is queued.
    pub(super) fn close(self, status: Status) {
        let _ = self.status.send(status);
        self.closed.cancel();
    }
}

#[cfg(test)]
mod tests {
    use proffer_wire::v1;

    use super::*;

    fn frame(bytes: usize) -> v1::MasterFrame {
        let refused = v1::master_message::Refused {
            message: "x".repeat(bytes),
        };
        v1::MasterFrame {
            session: 1,
            messages: vec![v1::MasterMessage {
                message: Some(v1::master_message::Message::Refused(refused)),
            }],
        }
    }

    #[tokio::test]
    async fn a_closed_link_ends_with_its_status_after_what_was_sent() {
        let (outgoing, mut responses) = channel();
        outgoing.send(vec![frame(1), frame(2)]);
        outgoing.close(Status::aborted("over"));
        assert_eq!(responses.next().await.unwrap().unwrap(), frame(1));
        assert_eq!(responses.next().await.unwrap().unwrap(), frame(2));
        assert_eq!(responses.next().await.unwrap().unwrap_err().code(), Code::Aborted);
        assert!(responses.next().await.is_none());
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_cut_off_and_costs_no_more_than_its_bytes() {
        let (outgoing, mut responses) = channel();
        let sent = (0..64)
            .take_while(|_| outgoing.send(vec![frame(1 << 20)]))
            .count();
        assert_eq!(sent, 15);
        assert!(outgoing.closed().is_cancelled());
        let status = responses.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        drop(outgoing);
        assert!(responses.next().await.is_none());
    }

    #[tokio::test]
    async fn a_peer_whose_connection_ends_is_gone() {
        let (outgoing, responses) = channel::<v1::MasterFrame>();
        assert!(!outgoing.gone().is_cancelled());
        drop(responses);
        assert!(outgoing.gone().is_cancelled());
    }

    #[tokio::test]
    async fn what_was_read_makes_room_again() {
        let (outgoing, mut responses) = channel();
        for _ in 0..64 {
            assert!(outgoing.send(vec![frame(1 << 20)]));
            responses.next().await.unwrap().unwrap();
        }
    }
}

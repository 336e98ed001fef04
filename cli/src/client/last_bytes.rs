//! A sink that keeps the end of what is written to it: a task may write without end, and without a line.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// Keeps the last bytes.
#[derive(Debug)]
pub(super) struct LastBytes {
    kept: Vec<u8>,
    most: usize,
}

impl LastBytes {
    /// Keeps at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self {
            kept: Vec::new(),
            most,
        }
    }

    /// What was kept.
    pub(super) fn take(mut self) -> Vec<u8> {
        self.cut();
        self.kept
    }

    fn cut(&mut self) {
        let excess = self.kept.len().saturating_sub(self.most);
        self.kept.drain(..excess);
    }
}

impl AsyncWrite for LastBytes {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let excess = bytes.len().saturating_sub(self.most);
        self.kept
            .extend_from_slice(bytes.get(excess..).unwrap_or_default());
        // Twice as much before it is cut, so that small writes do not move all of it each time.
        if self.kept.len() > self.most.saturating_mul(2) {
            self.cut();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn the_end_of_what_is_written_is_kept_however_it_comes() {
        for size in [1, 3, 7, 26] {
            let mut last = LastBytes::new(4);
            for chunk in b"abcdefghijklmnopqrstuvwxyz".chunks(size) {
                last.write_all(chunk).await.unwrap();
            }
            assert!(last.kept.len() <= 8);
            assert_eq!(last.take(), b"wxyz", "{size} at a time");
        }
    }
}

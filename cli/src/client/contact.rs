//! Patience with a peer that went away: back-off between tries, one message an outage, and an end.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};
use tonic::Status;

use crate::failure::{is_transient, refused, root_cause};

/// The first wait: a killed daemon under a supervisor is back in a few hundred milliseconds.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// After so long without contact the command gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// An outage shorter than this is not worth a message.
const QUIET: Duration = Duration::from_secs(1);

/// The state of one conversation.
#[derive(Debug)]
pub(crate) struct Contact {
    /// Who is spoken to, as the message names it.
    peer: &'static str,
    lost_at: Option<Instant>,
    wait: Duration,
    told: bool,
}

impl Contact {
    /// A conversation that has not failed yet.
    pub(crate) fn with(peer: &'static str) -> Self {
        Self {
            peer,
            lost_at: None,
            wait: FIRST_WAIT,
            told: false,
        }
    }

    /// The peer answered.
    pub(crate) fn good(&mut self) {
        if self.told {
            eprintln!("proffer: {} is back", self.peer);
        }
        *self = Self::with(self.peer);
    }

    /// How long the peer has been away.
    pub(crate) fn away(&self) -> Duration {
        self.lost_at.map_or(Duration::ZERO, |lost| lost.elapsed())
    }

    /// A call failed: waits before the next try, or fails if trying again cannot help or has gone on for too long.
    pub(crate) async fn lost(&mut self, status: &Status) -> Result<()> {
        if !is_transient(status) {
            return Err(refused(status));
        }
        self.pause(&root_cause(status)).await
    }

    /// As [`Contact::lost`], for a cause that is no answer.
    pub(crate) async fn pause(&mut self, cause: &str) -> Result<()> {
        self.lost_at.get_or_insert_with(Instant::now);
        let peer = self.peer;
        anyhow::ensure!(
            self.away() < PATIENCE,
            "no contact with {peer} for {} s ({cause}); giving up",
            PATIENCE.as_secs()
        );
        if self.away() >= QUIET && !self.told {
            self.told = true;
            eprintln!("proffer: lost contact with {peer} ({cause}); trying again");
        }
        sleep(self.wait).await;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        Ok(())
    }
}

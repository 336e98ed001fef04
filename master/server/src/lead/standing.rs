//! Waiting to lead, where several masters share a store.

use std::convert::Infallible;
use std::time::Duration;

use proffer_store::Standing;
use tokio::net::TcpStream;
use tracing::{info, warn};

use crate::lead::Lead;
use crate::readiness::Readiness;

/// How often a master that stands by looks who leads, to tell those who ask.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// The least time between two looks, when somebody asks or waits for a new leader: thousands share one.
const LOOK_PAUSE: Duration = Duration::from_millis(25);
/// How long the leader may take to accept a connection: long for any network that masters share.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

impl Lead<'_> {
    /// Returns once this master leads, which it always does where there is no election; `false` at the shutdown. Who led
    /// in between may have begun terms of its own.
    pub(super) async fn stand(&mut self, last_term: &mut Option<u32>) -> bool {
        if self.shutdown.is_cancelled() {
            return false;
        }
        let Some(standing) = &self.standing else {
            return true;
        };
        if self.leadership.as_ref().is_some_and(|lead| lead.is_certain()) {
            return true;
        }
        if self.leadership.take().is_some() {
            warn!("the lead was lost; standing by");
        }
        *last_term = None;
        let leadership = tokio::select! {
            () = self.shutdown.cancelled() => return false,
            leadership = standing.election.campaign(&standing.says) => leadership,
            never = tell(standing, &self.readiness) => match never {},
        };
        info!(address = standing.says, "elected");
        self.leadership = Some(leadership);
        true
    }

    /// Lets another master lead without waiting for the lease to run out.
    pub(super) async fn resign(&mut self) {
        if let Some(leadership) = self.leadership.take() {
            leadership.resign().await;
        }
    }
}

/// Keeps those who ask told of who leads. The store names a leader that died until its lease is over: whoever came from
/// there would be sent back there, again and again. So the leader is asked for as well.
async fn tell(standing: &Standing, readiness: &Readiness) -> Infallible {
    let mut known = (None, false);
    readiness.set_standby(None, false).await;
    loop {
        // Its own name may still be there from before.
        let leader = standing.election.leader().await;
        let leader = leader.filter(|leader| *leader != standing.says);
        let answers = match &leader {
            Some(leader) => answers(leader).await,
            None => false,
        };
        let seen = (leader, answers);
        if seen != known {
            let (leader, answers) = seen.clone();
            info!(
                leader = leader.as_deref().unwrap_or("none"),
                answers, "standing by"
            );
            readiness.set_standby(leader, answers).await;
            known = seen;
        }
        readiness.looked();
        tokio::time::sleep(LOOK_PAUSE).await;
        if answers {
            // Nobody asks: until the next look.
            let _ = tokio::time::timeout(LOOK_INTERVAL - LOOK_PAUSE, readiness.asked()).await;
        }
    }
}

/// Whether a master accepts connections.
async fn answers(address: &str) -> bool {
    let connected = tokio::time::timeout(ANSWER_TIMEOUT, TcpStream::connect(address)).await;
    matches!(connected, Ok(Ok(_)))
}

//! Waiting to lead, where several masters share a store.

use std::convert::Infallible;
use std::time::Duration;

use tracing::{info, warn};

use crate::config::Standing;
use crate::lead::Lead;
use crate::readiness::Readiness;

/// How often a master that stands by looks who leads, to tell those who ask.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

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
            leadership = standing.election.campaign(&standing.address) => leadership,
            never = tell(standing, &self.readiness) => match never {},
        };
        info!(address = standing.address, "elected");
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

/// Keeps those who ask told of who leads.
async fn tell(standing: &Standing, readiness: &Readiness) -> Infallible {
    let mut known = None;
    readiness.set_standby(None).await;
    loop {
        // Its own name may still be there from before.
        let leader = standing.election.leader().await;
        let leader = leader.filter(|leader| *leader != standing.address);
        if leader != known {
            info!(leader = leader.as_deref().unwrap_or("none"), "standing by");
            readiness.set_standby(leader.clone()).await;
            known = leader;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

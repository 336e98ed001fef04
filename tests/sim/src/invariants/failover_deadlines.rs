//! Failover deadlines hold: no framework is given up before it was away for as long as it said it may be.
//!
//! Whoever leads meanwhile: a deadline outlives its master. Clocks of two masters disagree by seconds, and so may they.
//!
//! Source: Mesos, "FrameworkInfo.failover_timeout"; classicswarm#2352: with a timeout of zero, a scheduler that restarted
//! found all its tasks killed.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_types::{FrameworkId, Timestamp};

use super::Invariant;
use crate::clock::{MAX_AHEAD, MAX_DRIFT_PPM};
use crate::facts::Fact;
use proffer_master_core::Event;

#[derive(Debug, Default)]
pub(crate) struct FailoverDeadlines {
    /// What its operator configured, by number.
    configured: BTreeMap<FrameworkId, Duration>,
    /// When each was last connected.
    connected: BTreeMap<FrameworkId, Timestamp>,
}

impl Invariant for FailoverDeadlines {
    fn name(&self) -> &'static str {
        "failover deadlines hold"
    }

    fn observe(&mut self, now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::FrameworkId { id, patience, .. } => {
                self.configured.insert((*id).clone(), *patience);
            }
            Fact::MasterEvent(
                Event::FrameworkSubscribed { framework_id, .. }
                | Event::FrameworkDisconnected { framework_id, .. },
            ) => {
                // A master that starts emits the latter of whoever was away already.
                let was_known = self.connected.contains_key(framework_id);
                let subscribed = matches!(fact, Fact::MasterEvent(Event::FrameworkSubscribed { .. }));
                if subscribed || !was_known {
                    self.connected.insert(framework_id.clone(), now);
                }
            }
            Fact::MasterEvent(Event::FrameworkCompleted { framework_id }) => {
                return self.given_up(now, framework_id);
            }
            _ => {}
        }
        Ok(())
    }
}

impl FailoverDeadlines {
    fn given_up(&self, now: Timestamp, id: &FrameworkId) -> Result<(), String> {
        let (Some(patience), Some(since)) = (self.configured.get(id), self.connected.get(id)) else {
            return Ok(());
        };
        let bearable = MAX_AHEAD + *patience * u32::try_from(MAX_DRIFT_PPM).unwrap_or(1) / 1_000_000;
        let away = now.since(*since);
        if away + bearable < *patience {
            return Err(format!(
                "framework {id} is given up after {away:?}, and may be away for {patience:?}"
            ));
        }
        Ok(())
    }
}

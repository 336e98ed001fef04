//! Agents whose next maintenance window is known from what they were offered with.
//!
//! Not durable: each offer says it anew. For people only; what is launched is decided by the offer itself.

use std::collections::BTreeMap;

use proffer_types::{AgentId, Offer, Timestamp};

/// When the next window of each agent begins, by the host's clock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Closing(BTreeMap<AgentId, Timestamp>);

impl Closing {
    /// An agent was offered, with its next window or without one. Forgets those that have begun: nothing is offered there.
    pub(crate) fn offered(&mut self, offer: &Offer, now: Timestamp) {
        match offer.unavailability {
            None => {
                self.0.remove(&offer.agent_id);
            }
            Some(window) => {
                self.0.retain(|_, start| now < *start);
                self.0.insert(offer.agent_id.clone(), window.start);
            }
        }
    }

    /// On how many agents a window begins before `end`, and when the first one does.
    pub(crate) fn before(&self, now: Timestamp, end: Timestamp) -> Option<(usize, Timestamp)> {
        let starts = self.0.values().filter(|start| (now..end).contains(*start));
        Some((starts.clone().count(), *starts.min()?))
    }
}

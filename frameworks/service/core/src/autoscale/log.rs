//! What was decided, kept over restarts.

use std::collections::VecDeque;

use proffer_types::Timestamp;
use prost::Message;

/// The most decisions that are remembered of a service.
pub const MAX_DECISIONS: usize = 50;

/// One change of the number of replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub at: Timestamp,
    pub from: u32,
    pub to: u32,
    /// In words, with the figures.
    pub why: String,
}

/// The latest decisions of a service, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Log(VecDeque<Decision>);

#[derive(Clone, PartialEq, Message)]
struct LogRecord {
    #[prost(message, repeated, tag = "1")]
    decisions: Vec<DecisionRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct DecisionRecord {
    #[prost(uint64, tag = "1")]
    at_ms: u64,
    #[prost(uint32, tag = "2")]
    from: u32,
    #[prost(uint32, tag = "3")]
    to: u32,
    #[prost(string, tag = "4")]
    why: String,
}

impl Log {
    pub(super) fn add(&mut self, decision: Decision) {
        self.0.push_back(decision);
        while self.0.len() > MAX_DECISIONS {
            self.0.pop_front();
        }
    }

    pub(super) fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.0.iter()
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let decisions = self.0.iter().map(|decision| DecisionRecord {
            at_ms: decision.at.0,
            from: decision.from,
            to: decision.to,
            why: decision.why.clone(),
        });
        LogRecord {
            decisions: decisions.collect(),
        }
        .encode_to_vec()
    }

    pub(crate) fn read(value: &[u8]) -> Result<Self, prost::DecodeError> {
        let record = LogRecord::decode(value)?;
        let decisions = record.decisions.into_iter().map(|decision| Decision {
            at: Timestamp(decision.at_ms),
            from: decision.from,
            to: decision.to,
            why: decision.why,
        });
        Ok(Self(decisions.collect()))
    }
}

//! Nobody talks without end: a framework makes so many calls in any ten seconds, and no more.
//!
//! Source: Mesos, "Designing highly available frameworks": a scheduler backs off where an answer changes nothing. A kill
//! that is answered with UNREACHABLE and followed by a kill goes round thousands of times a second.

use std::collections::BTreeMap;

use proffer_types::Timestamp;

use super::Invariant;
use crate::facts::Fact;

/// A dozen jobs of three tasks, with every status acknowledged, and what a crowd of offers takes, stay far below.
const MAX_CALLS: u32 = 2_000;
const WINDOW_MS: u64 = 10_000;

#[derive(Debug, Default)]
pub(crate) struct NoChatter {
    /// Of each framework: the window, and the calls in it.
    counts: BTreeMap<usize, (u64, u32)>,
}

impl Invariant for NoChatter {
    fn name(&self) -> &'static str {
        "nobody talks without end"
    }

    fn observe(&mut self, now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Called { framework, call } = fact else {
            return Ok(());
        };
        let window = now.0 / WINDOW_MS;
        let count = self.counts.entry(*framework).or_default();
        if count.0 != window {
            *count = (window, 0);
        }
        count.1 += 1;
        if count.1 > MAX_CALLS {
            return Err(format!(
                "framework {framework} made {MAX_CALLS} calls within ten seconds, the last of them {call:?}"
            ));
        }
        Ok(())
    }
}

//! Only checkpointed facts are reported: what an agent says of a task is on its disk first.
//!
//! Source: architecture, "Cores and shells". A refused task has no record, and needs none.

use proffer_types::Timestamp;

use super::Invariant;
use crate::facts::Fact;

#[derive(Debug)]
pub(crate) struct ReportedIsCheckpointed;

impl Invariant for ReportedIsCheckpointed {
    fn name(&self) -> &'static str {
        "only checkpointed facts are reported"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Reported {
                key,
                state,
                on_disk: Some(false),
                ..
            } => Err(format!("{key} was reported {state:?}, which is not on disk")),
            _ => Ok(()),
        }
    }
}

//! What a framework's user was told stays so: what was taken on is not forgotten, what ended ended once, in one way.
//!
//! So a job that is finished stays finished, and one that was cancelled stays cancelled, whatever crashes.
//!
//! Source: chronos#508 and #511: jobs missed, and run twice, after a failover of the scheduler.

use std::collections::BTreeMap;

use proffer_types::Timestamp;

use super::Invariant;
use crate::facts::{Fact, Promises};

#[derive(Debug, Default)]
pub(crate) struct PromisesKept {
    /// Of each framework.
    last: BTreeMap<usize, Promises>,
}

impl Invariant for PromisesKept {
    fn name(&self) -> &'static str {
        "promises are kept"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Promises { framework, promises } = fact else {
            return Ok(());
        };
        let before = self.last.insert(*framework, (*promises).clone());
        for (name, end) in before.unwrap_or_default() {
            match promises.get(&name) {
                None => return Err(format!("framework {framework} forgot {name}")),
                Some(now) if end.is_some() && *now != end => {
                    return Err(format!(
                        "{name} of framework {framework} ended as {end:?}, and is now {now:?}"
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

//! At most one master is in force: once a later term has acted, no earlier one does, nor writes. Terms grow.
//!
//! Source: Mesos, "High availability": at most one leading master; Chubby (OSDI 2006), section 2.4: sequencers.

use proffer_types::Timestamp;

use super::Invariant;
use crate::facts::Fact;

#[derive(Debug, Default)]
pub(crate) struct OneLeads {
    /// Begun last, and by whom.
    begun: (u64, usize),
    /// Of those that let others know something, the last.
    acted: (u32, usize),
}

impl Invariant for OneLeads {
    fn name(&self) -> &'static str {
        "at most one master is in force"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::TermBegun { master, term } => {
                let before = std::mem::replace(&mut self.begun, (*term, *master));
                if *term <= before.0 {
                    return Err(format!("term {term} begins after {}", before.0));
                }
            }
            Fact::Stored { term, .. } if u64::from(*term) != self.begun.0 => {
                return Err(format!("term {term} wrote, and {} has begun", self.begun.0));
            }
            Fact::MasterActs { master, term } => {
                let (last, by) = self.acted;
                if *term < last || (*term == last && *master != by) {
                    return Err(format!(
                        "master {master} acts in term {term}, after master {by} did in term {last}"
                    ));
                }
                self.acted = (*term, *master);
            }
            _ => {}
        }
        Ok(())
    }
}

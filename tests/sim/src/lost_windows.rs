//! What a sabotaged framework's store loses of windows: half of the one write that holds both, that a window is behind and
//! that it has a run.

use std::collections::{BTreeMap, BTreeSet};

use proffer_session::Write;

use crate::sabotage::Sabotage;

/// How the batch scheduler names what it writes: of a recurring job, and of a run.
const LEDGER: &str = "/ledger";
const RUNS: &str = "job/";

#[derive(Debug)]
pub(crate) struct LostWindows {
    sabotage: Option<Sabotage>,
    /// The runs that the last step of a ledger came with.
    runs: BTreeSet<String>,
    /// Each ledger as it was last, and before.
    ledgers: BTreeMap<String, [Vec<u8>; 2]>,
}

impl LostWindows {
    pub(crate) fn new(sabotage: Option<Sabotage>) -> Self {
        Self {
            sabotage,
            runs: BTreeSet::new(),
            ledgers: BTreeMap::new(),
        }
    }

    /// Notes what is about to be written.
    pub(crate) fn wrote(&mut self, writes: &[Write]) {
        match self.sabotage {
            Some(Sabotage::ForgetsRuns) => self.note_runs(writes),
            Some(Sabotage::ForgetsWindows) => self.note_ledgers(writes),
            _ => {}
        }
    }

    fn note_runs(&mut self, writes: &[Write]) {
        let keys = writes.iter().filter_map(|write| match write {
            Write::Put { key, .. } => Some(key),
            Write::Delete { .. } => None,
        });
        let (ledgers, others): (Vec<_>, Vec<_>) = keys.partition(|key| key.ends_with(LEDGER));
        if !ledgers.is_empty() {
            let is_run = |key: &str| key.strip_prefix(RUNS).is_some_and(|rest| !rest.contains('/'));
            let runs = others.into_iter().filter(|key| is_run(key));
            self.runs = runs.cloned().collect();
        }
    }

    fn note_ledgers(&mut self, writes: &[Write]) {
        for write in writes {
            if let Write::Put { key, value } = write
                && key.ends_with(LEDGER)
            {
                let [last, _] = self.ledgers.remove(key).unwrap_or([value.clone(), value.clone()]);
                self.ledgers.insert(key.clone(), [value.clone(), last]);
            }
        }
    }

    /// A record as it is read again, if it is there at all.
    pub(crate) fn read(&self, key: String, value: Vec<u8>) -> Option<(String, Vec<u8>)> {
        if self.runs.iter().any(|run| key.starts_with(run)) {
            return None;
        }
        let before = self.ledgers.get(&key).map(|[_, before]| before.clone());
        Some((key, before.unwrap_or(value)))
    }
}

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
    /// Each ledger as it is, and as it is read again.
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
        if writes.iter().any(|write| ledger(write).is_some()) {
            self.runs = writes.iter().filter_map(run).cloned().collect();
        }
    }

    fn note_ledgers(&mut self, writes: &[Write]) {
        // What else a ledger says is not what is lost here.
        let has_run = writes.iter().any(|write| run(write).is_some());
        for (key, value) in writes.iter().filter_map(ledger) {
            let before = self.ledgers.remove(key).map(|[last, _]| last);
            let before = before.filter(|_| has_run).unwrap_or_else(|| value.clone());
            self.ledgers.insert(key.clone(), [value.clone(), before]);
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

fn ledger(write: &Write) -> Option<(&String, &Vec<u8>)> {
    match write {
        Write::Put { key, value } if key.ends_with(LEDGER) => Some((key, value)),
        Write::Put { .. } | Write::Delete { .. } => None,
    }
}

/// The record of a whole run, not of a task in it.
fn run(write: &Write) -> Option<&String> {
    match write {
        Write::Put { key, .. } => {
            let name = key.strip_prefix(RUNS)?;
            (!name.contains('/')).then_some(key)
        }
        Write::Delete { .. } => None,
    }
}

//! Removing the records of jobs that are forgotten, a bounded number in a step: of a large job they are more than one commit
//! holds.
//!
//! The job is gone at once, and what is left of its records stands under a mark that goes last, so that a scheduler that
//! starts meanwhile knows whose they are.

use std::collections::{BTreeMap, BTreeSet};

use proffer_session::Context;

use super::{Batch, put};
use crate::job::Job;
use crate::records;

/// Records of instances that go with their job at once; a recurring job may go with two hundred runs,
/// and a template with a thousand.
const MAX_AT_ONCE: usize = 100;
/// Records removed in one step, at some hundred bytes of a commit each, which holds 16 MiB. The next step comes at once.
const MAX_PER_STEP: usize = 20_000;

/// Records of jobs that are gone, by the number of the job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Forgotten(BTreeMap<u64, BTreeSet<String>>);

impl Forgotten {
    /// A mark was found.
    pub(super) fn restore(&mut self, number: u64) {
        self.0.entry(number).or_default();
    }

    /// Takes the record of an instance, if its job is gone.
    pub(super) fn restore_key(&mut self, number: u64, key: &str) -> bool {
        let keys = self.0.get_mut(&number);
        keys.map(|keys| keys.insert(key.to_owned())).is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Batch {
    /// Removes the records of a job that is gone, or begins to.
    pub(super) fn forget_records(&mut self, job: &Job, cx: &mut Context<'_>) {
        records::keys(job).into_iter().for_each(|key| cx.delete(key));
        let keys: BTreeSet<_> = records::instance_keys(job).collect();
        if keys.len() <= MAX_AT_ONCE {
            keys.into_iter().for_each(|key| cx.delete(key));
        } else {
            put(cx, records::forgotten(job.number));
            self.forgotten.0.insert(job.number, keys);
        }
    }

    /// Removes some of what is left.
    pub(super) fn forget_more(&mut self, cx: &mut Context<'_>) {
        let mut n_left = MAX_PER_STEP;
        while n_left > 0
            && let Some(mut entry) = self.forgotten.0.first_entry()
        {
            while n_left > 0
                && let Some(key) = entry.get_mut().pop_first()
            {
                cx.delete(key);
                n_left -= 1;
            }
            if entry.get().is_empty() {
                cx.delete(records::forgotten(*entry.key()).0);
                entry.remove();
            }
        }
    }
}

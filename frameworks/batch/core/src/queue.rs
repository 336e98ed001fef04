//! The tasks that have instances waiting for an offer and are not held: by priority, then in the order of submission, then of the spec.
//!
//! Instances of one task ask for the same, so they are kept together, in the task itself: an offer that cannot hold one of
//! them is not tried on the others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use proffer_types::Role;

use crate::job::{Job, Phase};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Queue {
    roles: BTreeMap<Role, BTreeSet<Key>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    priority: Reverse<i32>,
    job: u64,
    task: usize,
}

impl Queue {
    /// What of a task waits, or whether it is held, may have changed.
    pub(crate) fn update(&mut self, job: &Job, task: usize) {
        let key = Key {
            priority: Reverse(job.spec.priority),
            job: job.number,
            task,
        };
        if job.tasks[task].count(Phase::Waiting) > 0 && !job.held {
            self.roles.entry(job.spec.role.clone()).or_default().insert(key);
        } else if let Some(keys) = self.roles.get_mut(&job.spec.role) {
            keys.remove(&key);
            if keys.is_empty() {
                self.roles.remove(&job.spec.role);
            }
        }
    }

    /// The waiting tasks of a role, in their order: `(job, task)`.
    pub(crate) fn tasks(&self, role: &Role) -> impl Iterator<Item = (u64, usize)> {
        let keys = self.roles.get(role).into_iter().flatten();
        keys.map(|key| (key.job, key.task))
    }
}

//! The instances that wait for an offer: by priority, then in the order of submission, then of the spec.
//!
//! Instances of one task ask for the same, so they are kept together: an offer that cannot hold one of them is not
//! tried on the others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use proffer_types::Role;

use crate::job::{Job, Place};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Queue {
    roles: BTreeMap<Role, BTreeMap<Key, BTreeSet<usize>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    priority: Reverse<i32>,
    job: u64,
    task: usize,
}

impl Queue {
    pub(crate) fn insert(&mut self, job: &Job, place: Place) {
        let groups = self.roles.entry(job.spec.role.clone()).or_default();
        groups.entry(key(job, place)).or_default().insert(place.index);
    }

    pub(crate) fn remove(&mut self, job: &Job, place: Place) {
        let Some(groups) = self.roles.get_mut(&job.spec.role) else {
            return;
        };
        let key = key(job, place);
        if let Some(indexes) = groups.get_mut(&key) {
            indexes.remove(&place.index);
            if indexes.is_empty() {
                groups.remove(&key);
            }
        }
        if groups.is_empty() {
            self.roles.remove(&job.spec.role);
        }
    }

    /// The indexes of a task's waiting instances, if there are any.
    pub(crate) fn waiting(&self, job: &Job, task: usize) -> Option<&BTreeSet<usize>> {
        let place = job.place(task, 0);
        self.roles.get(&job.spec.role)?.get(&key(job, place))
    }

    /// The waiting tasks of a role, each with the indexes of its waiting instances: `(job, task, indexes)`.
    pub(crate) fn groups(&self, role: &Role) -> impl Iterator<Item = (u64, usize, &BTreeSet<usize>)> {
        let groups = self.roles.get(role).into_iter().flatten();
        groups.map(|(key, indexes)| (key.job, key.task, indexes))
    }
}

fn key(job: &Job, place: Place) -> Key {
    Key {
        priority: Reverse(job.spec.priority),
        job: place.job,
        task: place.task,
    }
}

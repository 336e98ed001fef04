//! One slot of a service: the task that fills it, and the one that is to take its place.
//!
//! Whatever replaces a replica, a new version or a move off an agent, starts a successor beside it; the replica stops once the
//! successor is available. Where no more may run at once the replica stops first, and its slot starts anew.
//!
//! ```text
//! task            --replace-->  task + next  --next available, task stopped-->  task (was next)
//! ```

use crate::discovery::own_address;
use crate::instance::Instance;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) number: u32,
    /// The greatest start number so far; 0 before the first.
    pub(crate) last_start: u64,
    /// How often it was started.
    pub(crate) n_starts: u64,
    pub(crate) task: Instance,
    /// The successor.
    pub(crate) next: Option<Instance>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Task,
    Next,
}

impl Slot {
    pub(crate) fn new(number: u32, version: u64) -> Self {
        Self {
            number,
            last_start: 0,
            n_starts: 0,
            task: Instance::new(version),
            next: None,
        }
    }

    pub(crate) fn at(&self, place: Place) -> Option<&Instance> {
        match place {
            Place::Task => Some(&self.task),
            Place::Next => self.next.as_ref(),
        }
    }

    pub(crate) fn at_mut(&mut self, place: Place) -> Option<&mut Instance> {
        match place {
            Place::Task => Some(&mut self.task),
            Place::Next => self.next.as_mut(),
        }
    }

    /// What is in it, the one to be replaced first.
    pub(crate) fn instances(&self) -> impl Iterator<Item = (Place, &Instance)> {
        let next = self.next.as_ref().map(|next| (Place::Next, next));
        std::iter::once((Place::Task, &self.task)).chain(next)
    }

    /// Where the task of a start is, if it is one of the latest.
    pub(crate) fn find(&self, start: u64) -> Option<Place> {
        let mut instances = self.instances();
        let found = instances.find(|(_, instance)| start > 0 && instance.start == start);
        found.map(|(place, _)| place)
    }

    pub(crate) fn has_task(&self) -> bool {
        self.instances().any(|(_, instance)| instance.has_task())
    }

    pub(crate) fn is_running(&self) -> bool {
        self.instances().any(|(_, instance)| instance.is_running())
    }

    pub(crate) fn is_available(&self) -> bool {
        self.instances().any(|(_, instance)| instance.is_available())
    }

    /// Whether edges may have to be told otherwise of it than before.
    pub(crate) fn is_told_otherwise_than(&self, before: &Self) -> bool {
        let told = |slot: &Self| {
            let instances = slot.instances().map(|(_, instance)| {
                let is_there = instance.has_task() || instance.may_return();
                (instance.start, instance.serves(), is_there, own_address(instance))
            });
            instances.collect::<Vec<_>>()
        };
        told(self) != told(before)
    }

    /// Lets the successor take over from a task that is gone, if it was to or can; and forgets a successor that was stopped.
    /// `was_stopping` are those that had been asked to stop before they ended.
    pub(crate) fn settle(&mut self, was_stopping: Option<Place>) {
        let Some(next) = &self.next else {
            return;
        };
        if was_stopping == Some(Place::Next) && !next.has_task() {
            self.next = None;
            return;
        }
        let takes_over = was_stopping == Some(Place::Task)
            || next.is_available()
            || (next.version == self.task.version && !next.is_stopping());
        if !self.task.has_task()
            && takes_over
            && let Some(next) = self.next.take()
        {
            self.task = next;
        }
    }
}

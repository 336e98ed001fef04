//! What happens next: an ordered list of happenings, and the only clock there is.
//!
//! Time moves only in [`Queue::pop`], never back. Happenings of one instant come out in the order they went in.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_types::Timestamp;

#[derive(Debug)]
pub(crate) struct Queue<T> {
    now: Timestamp,
    serial: u64,
    /// Boxed: a happening is large, and moves whenever another comes before it.
    waiting: BTreeMap<(Timestamp, u64), Box<T>>,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self {
            now: Timestamp(0),
            serial: 0,
            waiting: BTreeMap::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Puts a happening at an instant; at once when that has passed.
    pub(crate) fn at(&mut self, at: Timestamp, happening: T) {
        self.serial += 1;
        self.waiting
            .insert((at.max(self.now), self.serial), Box::new(happening));
    }

    pub(crate) fn after(&mut self, delay: Duration, happening: T) {
        self.at(self.now.after(delay), happening);
    }

    /// Takes the next happening and moves time to it.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let ((at, _), happening) = self.waiting.pop_first()?;
        self.now = at;
        Some(*happening)
    }
}

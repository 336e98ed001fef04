//! Whose turn it is: of each user one, then of each another one, and so on.

use std::collections::{BTreeSet, VecDeque, btree_set};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter::Peekable;
use std::vec;

use crate::job::Place;

use super::{Key, Queue, Wake};

/// A task that waits to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) job: u64,
    pub(crate) task: usize,
    /// Whose turn it is; the same for all where users are not told apart.
    pub(crate) flow: u64,
}

/// What wants the same to go on, all of one user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sleepers<'a> {
    pub(crate) wake: &'a Wake,
    /// As that of [`Next`].
    pub(crate) flow: u64,
    keys: &'a BTreeSet<Key>,
}

impl<'a> Sleepers<'a> {
    /// In their order.
    pub(crate) fn places(self) -> impl Iterator<Item = Place> + 'a {
        self.keys.iter().map(|key| key.place())
    }

    pub(crate) fn len(self) -> u32 {
        u32::try_from(self.keys.len()).unwrap_or(u32::MAX)
    }
}

/// What is next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Turn<'a> {
    Start(Next),
    Resume(Sleepers<'a>),
}

/// What waits in a queue, in turn. See [`super::Queues::tasks`].
#[derive(Debug, Default)]
pub(crate) struct InTurn<'a>(pub(super) VecDeque<Flow<'a>>);

/// What waits of one user.
#[derive(Debug)]
pub(super) struct Flow<'a> {
    number: u64,
    waiting: Peekable<btree_set::Iter<'a, Key>>,
    asleep: Peekable<vec::IntoIter<(Key, Sleepers<'a>)>>,
}

impl<'a> Flow<'a> {
    pub(super) fn of(queue: &'a Queue, user: &str) -> Self {
        let number = flow(user);
        let waiting = queue.waiting.get(user).map(BTreeSet::iter).unwrap_or_default();
        let asleep = queue.asleep.get(user).into_iter().flatten();
        let mut asleep: Vec<_> = asleep
            .filter_map(|(wake, keys)| {
                let flow = number;
                Some((*keys.first()?, Sleepers { wake, flow, keys }))
            })
            .collect();
        asleep.sort_unstable_by_key(|(first, _)| *first);
        Self {
            number,
            waiting: waiting.peekable(),
            asleep: asleep.into_iter().peekable(),
        }
    }
}

impl<'a> Iterator for Flow<'a> {
    type Item = Turn<'a>;

    fn next(&mut self) -> Option<Turn<'a>> {
        let goes_on = match (self.waiting.peek(), self.asleep.peek()) {
            (Some(waiting), Some((asleep, _))) => asleep < *waiting,
            (None, Some(_)) => true,
            (Some(_) | None, None) => false,
        };
        if goes_on {
            return self.asleep.next().map(|(_, sleepers)| Turn::Resume(sleepers));
        }
        let flow = self.number;
        let key = self.waiting.next()?;
        let (job, task) = (key.job, key.task);
        Some(Turn::Start(Next { job, task, flow }))
    }
}

impl<'a> Iterator for InTurn<'a> {
    type Item = Turn<'a>;

    fn next(&mut self) -> Option<Turn<'a>> {
        while let Some(mut flow) = self.0.pop_front() {
            if let Some(next) = flow.next() {
                self.0.push_back(flow);
                return Some(next);
            }
        }
        None
    }
}

/// A number for a user that is the same in every statement; two users with one number share a turn.
pub(super) fn flow(user: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    user.hash(&mut hasher);
    hasher.finish()
}

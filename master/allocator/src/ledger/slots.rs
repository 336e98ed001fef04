//! Dense handles: small integers for what has a name, so that sums and indexes are arrays.
//!
//! A handle is valid while what it names is in the ledger, and is given to something else afterwards. Handles depend
//! on nothing but the order of changes: equal histories give equal handles.

use std::fmt;
use std::marker::PhantomData;

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) u32);

        impl Handle for $name {
            fn new(at: u32) -> Self {
                Self(at)
            }
            fn at(self) -> usize {
                self.0 as usize
            }
        }
    };
}

/// A small integer that stands for one entry.
pub trait Handle: Copy {
    /// The handle of one place.
    fn new(at: u32) -> Self;
    /// The place, to index with.
    fn at(self) -> usize;
}

handle!(
    /// One agent of the pool.
    AgentIx
);
handle!(
    /// One role of the tree.
    RoleIx
);
handle!(
    /// One framework in one of its roles: who offers are made to.
    LeafIx
);
handle!(
    /// One claim: an offer or a task.
    ClaimIx
);

/// Entries by handle.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Slots<I, T> {
    entries: Vec<Option<T>>,
    /// Places that may be taken again, the latest first.
    free: Vec<u32>,
    handle: PhantomData<I>,
}

impl<I, T> Default for Slots<I, T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            handle: PhantomData,
        }
    }
}

impl<I: Handle + fmt::Debug, T: fmt::Debug> fmt::Debug for Slots<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<I: Handle, T> Slots<I, T> {
    /// Panics beyond 2^32 entries.
    pub(crate) fn insert(&mut self, entry: T) -> I {
        let at = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).expect("a ledger has less than 2^32 entries of a kind")
        });
        self.entries[at as usize] = Some(entry);
        I::new(at)
    }

    pub(crate) fn remove(&mut self, ix: I) -> Option<T> {
        let entry = self.entries.get_mut(ix.at())?.take()?;
        self.free.push(u32::try_from(ix.at()).expect("a handle is a u32"));
        Some(entry)
    }

    pub(crate) fn get(&self, ix: I) -> Option<&T> {
        self.entries.get(ix.at())?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, ix: I) -> Option<&mut T> {
        self.entries.get_mut(ix.at())?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        let numbered = (0_u32..).zip(&self.entries);
        numbered.filter_map(|(at, entry)| Some((I::new(at), entry.as_ref()?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}

impl<I: Handle, T> std::ops::Index<I> for Slots<I, T> {
    type Output = T;

    /// Panics on a handle that is not valid: our own mistake.
    fn index(&self, ix: I) -> &T {
        self.get(ix).expect("the handle is valid")
    }
}

impl<I: Handle, T> std::ops::IndexMut<I> for Slots<I, T> {
    fn index_mut(&mut self, ix: I) -> &mut T {
        self.get_mut(ix).expect("the handle is valid")
    }
}

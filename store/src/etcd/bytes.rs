//! What the bytes in an etcd mean to a store, without one: for who holds its readers against bytes that nobody wrote.

use crate::Entry;
use crate::etcd::layout::{Assembly, Head, Keys, decode, encode};

/// What a head that is read is written as; `None` where it is refused.
#[must_use]
pub fn head(bytes: &[u8]) -> Option<Vec<u8>> {
    Head::from_bytes(bytes).ok().map(Head::to_bytes)
}

/// What the changes of a staged group are written as; `None` where it is refused.
#[must_use]
pub fn staged(bytes: &[u8]) -> Option<Vec<u8>> {
    decode(bytes).map(|group| encode(&group))
}

/// The records of keys and values in their order, below a prefix. `Err` says what is wrong with one of them.
pub fn records<'a>(
    prefix: &str,
    pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Vec<Entry>, String> {
    let keys = Keys(prefix.to_owned());
    let mut assembly = Assembly::default();
    for (key, value) in pairs {
        assembly.take(&keys, key, value)?;
    }
    assembly.finish()
}

//! What the store's keys and values look like in etcd. Pure.
//!
//! | key, below the prefix | value |
//! |---|---|
//! | `head` | [`Head`]: the format, the revision of the last commit, and what of it is not in place yet |
//! | `data/<key>` | revision, number of parts, the first part of the record's bytes |
//! | `data/<key> NUL <n>` | part `n` of them, from 1: users' keys have no NUL, so parts stand behind their record |
//! | `staged/<commit>/<n>` | changes of a commit that is too large for one transaction |
//!
//! Numbers are big-endian.

use std::collections::BTreeMap;

use crate::{Entry, Op, Revision};

/// The layout described above. A greater number in etcd is refused.
pub(super) const FORMAT: u32 = 1;
/// Bytes of a record that are one value: etcd takes requests of 1.5 MiB.
pub(super) const PART_BYTES: usize = 512 << 10;
/// Changes that are one transaction: etcd takes 128 operations.
const MAX_GROUP_CHANGES: usize = 120;
/// Keys and values of one transaction, with room for what gRPC adds.
const MAX_GROUP_BYTES: usize = 1 << 20;

/// One change of etcd's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Put {
        key: Vec<u8>,
        value: Vec<u8>,
    },
    /// Everything from the first to before the second.
    Delete {
        from: Vec<u8>,
        to: Vec<u8>,
    },
}

impl Change {
    fn n_bytes(&self) -> usize {
        let (Self::Put {
            key: one,
            value: other,
        }
        | Self::Delete { from: one, to: other }) = self;
        one.len() + other.len()
    }
}

/// The store as a whole. Each commit changes it, so nothing has changed while it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    pub(super) revision: Revision,
    /// A commit that is certain, but not all in place.
    pub(super) staged: Option<Staged>,
}

/// Where the changes of a large commit are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Staged {
    /// Made up for this commit.
    pub(super) commit: u64,
    pub(super) n_groups: u32,
}

/// Why bytes are no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHead {
    Damaged,
    Format(u32),
}

impl Head {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = FORMAT.to_be_bytes().to_vec();
        bytes.extend(self.revision.0.to_be_bytes());
        if let Some(staged) = self.staged {
            bytes.extend(staged.commit.to_be_bytes());
            bytes.extend(staged.n_groups.to_be_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(mut bytes: &[u8]) -> Result<Self, BadHead> {
        let bytes = &mut bytes;
        let format = number32(bytes).ok_or(BadHead::Damaged)?;
        if format != FORMAT {
            return Err(BadHead::Format(format));
        }
        let revision = Revision(number(bytes).ok_or(BadHead::Damaged)?);
        let staged = match bytes.is_empty() {
            true => None,
            false => Some(Staged {
                commit: number(bytes).ok_or(BadHead::Damaged)?,
                n_groups: number32(bytes).ok_or(BadHead::Damaged)?,
            }),
        };
        match bytes.is_empty() {
            true => Ok(Self { revision, staged }),
            false => Err(BadHead::Damaged),
        }
    }
}

/// The keys of one store.
#[derive(Debug, Clone)]
pub(super) struct Keys(pub(super) String);

impl Keys {
    pub(super) fn head(&self) -> Vec<u8> {
        format!("{}/head", self.0).into_bytes()
    }

    /// A record's first part.
    pub(super) fn record(&self, key: &str) -> Vec<u8> {
        format!("{}/data/{key}", self.0).into_bytes()
    }

    fn part(&self, key: &str, n: u32) -> Vec<u8> {
        let mut bytes = self.record(key);
        bytes.push(0);
        bytes.extend(n.to_be_bytes());
        bytes
    }

    /// Behind a record's last part.
    pub(super) fn after(&self, key: &str) -> Vec<u8> {
        let mut bytes = self.record(key);
        bytes.push(1);
        bytes
    }

    /// The user's key that one in etcd belongs to, and whether it is the first part's.
    fn user_key<'a>(&self, key: &'a [u8]) -> Option<(&'a str, bool)> {
        let key = key.strip_prefix(self.record("").as_slice())?;
        let end = key.iter().position(|byte| *byte == 0);
        let user = std::str::from_utf8(&key[..end.unwrap_or(key.len())]).ok()?;
        Some((user, end.is_none()))
    }

    pub(super) fn staged(&self, staged: Staged, n: u32) -> Vec<u8> {
        format!("{}/staged/{:016x}/{n:08x}", self.0, staged.commit).into_bytes()
    }

    /// All that is staged, of whichever commit.
    pub(super) fn all_staged(&self) -> (Vec<u8>, Vec<u8>) {
        let from = format!("{}/staged/", self.0).into_bytes();
        let to = after_prefix(&from);
        (from, to)
    }

    /// The changes of a commit, in groups of what fits into one transaction. They may be made in any order, and again.
    pub(super) fn groups(&self, ops: Vec<Op>, revision: Revision) -> Vec<Vec<Change>> {
        let ops = last_of_each(ops).into_iter();
        in_transactions(ops.flat_map(|op| self.changes(op, revision)))
    }

    fn changes(&self, op: Op, revision: Revision) -> Vec<Change> {
        let (key, value) = match op {
            Op::Delete { key } => {
                return vec![Change::Delete {
                    from: self.record(&key),
                    to: self.after(&key),
                }];
            }
            Op::Put { key, value } => (key, value),
        };
        let first = &value[..value.len().min(PART_BYTES)];
        let more = value[first.len()..].chunks(PART_BYTES);
        let n_parts = u32::try_from(more.len()).unwrap_or(u32::MAX);
        let mut bytes = revision.0.to_be_bytes().to_vec();
        bytes.extend(n_parts.to_be_bytes());
        bytes.extend(first);
        let head = Change::Put {
            key: self.record(&key),
            value: bytes,
        };
        let parts = (1..).zip(more).map(|(n, part)| Change::Put {
            key: self.part(&key, n),
            value: part.to_vec(),
        });
        // What an older and longer value left behind.
        let stale = Change::Delete {
            from: self.part(&key, n_parts.saturating_add(1)),
            to: self.after(&key),
        };
        [head].into_iter().chain(parts).chain([stale]).collect()
    }
}

/// Changes in their order, in groups of what fits into one transaction; at least one group.
pub(super) fn in_transactions(changes: impl Iterator<Item = Change>) -> Vec<Vec<Change>> {
    let mut groups = vec![Vec::new()];
    let mut n_bytes = 0;
    for change in changes {
        let is_full = groups.last().is_some_and(|group: &Vec<Change>| {
            group.len() == MAX_GROUP_CHANGES
                || (!group.is_empty() && n_bytes + change.n_bytes() > MAX_GROUP_BYTES)
        });
        if is_full {
            groups.push(Vec::new());
            n_bytes = 0;
        }
        n_bytes += change.n_bytes();
        if let Some(group) = groups.last_mut() {
            group.push(change);
        }
    }
    groups
}

/// The first key after all that begin with a prefix.
pub(super) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // The keys of a store have a prefix of text.
    vec![0]
}

/// Of several changes to a key in one commit the last counts; etcd refuses to see both.
fn last_of_each(ops: Vec<Op>) -> Vec<Op> {
    let mut by_key = BTreeMap::new();
    for op in ops {
        let (Op::Put { key, .. } | Op::Delete { key }) = &op;
        by_key.insert(key.clone(), op);
    }
    by_key.into_values().collect()
}

/// Puts records together from etcd's keys and values in their order.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    entries: Vec<Entry>,
    n_missing: u32,
}

impl Assembly {
    /// Takes the next key. `Err` says what is wrong with it.
    pub(super) fn take(&mut self, keys: &Keys, key: &[u8], value: &[u8]) -> Result<(), String> {
        let shown = || key.escape_ascii();
        let (user, is_first) = keys
            .user_key(key)
            .ok_or_else(|| format!("key `{}` is not text", shown()))?;
        if !is_first {
            let entry = self.entries.last_mut().filter(|entry| entry.key == user);
            let entry = entry
                .filter(|_| self.n_missing > 0)
                .ok_or_else(|| format!("`{}` is part of no record", shown()))?;
            entry.value.extend(value);
            self.n_missing -= 1;
            return Ok(());
        }
        self.complete()?;
        let short = || format!("record `{user}` has only {} bytes", value.len());
        let mut rest = value;
        let revision = number(&mut rest).ok_or_else(short)?;
        self.n_missing = number32(&mut rest).ok_or_else(short)?;
        self.entries.push(Entry {
            key: user.to_owned(),
            value: rest.to_vec(),
            revision: Revision(revision),
        });
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Vec<Entry>, String> {
        self.complete()?;
        Ok(self.entries)
    }

    fn complete(&self) -> Result<(), String> {
        match self.entries.last() {
            Some(entry) if self.n_missing > 0 => {
                Err(format!("record `{}` lacks {} parts", entry.key, self.n_missing))
            }
            _ => Ok(()),
        }
    }
}

/// A group of changes as one value.
pub(super) fn encode(group: &[Change]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for change in group {
        let (is_put, one, other) = match change {
            Change::Put { key, value } => (1, key, value),
            Change::Delete { from, to } => (0, from, to),
        };
        bytes.push(is_put);
        for text in [one, other] {
            // At most a few parts long: see the bounds of a batch.
            bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend(text);
        }
    }
    bytes
}

/// The changes of a value; `None` when it is damaged.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Vec<Change>> {
    let bytes = &mut bytes;
    let mut group = Vec::new();
    while let Some((&is_put, rest)) = bytes.split_first() {
        *bytes = rest;
        let (one, other) = (text(bytes)?, text(bytes)?);
        group.push(match is_put {
            0 => Change::Delete { from: one, to: other },
            1 => Change::Put {
                key: one,
                value: other,
            },
            _ => return None,
        });
    }
    Some(group)
}

fn text(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let n_bytes = usize::try_from(number32(bytes)?).ok()?;
    let (text, rest) = bytes.split_at_checked(n_bytes)?;
    *bytes = rest;
    Some(text.to_vec())
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_be_bytes(*number))
}

fn number32(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys("p".to_owned())
    }

    fn put(key: &str, n_bytes: usize) -> Op {
        let value = (0..n_bytes).map(|n| n.to_le_bytes()[0]).collect();
        Op::Put {
            key: key.to_owned(),
            value,
        }
    }

    /// What etcd would hold after the changes.
    fn apply(groups: Vec<Vec<Change>>) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut held = BTreeMap::new();
        for change in groups.into_iter().flatten() {
            match change {
                Change::Put { key, value } => {
                    held.insert(key, value);
                }
                Change::Delete { from, to } => held.retain(|key, _| *key < from || *key >= to),
            }
        }
        held
    }

    #[test]
    fn a_record_of_many_parts_is_put_together_again() {
        for n_bytes in [0, 1, PART_BYTES, PART_BYTES + 1, 5 * PART_BYTES + 7] {
            let ops = vec![put("a", n_bytes), put("a/1", 3), put("b", PART_BYTES + 1)];
            let groups = keys().groups(ops, Revision(7));
            let mut assembly = Assembly::default();
            for (key, value) in apply(groups) {
                assembly.take(&keys(), &key, &value).unwrap();
            }
            let entries = assembly.finish().unwrap();
            let lengths = entries
                .iter()
                .map(|entry| (entry.key.as_str(), entry.value.len(), entry.revision))
                .collect::<Vec<_>>();
            let of = |key, n_bytes| (key, n_bytes, Revision(7));
            assert_eq!(lengths, [of("a", n_bytes), of("a/1", 3), of("b", PART_BYTES + 1)]);
        }
    }

    #[test]
    fn groups_fit_into_a_transaction_and_can_be_made_again_in_any_order() {
        let ops = (0..500)
            .map(|n| put(&format!("k{n}"), 100))
            .chain([
                put("large", 9 * PART_BYTES),
                Op::Delete {
                    key: "gone".to_owned(),
                },
            ])
            .collect::<Vec<_>>();
        let groups = keys().groups(ops, Revision(1));
        assert!(groups.len() > 10);
        for group in &groups {
            assert!(group.len() <= MAX_GROUP_CHANGES);
            assert!(group.iter().map(Change::n_bytes).sum::<usize>() <= MAX_GROUP_BYTES);
            assert_eq!(decode(&encode(group)).as_ref(), Some(group));
        }
        let again = groups.iter().rev().chain(&groups).cloned().collect();
        assert_eq!(apply(again), apply(groups));
    }

    #[test]
    fn damage_is_noticed() {
        let whole = Head {
            revision: Revision(3),
            staged: Some(Staged {
                commit: 9,
                n_groups: 2,
            }),
        };
        let bytes = whole.to_bytes();
        assert_eq!(Head::from_bytes(&bytes), Ok(whole));
        for len in (0..bytes.len()).filter(|len| *len != 12) {
            assert_eq!(Head::from_bytes(&bytes[..len]), Err(BadHead::Damaged), "{len}");
        }
        assert_eq!(Head::from_bytes(&[0, 0, 0, 2]), Err(BadHead::Format(2)));

        let record = |n_parts: u8| [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, n_parts];
        let take = |pairs: &[(&[u8], &[u8])]| {
            let mut assembly = Assembly::default();
            for (key, value) in pairs {
                assembly.take(&keys(), key, value)?;
            }
            assembly.finish().map(|entries| entries.len())
        };
        assert_eq!(take(&[(b"p/data/a", &record(0))]), Ok(1));
        for bad in [
            &[(b"p/data/a".as_slice(), b"short".as_slice())][..],
            &[(b"p/data/a", &record(1))],
            &[(b"p/data/a\0\0\0\0\x01", b"x")],
            &[(b"p/data/a", &record(0)), (b"p/data/a\0\0\0\0\x01", b"x")],
            &[(b"p/data/\xff", &record(0))],
            &[(b"q/data/a", &record(0))],
        ] {
            assert!(take(bad).is_err(), "{bad:?}");
        }
        assert_eq!(decode(&[1, 0, 0, 0, 9, 1]), None);
    }
}

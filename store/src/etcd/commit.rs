//! Commits: small ones in one transaction, large ones staged.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, Txn, TxnOp};
use futures::future::try_join_all;

use crate::etcd::error::{commit_error, read_error, words};
use crate::etcd::layout::{BadHead, Change, Head, Staged, decode, encode, in_transactions};
use crate::etcd::{Etcd, Known, MAX_ATTEMPTS, Seen, corrupt};
use crate::{Batch, CommitError, Op, Precondition, ReadError, Revision};

/// What became of an attempt.
enum Outcome {
    /// It took effect; etcd counts the head that it left as this.
    Committed(i64),
    /// It took effect; somebody else put it in place, and may have gone on since.
    Completed,
    /// It did not: the head had changed.
    Overtaken,
}

/// Records whose revision is known without asking: a fence or two, for most.
const MAX_REMEMBERED: usize = 64;

impl Etcd {
    /// Commits a batch whose keys and size are good.
    pub(super) async fn commit_checked(&self, batch: Batch) -> Result<Revision, CommitError> {
        for _ in 0..MAX_ATTEMPTS {
            // Taken: nothing is known after a commit that did not end well. One that changes nothing only asks.
            let known = self.known().take().filter(|_| !batch.ops.is_empty());
            let (mut known, is_fresh) = match known {
                Some(known) => (known, false),
                None => (Known::new(self.settled().await.map_err(not_committed)?), true),
            };
            match self.check(&batch.preconditions, &mut known).await {
                Ok(()) => {}
                // Others may have changed it since.
                Err(_) if !is_fresh => continue,
                Err(error) => return Err(error),
            }
            let seen = known.seen;
            if batch.ops.is_empty() {
                return Ok(seen.head.revision);
            }
            let revision = Revision(seen.head.revision.0 + 1);
            let groups = self.keys.groups(batch.ops.clone(), revision);
            let committed = match <[Vec<Change>; 1]>::try_from(groups) {
                Ok([group]) => {
                    let head = Head {
                        revision,
                        staged: None,
                    };
                    match self.put_in_place(seen.mod_revision, group, Some(head)).await? {
                        Some(mod_revision) => Outcome::Committed(mod_revision),
                        None => Outcome::Overtaken,
                    }
                }
                Err(groups) => self.commit_staged(seen, revision, groups).await?,
            };
            match committed {
                Outcome::Committed(mod_revision) => {
                    known.committed(&batch.ops, revision, mod_revision);
                    *self.known() = Some(known);
                    return Ok(revision);
                }
                Outcome::Completed => return Ok(revision),
                Outcome::Overtaken => {}
            }
        }
        let detail = "others commit all the time".to_owned();
        Err(CommitError::Failed { detail })
    }

    /// No step of a change here can panic, so a poisoned lock still guards what was meant.
    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn check(&self, preconditions: &[Precondition], known: &mut Known) -> Result<(), CommitError> {
        for precondition in preconditions {
            let key = &precondition.key;
            let found = match known.revisions.get(key) {
                Some(found) => *found,
                None => {
                    let (from, to) = (self.keys.record(key), self.keys.after(key));
                    let entries = self.read_at(known.seen.at, from, to).await;
                    let entries = entries.map_err(not_committed)?.finish();
                    let entries = entries.map_err(corrupt).map_err(not_committed)?;
                    entries.first().map(|entry| entry.revision)
                }
            };
            if found != precondition.revision {
                return Err(CommitError::Conflict {
                    key: key.clone(),
                    expected: precondition.revision,
                    found,
                });
            }
            known.remember(key, found);
        }
        Ok(())
    }

    /// Commits what is more than one group.
    async fn commit_staged(
        &self,
        seen: Seen,
        revision: Revision,
        groups: Vec<Vec<Change>>,
    ) -> Result<Outcome, CommitError> {
        let staged = Staged {
            commit: fresh(seen),
            n_groups: u32::try_from(groups.len()).unwrap_or(u32::MAX),
        };
        let stage = (0..).zip(&groups).map(|(n, group)| Change::Put {
            key: self.keys.staged(staged, n),
            value: encode(group),
        });
        let mut parts = in_transactions(stage);
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            let put = self.put_in_place(seen.mod_revision, part, None).await?;
            if put.is_none() {
                return Ok(Outcome::Overtaken);
            }
        }
        let head = Head {
            revision,
            staged: Some(staged),
        };
        let certain = self.put_in_place(seen.mod_revision, last, Some(head)).await?;
        let Some(mod_revision) = certain else {
            return Ok(Outcome::Overtaken);
        };
        // It is certain now; whoever comes next would do it as well.
        let puts = groups
            .into_iter()
            .map(|group| self.put_in_place(mod_revision, group, None));
        let put = try_join_all(puts).await?;
        let done = match put.iter().all(Option::is_some) {
            true => self.unstage(mod_revision, head).await?,
            false => None,
        };
        Ok(done.map_or(Outcome::Completed, Outcome::Committed))
    }

    /// The head, once nothing of it is staged.
    pub(super) async fn settled(&self) -> Result<Seen, ReadError> {
        loop {
            let seen = self.head().await?;
            match seen.head.staged {
                None => return Ok(seen),
                Some(staged) => self.settle(seen, staged).await?,
            }
        }
    }

    async fn head(&self) -> Result<Seen, ReadError> {
        let answer = self.client.clone().get(self.keys.head(), None).await;
        let answer = answer.map_err(|error| read_error(&error))?;
        let at = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        let Some(kv) = answer.kvs().first() else {
            let (head, mod_revision) = (Head::default(), 0);
            return Ok(Seen {
                head,
                mod_revision,
                at,
            });
        };
        let head = Head::from_bytes(kv.value()).map_err(|bad| {
            corrupt(match bad {
                BadHead::Damaged => "its head is damaged".to_owned(),
                BadHead::Format(found) => format!("it has format {found}"),
            })
        })?;
        Ok(Seen {
            head,
            mod_revision: kv.mod_revision(),
            at,
        })
    }

    /// Puts what is staged in place. Another may do the same at the same time.
    async fn settle(&self, seen: Seen, staged: Staged) -> Result<(), ReadError> {
        let unavailable = |error: CommitError| ReadError::Unavailable {
            detail: error.to_string(),
        };
        for n in 0..staged.n_groups {
            let key = self.keys.staged(staged, n);
            let options = GetOptions::new().with_revision(seen.at);
            let answer = self.client.clone().get(key, Some(options)).await;
            let answer = match answer {
                Ok(answer) => answer,
                // Its history is cut: somebody else has gone on.
                Err(error) if words(&error).contains("compacted") => return Ok(()),
                Err(error) => return Err(read_error(&error)),
            };
            let group = answer.kvs().first().and_then(|kv| decode(kv.value()));
            let group = group.ok_or_else(|| corrupt(format!("group {n} of a staged commit is damaged")))?;
            let put = self.put_in_place(seen.mod_revision, group, None).await;
            if put.map_err(unavailable)?.is_none() {
                return Ok(());
            }
        }
        let done = self.unstage(seen.mod_revision, seen.head).await;
        done.map(|_is_ours| ()).map_err(unavailable)
    }

    /// Ends a staged commit that is in place.
    async fn unstage(&self, mod_revision: i64, head: Head) -> Result<Option<i64>, CommitError> {
        let (from, to) = self.keys.all_staged();
        let head = Head { staged: None, ..head };
        self.put_in_place(mod_revision, vec![Change::Delete { from, to }], Some(head))
            .await
    }

    /// One transaction, unless the head has changed; returns what etcd counts it as, if it took effect.
    async fn put_in_place(
        &self,
        mod_revision: i64,
        group: Vec<Change>,
        head: Option<Head>,
    ) -> Result<Option<i64>, CommitError> {
        let mut ops = group
            .into_iter()
            .map(|change| match change {
                Change::Put { key, value } => TxnOp::put(key, value, None),
                Change::Delete { from, to } => TxnOp::delete(from, Some(DeleteOptions::new().with_range(to))),
            })
            .collect::<Vec<_>>();
        ops.extend(head.map(|head| TxnOp::put(self.keys.head(), head.to_bytes(), None)));
        let unchanged = Compare::mod_revision(self.keys.head(), CompareOp::Equal, mod_revision);
        let txn = Txn::new().when(vec![unchanged]).and_then(ops);
        let answer = self.client.clone().txn(txn).await;
        let answer = answer.map_err(|error| commit_error(&error))?;
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok(answer.succeeded().then_some(revision))
    }
}

impl Known {
    fn new(seen: Seen) -> Self {
        let revisions = BTreeMap::new();
        Self { seen, revisions }
    }

    fn remember(&mut self, key: &str, revision: Option<Revision>) {
        if self.revisions.len() >= MAX_REMEMBERED {
            self.revisions.clear();
        }
        self.revisions.insert(key.to_owned(), revision);
    }

    /// A commit took effect that etcd counts as `mod_revision`.
    fn committed(&mut self, ops: &[Op], revision: Revision, mod_revision: i64) {
        self.seen = Seen {
            head: Head {
                revision,
                staged: None,
            },
            mod_revision,
            at: mod_revision,
        };
        for op in ops {
            let (key, now) = match op {
                Op::Put { key, .. } => (key, Some(revision)),
                Op::Delete { key } => (key, None),
            };
            if let Some(known) = self.revisions.get_mut(key) {
                *known = now;
            }
        }
    }
}

/// A name for a staged commit. Two processes may stage at once on the same head, and one of them is the first to point
/// the head to its own.
fn fresh(seen: Seen) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // Seeded by the system for each process.
    RandomState::new().hash_one(seen.at)
}

/// Nothing was written yet.
fn not_committed(error: ReadError) -> CommitError {
    CommitError::Failed {
        detail: error.to_string(),
    }
}

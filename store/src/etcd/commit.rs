//! Commits: small ones in one transaction, large ones staged.

use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, Txn, TxnOp};

use crate::etcd::error::{commit_error, read_error, words};
use crate::etcd::layout::{BadHead, Change, Head, Staged, decode, encode};
use crate::etcd::{Etcd, MAX_ATTEMPTS, Seen, corrupt};
use crate::{Batch, CommitError, Precondition, ReadError, Revision};

impl Etcd {
    /// Commits a batch whose keys and size are good.
    pub(super) async fn commit_checked(&self, batch: Batch) -> Result<Revision, CommitError> {
        for _ in 0..MAX_ATTEMPTS {
            let seen = self.settled().await.map_err(not_committed)?;
            self.check(&batch.preconditions, seen).await?;
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
                    self.put_in_place(seen.mod_revision, group, Some(head)).await?
                }
                Err(groups) => self.commit_staged(seen, revision, &groups).await?,
            };
            if committed {
                return Ok(revision);
            }
        }
        let detail = "others commit all the time".to_owned();
        Err(CommitError::Failed { detail })
    }

    async fn check(&self, preconditions: &[Precondition], seen: Seen) -> Result<(), CommitError> {
        for precondition in preconditions {
            let (from, to) = (
                self.keys.record(&precondition.key),
                self.keys.after(&precondition.key),
            );
            let entries = self.read_at(seen.at, from, to).await.map_err(not_committed)?;
            let entries = entries.finish().map_err(corrupt).map_err(not_committed)?;
            let found = entries.first().map(|entry| entry.revision);
            if found != precondition.revision {
                return Err(CommitError::Conflict {
                    key: precondition.key.clone(),
                    expected: precondition.revision,
                    found,
                });
            }
        }
        Ok(())
    }

    async fn commit_staged(
        &self,
        seen: Seen,
        revision: Revision,
        groups: &[Vec<Change>],
    ) -> Result<bool, CommitError> {
        let staged = Staged {
            commit: fresh(seen),
            n_groups: u32::try_from(groups.len()).unwrap_or(u32::MAX),
        };
        for (n, group) in (0..).zip(groups) {
            let put = Change::Put {
                key: self.keys.staged(staged, n),
                value: encode(group),
            };
            if !self.put_in_place(seen.mod_revision, vec![put], None).await? {
                return Ok(false);
            }
        }
        let head = Head {
            revision,
            staged: Some(staged),
        };
        if !self
            .put_in_place(seen.mod_revision, Vec::new(), Some(head))
            .await?
        {
            return Ok(false);
        }
        // It is certain now; whoever comes next would do it as well.
        self.settled().await.map_err(|error| CommitError::Failed {
            detail: error.to_string(),
        })?;
        Ok(true)
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
            if !put.map_err(unavailable)? {
                return Ok(());
            }
        }
        let (from, to) = self.keys.all_staged();
        let head = Head {
            staged: None,
            ..seen.head
        };
        let done = vec![Change::Delete { from, to }];
        let done = self.put_in_place(seen.mod_revision, done, Some(head)).await;
        done.map(|_is_ours| ()).map_err(unavailable)
    }

    /// One transaction, unless the head has changed; whether it took effect.
    async fn put_in_place(
        &self,
        mod_revision: i64,
        group: Vec<Change>,
        head: Option<Head>,
    ) -> Result<bool, CommitError> {
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
        Ok(answer.map_err(|error| commit_error(&error))?.succeeded())
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

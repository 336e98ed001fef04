//! What a scheduler may ask for while one of its methods runs. Effects are collected, never performed here.

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_types::scheduler_link::{Call, Operation};
use proffer_types::{Filters, KillPolicy, Offer, OfferId, Role, TaskId, TaskInfo, Timestamp};
use rand_chacha::ChaCha8Rng;

use crate::records::SESSION_PREFIX;

/// One change to the framework's durable records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    Put { key: String, value: Vec<u8> },
    Delete { key: String },
}

/// Everything asked for in one step: the writes are committed first, in order and in one batch, then the calls are
/// sent, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    pub writes: Vec<Write>,
    pub calls: Vec<Call>,
    /// The link is to be dropped and dialled again: the master went silent, or the scheduler wants other roles.
    pub disconnect: bool,
    /// The master ended the subscription for good, with this message: dialling again will not help.
    pub refused: Option<String>,
}

/// Handed to every method of a scheduler.
#[derive(Debug)]
pub struct Context<'a> {
    now: Timestamp,
    rng: &'a mut ChaCha8Rng,
    output: &'a mut Output,
    held: &'a mut Vec<OfferId>,
}

impl<'a> Context<'a> {
    /// Makes a context over an output; `held` collects the offers kept with [`Context::hold`].
    #[must_use]
    pub fn new(
        now: Timestamp,
        rng: &'a mut ChaCha8Rng,
        output: &'a mut Output,
        held: &'a mut Vec<OfferId>,
    ) -> Self {
        Self {
            now,
            rng,
            output,
            held,
        }
    }

    /// The time of this step.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Randomness under the driver's seed.
    pub fn rng(&mut self) -> &mut ChaCha8Rng {
        self.rng
    }

    /// Launches tasks on one offer; what they leave is declined with `filters`.
    pub fn launch(&mut self, offer: &Offer, tasks: Vec<TaskInfo>, filters: Filters) {
        self.output.calls.push(Call::Accept {
            offers: vec![offer.id.clone()],
            operations: vec![Operation::Launch(tasks)],
            refused: Vec::new(),
            filters,
        });
    }

    /// Refuses an offer; its resources are not offered again for `refuse`.
    pub fn decline(&mut self, offer: &Offer, refuse: Duration) {
        self.output.calls.push(Call::Decline {
            offers: vec![offer.id.clone()],
            filters: Filters { refuse },
        });
    }

    /// Keeps an offer beyond this method, until it is used, declined or rescinded.
    pub fn hold(&mut self, offer: &Offer) {
        self.held.push(offer.id.clone());
    }

    /// Asks for a task to be stopped.
    pub fn kill(&mut self, task: &TaskId, kill_policy: KillPolicy) {
        self.output.calls.push(Call::Kill {
            task_id: task.clone(),
            agent_id: None,
            kill_policy,
        });
    }

    /// Asks for offers again: clears filters and suppression of all roles.
    pub fn revive(&mut self) {
        self.output.calls.push(Call::Revive {
            roles: Default::default(),
        });
    }

    /// Asks for no more offers, in all roles, until [`Context::revive`].
    pub fn suppress(&mut self) {
        self.output.calls.push(Call::Suppress {
            roles: Default::default(),
        });
    }

    /// Asks for no more offers in some roles; none named, none suppressed.
    pub fn suppress_roles(&mut self, roles: impl IntoIterator<Item = Role>) {
        let roles: BTreeSet<_> = roles.into_iter().collect();
        if !roles.is_empty() {
            self.output.calls.push(Call::Suppress { roles });
        }
    }

    /// Clears filters and suppression of some roles; none named, none revived.
    pub fn revive_roles(&mut self, roles: impl IntoIterator<Item = Role>) {
        let roles: BTreeSet<_> = roles.into_iter().collect();
        if !roles.is_empty() {
            self.output.calls.push(Call::Revive { roles });
        }
    }

    /// Writes a durable record. Keys that start with `session/` are the session's own: writing one is a bug of the
    /// scheduler, and panics.
    pub fn put(&mut self, key: impl Into<String>, value: Vec<u8>) {
        let key = own_key(key.into());
        self.output.writes.push(Write::Put { key, value });
    }

    /// Removes a durable record. The keys are those of [`Context::put`].
    pub fn delete(&mut self, key: impl Into<String>) {
        let key = own_key(key.into());
        self.output.writes.push(Write::Delete { key });
    }
}

fn own_key(key: String) -> String {
    assert!(
        !key.starts_with(SESSION_PREFIX),
        "a scheduler must not touch `{key}`: keys under `{SESSION_PREFIX}` belong to the session"
    );
    key
}

//! What a scheduler may ask for while one of its methods runs. Effects are collected, never performed here.

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_types::scheduler_link::Call;
use proffer_types::{
    Demand, Filters, KillPolicy, Offer, OfferId, Operation, Role, TaskId, TaskInfo, Timestamp,
};
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
    /// The link is to be dropped and dialled again: the master went silent, or refused the framework.
    pub disconnect: bool,
    /// The master ended the subscription for good, with this message: dialling again will not help.
    pub refused: Option<String>,
    /// The framework is torn down, as it asked for; its id and the session's records are gone. There is nothing left to
    /// drive.
    pub torn_down: bool,
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
        let operations = vec![Operation::Launch(tasks)];
        self.accept(std::slice::from_ref(offer), operations, filters);
    }

    /// Uses several offers of one agent and one role as one, or all offers of one gang. The operations are carried
    /// out in order, over what is left of the offers' sum; what they leave is declined with `filters`.
    ///
    /// Tasks of offers that are void by now end as DROPPED, and so do operations that have an id. An operation whose
    /// id is that of another one under way is left out and ends as ERROR. So does everything when only some offers of
    /// a gang are named; the gang is declined then.
    pub fn accept(&mut self, offers: &[Offer], operations: Vec<Operation>, filters: Filters) {
        self.output.calls.push(Call::Accept {
            offers: offers.iter().map(|offer| offer.id.clone()).collect(),
            operations,
            refused: Vec::new(),
            filters,
        });
    }

    /// States all that is wanted in a role, in place of what was stated before; of several statements in one step the
    /// last one counts, after all that was launched in the step. The role is offered what fits a shape and no more
    /// from then on; a statement of no shape at all asks for nothing.
    ///
    /// The master forgets the statement with the link, and the session states it again on the next subscription; a
    /// scheduler that was recovered has stated nothing. Shapes that no statement may hold ([`Shape::check`]), that have
    /// the id of an earlier one, or for which there is no room ([`StatementRoom`]) are left out, each with its whole
    /// gang; and so is everything when the role is not one of the framework's.
    ///
    /// [`StatementRoom`]: proffer_types::demand::StatementRoom
    pub fn state_demand(&mut self, role: &Role, demand: impl Into<Demand>) {
        self.output.calls.push(Call::Demand {
            role: role.clone(),
            demand: Some(demand.into()),
        });
    }

    /// Takes the statement of a role back: it is offered whole remainders of agents again.
    pub fn take_back_demand(&mut self, role: &Role) {
        self.output.calls.push(Call::Demand {
            role: role.clone(),
            demand: None,
        });
    }

    /// Refuses an offer; its resources are not offered again for `refuse`. With one offer of a gang all of it is
    /// refused.
    pub fn decline(&mut self, offer: &Offer, refuse: Duration) {
        self.output.calls.push(Call::Decline {
            offers: vec![offer.id.clone()],
            filters: Filters::refuse(refuse),
        });
    }

    /// Keeps an offer beyond this method, until it is used, declined or rescinded. With one offer of a gang all of
    /// it is kept.
    pub fn hold(&mut self, offer: &Offer) {
        self.held.push(offer.id.clone());
    }

    /// Agrees to be gone from an agent by the start of its maintenance window, or to lose what still runs there. It is not
    /// asked again about that window in this subscription.
    pub fn accept_inverse(&mut self, offer: &OfferId) {
        self.output.calls.push(Call::AcceptInverse {
            offers: vec![offer.clone()],
        });
    }

    /// Says that an agent is still needed, whatever its maintenance window; it is asked again after `refuse`, a second at
    /// least.
    pub fn decline_inverse(&mut self, offer: &OfferId, refuse: Duration) {
        self.output.calls.push(Call::DeclineInverse {
            offers: vec![offer.clone()],
            refuse,
        });
    }

    /// Asks for a task to be stopped.
    pub fn kill(&mut self, task: &TaskId, kill_policy: KillPolicy) {
        self.output.calls.push(Call::Kill {
            task_id: task.clone(),
            agent_id: None,
            kill_policy,
        });
    }

    /// Asks for a running task to be suspended: its processes are frozen, and its cpus are offered to whoever is next. The
    /// task stays RUNNING, and its status has a [`suspension`] from then on; memory, disk, ports and volumes it keeps, and
    /// its time limit and its checks stand still. What cannot be suspended goes on, and its status says why with
    /// `TASK_SUSPEND_FAILED`. Nothing is asked for while the link is down.
    ///
    /// [`Operation::Resume`] lets it go on, on offers of its agent and role that have the cpus it gave up. Where they have
    /// not, it stays as it is, and its status says why with `TASK_RESUME_FAILED`. A status with the suspension that was just
    /// resumed may have been under way: it says nothing new.
    ///
    /// A suspended task that is killed is thawed for that. One that ends by itself, as by the host's want of memory, is not
    /// started again in place.
    ///
    /// [`suspension`]: proffer_types::TaskCondition::suspension
    pub fn suspend(&mut self, task: &TaskId) {
        self.output.calls.push(Call::Suspend {
            task_id: task.clone(),
            agent_id: None,
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

    /// Ends the framework for good: the master kills all its tasks, and its id is spent. Asked for once it is asked until
    /// the master has done it, over crashes too; then the driver ends ([`Output::torn_down`]), and the next start begins
    /// as a new framework. What the scheduler keeps in records of its own is the scheduler's to delete.
    pub fn teardown(&mut self) {
        self.output.calls.push(Call::Teardown);
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

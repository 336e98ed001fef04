//! The trait an author implements.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_types::{
    AgentId, FrameworkId, InverseOffer, KnownAgent, Offer, OfferId, OfferPreferences, OperationStatus,
    Resources, Role, TaskStatus, Timestamp,
};

use crate::{Context, RecoverError};

/// A framework's own half of two-level scheduling: it decides what to run on what it is offered.
///
/// Every method runs to completion before the next one starts, gets the time through the context, and
/// asks for effects through it: nothing here blocks. Records written with [`Context::put`] are on disk
/// before any call made in the same method reaches the master, and before the update that
/// caused them is acknowledged.
pub trait Scheduler: Send {
    /// Replaces the whole state by what the records of [`Context::put`] say, in the order of their keys.
    /// Called once before anything else, and again, on the same value, after a failed write: whatever was
    /// not written did not happen. A scheduler that keeps no records need not implement it.
    fn recover(&mut self, _records: &[(String, Vec<u8>)]) -> Result<(), RecoverError> {
        Ok(())
    }

    /// The framework is subscribed, for the first time or again. Offers follow; those from before are void.
    fn subscribed(&mut self, _cx: &mut Context<'_>, _framework_id: &FrameworkId) {}

    /// The link to the master is down. Tasks go on running; offers held are void.
    fn disconnected(&mut self, _cx: &mut Context<'_>) {}

    /// Resources are offered. An offer that is neither used nor declined by the end of the method is
    /// declined with the default filter, unless [`Context::hold`] kept it. The offers of a gang come in one call.
    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>);

    /// A held offer is void. The offers of a gang become void together; each is told.
    fn rescinded(&mut self, _cx: &mut Context<'_>, _offer: &OfferId) {}

    /// An agent with tasks of the framework is drained, or has a maintenance window, and the framework is asked to be gone by
    /// the start: what still runs then is killed. Stands until [`Context::decline_inverse`], or until it is rescinded or the
    /// link is down. Nothing follows from the answer but that operators see it; a scheduler that never
    /// answers need not implement this.
    fn inverse_offer(&mut self, _cx: &mut Context<'_>, _offer: &InverseOffer) {}

    /// An inverse offer is void: the drain was called off or its deadline has come, the window was changed or has begun, or
    /// the framework has no task there any more. Also told of one that was accepted, but for the last.
    fn inverse_rescinded(&mut self, _cx: &mut Context<'_>, _offer: &OfferId) {}

    /// A task's state changed, or is told again (reconciliation): the same update may come twice.
    /// Acknowledged after the method returns.
    fn update(&mut self, cx: &mut Context<'_>, status: &TaskStatus);

    /// The state of an operation that was given an id changed, or is told again (reconciliation): the same status may
    /// come twice. Acknowledged after the method returns.
    fn operation_update(&mut self, _cx: &mut Context<'_>, _status: &OperationStatus) {}

    /// A hint that an agent became unreachable; updates of its tasks follow.
    fn agent_lost(&mut self, _cx: &mut Context<'_>, _agent: &AgentId) {}

    /// An agent with tasks of the framework is cut off, or dead: nothing was heard of it for so long. Its tasks keep
    /// their states until it is given up, or comes back with them. Told again on every subscription.
    fn agent_away(&mut self, _cx: &mut Context<'_>, _agent: &AgentId, _away_for: Duration) {}

    /// An agent that was away is connected again; what became of its tasks follows, where anything did.
    fn agent_back(&mut self, _cx: &mut Context<'_>, _agent: &AgentId) {}

    /// The largest agents there are: a request that fits in none of them cannot be placed.
    fn shapes(&mut self, _cx: &mut Context<'_>, _n_agents: u32, _largest: &[Resources]) {}

    /// Whether [`Scheduler::agents`] is wanted; asked once.
    fn wants_agents(&self) -> bool {
        false
    }

    /// Agents that are new, or of which something changed, and those that are no more: all of them after every subscription,
    /// before any offer, and what changes from then on. See [`Scheduler::wants_agents`].
    fn agents(&mut self, _cx: &mut Context<'_>, _agents: &[KnownAgent], _gone: &[AgentId]) {}

    /// The roles to be offered resources in; asked after every method, and a change is told to the master before what
    /// the method asked for. Absent means those of the framework's info, empty means the same.
    fn roles(&self) -> Option<&BTreeSet<Role>> {
        None
    }

    /// Which offers are wanted in which role; asked and told like the roles. Absent means those of the framework's
    /// info. What is said of roles that are not the framework's counts for nothing.
    fn preferences(&self) -> Option<&BTreeMap<Role, OfferPreferences>> {
        None
    }

    /// The deadline given by [`Scheduler::next_deadline`] has come.
    fn tick(&mut self, _cx: &mut Context<'_>) {}

    /// When [`Scheduler::tick`] is wanted next; asked after every method.
    fn next_deadline(&self) -> Option<Timestamp> {
        None
    }
}

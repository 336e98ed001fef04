//! The master: one step at a time.
//!
//! A step is: the command's handler; then one round of allocation, if anything changed that could lead to an offer.
//! Nothing in a step depends on anything but the state, the command, the time and the seed.

use std::collections::BTreeMap;

use proffer_allocator::{Allocator, Change};
use proffer_types::{MasterId, OperationId, Timestamp, scheduler_link};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::cx::Cx;
use crate::handlers::{
    agent_lost, agent_register, agent_status, calls, drain, framework_gone, inverse, known, operator,
    orphans, tick,
};
use crate::links::Heartbeats;
use crate::listing::{TaskCursor, TaskPage, TaskQuery, page};
use crate::round::allocate;
use crate::snapshot::{Snapshot, snapshot};
use crate::state::{State, Withheld};
use crate::{Command, Config, Effect, Event, Output, Registry, RequestId, links};

/// The master's state machine.
#[derive(Debug)]
pub struct Master {
    config: Config,
    state: State,
    allocator: Box<dyn Allocator>,
    rng: ChaCha8Rng,
    heartbeats: Heartbeats,
    /// When to allocate though nothing changes: a filter expires, or the last round was cut short.
    next_round: Option<Timestamp>,
    /// What frameworks were last told of the agents' sizes.
    shapes: scheduler_link::Event,
    /// Operators who wait for what an agent makes durable. An operation ends with its agent, at the latest.
    asked: BTreeMap<OperationId, RequestId>,
}

impl Master {
    /// Starts from what the store holds. `term` counts the starts of a master on that store, from 1;
    /// the master's id comes from `seed`, so two starts must not share one.
    #[must_use]
    pub fn recover(
        config: Config,
        mut allocator: Box<dyn Allocator>,
        seed: u64,
        term: u32,
        registry: Registry,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let state = State::new(&config, MasterId::from_random(rng.next_u32()), term, &registry);
        for role in &registry.roles {
            if let Some(role) = state.ledger().role_ix(&role.role) {
                allocator.observe(state.ledger(), &Change::Role(role));
            }
        }
        let shapes = tick::shapes(&state);
        Self {
            config,
            state,
            allocator,
            rng,
            heartbeats: Heartbeats::default(),
            next_round: None,
            shapes,
            asked: BTreeMap::new(),
        }
    }

    /// Takes one command. Appends to `out`, never clears it.
    pub fn step(&mut self, now: Timestamp, command: Command, out: &mut Output) {
        let first_event = out.events.len();
        let mut changes = Vec::new();
        let mut cx = Cx {
            now,
            config: &self.config,
            state: &mut self.state,
            out,
            changes: &mut changes,
        };
        if !cx.state.is_started() {
            tick::start(&mut cx);
        }
        let link = links::link_of(&command);
        match command {
            Command::AgentRegister {
                link,
                info,
                agent_id,
                tasks,
                operations,
            } => agent_register::handle(&mut cx, link, info, agent_id, tasks, operations),
            Command::AgentFrame {
                link,
                session,
                messages,
            } => {
                let interval = agent_status::handle(&mut cx, link, session, messages);
                self.heartbeats.confirmed(link, interval);
            }
            Command::AgentLinkLost { link } => agent_lost::link_lost(&mut cx, link),
            Command::SchedulerCalls { link, calls } => calls::handle(&mut cx, link, calls),
            Command::SchedulerLinkLost { link } => framework_gone::link_lost(&mut cx, link),
            Command::Operator { request, operation } => {
                let asked = operator::handle(&mut cx, request, operation);
                self.asked.extend(asked.map(|operation| (operation, request)));
            }
            Command::Tick => tick::handle(&mut cx),
        }
        if let Some(link) = link {
            self.heartbeats.heard(&cx, link);
        }
        self.heartbeats.beat(&mut cx);
        drain::settle(&mut cx, first_event);
        inverse::settle(&mut cx, first_event);
        orphans::settle(&mut cx, first_event);
        if resume(&mut cx) {
            self.next_round = Some(now);
        }
        known::settle(&mut cx, first_event);
        self.tell_shapes(out, first_event);
        self.answer(out, first_event);
        self.allocate(now, changes, out);
    }

    /// Says the heartbeats that are due while commands wait for the store: nothing changes by them. Those of links of whose
    /// beginning the peer does not know yet are not to be sent.
    pub fn beat(&mut self, now: Timestamp, out: &mut Output) {
        let mut cx = Cx {
            now,
            config: &self.config,
            state: &mut self.state,
            out,
            changes: &mut Vec::new(),
        };
        self.heartbeats.beat_deaf(&mut cx);
    }

    fn answer(&mut self, out: &mut Output, first_event: usize) {
        if self.asked.is_empty() {
            return;
        }
        let ended = out.events[first_event..].iter().filter_map(operator::outcome);
        let replies = ended.filter_map(|(operation, result)| {
            let request = self.asked.remove(operation)?;
            Some(Effect::Reply { request, result })
        });
        out.effects.extend(replies);
    }

    fn tell_shapes(&mut self, out: &mut Output, first_event: usize) {
        let may_differ = out.events[first_event..].iter().any(|event| {
            matches!(
                event,
                Event::AgentAdmitted { .. }
                    | Event::AgentUnreachable { .. }
                    | Event::AgentForgotten { .. }
                    | Event::AgentGone { .. }
            )
        });
        if !may_differ {
            return;
        }
        let shapes = tick::shapes(&self.state);
        if shapes != self.shapes {
            self.shapes = shapes;
            for link in self.state.frameworks().filter_map(|(_, f)| f.link()) {
                let event = self.shapes.clone();
                out.effects.push(Effect::ToFramework { link, event });
            }
        }
    }

    fn allocate(&mut self, now: Timestamp, mut changes: Vec<Change>, out: &mut Output) {
        let mut cx = Cx {
            now,
            config: &self.config,
            state: &mut self.state,
            out,
            changes: &mut changes,
        };
        if cx.state.ledger().next_filter_expiry().is_some_and(|at| at <= now) {
            cx.emit(Event::FiltersExpired { at: now });
        }
        let due = self.next_round.is_some_and(|at| at <= now);
        if cx.changes.is_empty() && !due {
            return;
        }
        for change in std::mem::take(cx.changes) {
            self.allocator.observe(cx.state.ledger(), &change);
        }
        if let Some(hold) = cx.state.withheld() {
            self.next_round = Some(hold.until);
            return;
        }
        let outcome = allocate(&mut cx, self.allocator.as_mut(), &mut self.rng);
        self.next_round = if outcome.more { Some(now) } else { outcome.next };
    }

    /// When a [`Command::Tick`] is wanted; at once, when it is not in the future.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if !self.state.is_started() {
            return Some(Timestamp(0));
        }
        let filters = self.state.ledger().next_filter_expiry();
        let all = [
            self.state.next_deadline(),
            self.heartbeats.next(),
            self.next_round,
            filters,
        ];
        all.into_iter().flatten().min()
    }

    /// The name of this leadership.
    #[must_use]
    pub fn id(&self) -> &MasterId {
        self.state.master_id()
    }

    /// The state, to read.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The allocator's name.
    #[must_use]
    pub fn allocator_name(&self) -> &'static str {
        self.allocator.name()
    }

    /// A copy of the state for readers. Costs a few allocations per agent, framework and offer; a pointer per task and
    /// one for the ledger, which is copied only when it changes while a reader still holds it.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        snapshot(&self.state, self.allocator.as_ref())
    }

    /// At most `limit` of the tasks that are asked for, behind `after` or from the beginning. Costs what
    /// [`limits`](crate::limits) let one page cost.
    #[must_use]
    pub fn tasks_page(&self, query: &TaskQuery, after: Option<&TaskCursor>, limit: usize) -> TaskPage {
        page(&self.state, query, after, limit)
    }

    /// Checks every invariant of the state, and what the allocator derives from it. Panics with what is broken; for
    /// tests and the simulator.
    pub fn sanity_check(&self) {
        self.state.check();
        // It follows the ledger in its rounds, and there is none now.
        if self.state.withheld().is_none() {
            self.allocator.check(self.state.ledger());
        }
    }
}

/// Ends the wait for agents to come back, when enough are accounted for or it took too long.
fn resume(cx: &mut Cx<'_>) -> bool {
    let n_missing = cx.state.n_recovered_agents();
    let over =
        |hold: &Withheld| hold.n_expected.saturating_sub(n_missing) >= hold.n_needed || hold.until <= cx.now;
    let is_over = cx.state.withheld().is_some_and(over);
    if is_over {
        cx.emit(Event::OffersResumed);
    }
    is_over
}

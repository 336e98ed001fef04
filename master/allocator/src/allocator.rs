//! What an allocator is, and the built-in ones by name.

use std::collections::BTreeSet;
use std::fmt;

use proffer_types::{AgentId, FrameworkId, Timestamp};

use crate::drf::Drf;
use crate::fifo::Fifo;
use crate::{Change, Ledger, Round};

/// Decides which framework is offered what.
pub trait Allocator: fmt::Debug + Send {
    /// The name it is chosen by.
    fn name(&self) -> &'static str;

    /// Hears of a change. A hint; may be ignored. Claims the allocator makes itself are not told.
    fn observe(&mut self, ledger: &Ledger, change: &Change);

    /// Makes what offers can be made now, or as many as the budget allows.
    fn allocate(&mut self, round: &mut Round<'_>) -> Outcome;

    /// Why a framework was passed over, counted since its last offer.
    fn explain(&self, ledger: &Ledger, framework: &FrameworkId) -> Vec<Counted<Reason>>;
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The budget ran out: there is more to examine at once.
    pub more: bool,
    /// When to run again though nothing changes: a filter expires.
    pub next: Option<Timestamp>,
}

/// Something, and how often.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted<T> {
    pub what: T,
    pub count: u64,
}

/// Why a framework was offered nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its scheduler is not connected.
    NotConnected,
    /// It asked for no offers in any of its roles.
    Suppressed,
    /// No agent is active.
    NoAgents,
    /// All but a crumb of the agent is claimed.
    NothingFree,
    /// It refused as much of the agent not long ago.
    Refused,
    /// The agent went to a framework with a lower share, or, being equal, the better claim.
    LowerShareFirst,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConnected => "its scheduler is not connected",
            Self::Suppressed => "it asked for no offers (suppressed in all its roles)",
            Self::NoAgents => "no agent is active",
            Self::NothingFree => "the agent had nothing free",
            Self::Refused => "it refused as much of the agent not long ago",
            Self::LowerShareFirst => "another framework, with a better claim, was offered the agent",
        })
    }
}

/// A reason that holds whatever the agents look like.
pub(crate) fn standing_reason(ledger: &Ledger, framework: &FrameworkId) -> Option<Reason> {
    let entry = ledger.framework(framework).filter(|entry| entry.active);
    let Some(entry) = entry else {
        return Some(Reason::NotConnected);
    };
    if entry.wanting().next().is_none() {
        return Some(Reason::Suppressed);
    }
    let active = ledger.agents().any(|(_, agent)| agent.active);
    (!active).then_some(Reason::NoAgents)
}

/// The agents worth examining: something about them, or about any framework, changed.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    agents: BTreeSet<AgentId>,
    all: bool,
}

impl Pending {
    pub(crate) fn observe(&mut self, change: &Change) {
        match change {
            Change::Agent(agent) | Change::Released(agent) | Change::FilterExpired(agent) => {
                self.agents.insert(agent.clone());
            }
            Change::AgentRemoved(agent) => {
                self.agents.remove(agent);
            }
            Change::Framework(_) | Change::Weight(_) => self.all = true,
            Change::FrameworkRemoved(_) | Change::Claimed(_) => {}
        }
    }

    /// The agents to examine now, by id; each stays pending until [`Pending::done`].
    pub(crate) fn agents(&mut self, ledger: &Ledger) -> Vec<AgentId> {
        if std::mem::take(&mut self.all) {
            self.agents = ledger.agents().map(|(id, _)| id.clone()).collect();
        }
        self.agents.iter().cloned().collect()
    }

    pub(crate) fn done(&mut self, agent: &AgentId) {
        self.agents.remove(agent);
    }
}

/// A name no built-in allocator has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownAllocator(String);

impl fmt::Display for UnknownAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.escape_debug();
        write!(f, "no allocator `{name}`; there are {}", names().join(", "))
    }
}

impl std::error::Error for UnknownAllocator {}

/// The names of the built-in allocators.
#[must_use]
pub fn names() -> [&'static str; 2] {
    ["drf", "fifo"]
}

/// Makes a built-in allocator. Fails on a name that is none of [`names`].
pub fn by_name(name: &str) -> Result<Box<dyn Allocator>, UnknownAllocator> {
    match name {
        "drf" => Ok(Box::<Drf>::default()),
        "fifo" => Ok(Box::<Fifo>::default()),
        unknown => Err(UnknownAllocator(unknown.to_owned())),
    }
}

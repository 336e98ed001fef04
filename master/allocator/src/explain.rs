//! Why a framework is not offered more: computed when somebody asks, from the ledger alone.
//!
//! Every agent is put to the same question as for an offer ([`Ledger::offerable`], [`Ledger::slice`]), and counted by
//! what stands in the way; of each reason the agent that came nearest is kept. Nothing is remembered between questions.

mod rehearse;
mod survey;
#[cfg(test)]
mod tests;
mod text;
mod unmet;

use std::sync::Arc;
use std::time::Duration;

use proffer_types::{AgentId, FrameworkId, ResourceName, Role, Shape, Timestamp};

use crate::ledger::{LeafIx, Ledger, Waiting};
use crate::{Quantities, Share};
use survey::Survey;

pub use self::rehearse::{Found, Rehearsal, rehearse};
pub use self::unmet::{Unmet, UnmetDemand, unmet_demand};

/// How many (agent, shape) pairs one answer looks at, so that it takes milliseconds: four shapes at 5,000 agents.
/// The first shape is looked at whatever it takes.
const MAX_PAIRS: usize = 20_000;
/// The most shapes one answer tells of: more than anybody reads.
const MAX_SHAPES: usize = 32;

/// What a framework is waiting for, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// One for each role of the framework, or for each shape it wants there.
    pub parts: Vec<Part>,
    /// Further shapes that were not looked at, to keep the answer quick.
    pub n_left_out: usize,
}

/// Why one thing is not offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The role the framework would be offered it in.
    pub role: Role,
    /// The shape, and of how many tasks offers are still missing. Absent where any remainder would do.
    pub shape: Option<(Arc<Shape>, u32)>,
    /// What concerns the whole role first, then the reasons that count most agents.
    pub reasons: Vec<Counted>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    pub reason: Reason,
    /// The agents it holds for; 0 where it is not about agents.
    pub n_agents: u64,
    /// The agent that came nearest, where one can come near.
    pub nearest: Option<Nearest>,
    /// When it ends by itself, for the first of the agents.
    pub until: Option<Timestamp>,
}

/// The agent that came nearest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    pub agent: AgentId,
    pub hostname: String,
    /// The scarcest resource there.
    pub resource: ResourceName,
    /// How much of it is missing, in the name's unit; ports are counted.
    pub lacking: u64,
}

/// Who has what another is waiting for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    /// Who holds it on most of the agents.
    pub framework: FrameworkId,
    pub role: Role,
    /// Its dominant share over its role's weight.
    pub share: Share,
    /// The same of who is waiting.
    pub own: Share,
    /// How many others hold the most somewhere.
    pub n_others: usize,
}

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    NotConnected,
    Suppressed,
    NothingWanted,
    /// All it wants is in offers that it has not answered yet.
    AllOffered,
    NoAgents,
    /// It would be offered something there; a round is due.
    Room,
    /// There is room for a task of a gang, but not yet for the whole gang.
    PartOfGang,
    /// It has waited for long, so that nobody else is offered what ends there; for so long at most.
    HeldForIt(Duration),
    /// Away.
    Inactive,
    /// Deactivated or draining, by an operator's word.
    OutOfUse,
    OtherRegion,
    Constraint(String),
    /// All that is free, or all that would do, is reserved.
    ReservedFor(Role),
    /// All that is free is held for a gang, or a large task, of a framework that has waited for long; for so long at
    /// most.
    HeldFor(FrameworkId, Duration),
    /// What the limit of a role leaves of a resource, and what is needed; 0 where any amount would do.
    Limit {
        role: Role,
        resource: ResourceName,
        room: u64,
        needed: u64,
    },
    /// What the guarantees of others leave of a resource, and what is needed; 0 where any amount would do.
    Guarantees {
        resource: ResourceName,
        room: u64,
        needed: u64,
    },
    /// The framework refused it; the first filter ends after so long.
    Filtered(Duration),
    /// As many tasks of the shape are there as the framework wants on one agent.
    MaxPerAgent(u32),
    /// Not even the idle agent would do.
    TooSmall(Option<ResourceName>),
    /// It would do without what the framework has there itself.
    OwnUse(Option<ResourceName>),
    /// It would do without what others have there.
    Held(Option<ResourceName>, Ahead),
}

impl Counted {
    fn of(reason: Reason) -> Self {
        Self {
            reason,
            n_agents: 0,
            nearest: None,
            until: None,
        }
    }
}

/// Explains what a framework is not offered now. Unknown frameworks have no parts. Linear in agents and their claims.
#[must_use]
pub fn explain(ledger: &Ledger, framework: &FrameworkId, now: Timestamp) -> Explanation {
    let mut explanation = Explanation::default();
    let mut n_shapes = (MAX_PAIRS / ledger.n_agents().max(1)).clamp(1, MAX_SHAPES);
    let Some(entry) = ledger.framework(framework) else {
        return explanation;
    };
    for (role, leaf) in ledger.leaves_of(framework) {
        if !entry.roles.contains(role) {
            continue;
        }
        let mut tell = |shape, reasons| {
            let role = role.clone();
            explanation.parts.push(Part { role, shape, reasons });
        };
        if let Some(reason) = standing(ledger, leaf, entry.active, entry.suppressed.contains(role)) {
            tell(None, vec![Counted::of(reason)]);
            continue;
        }
        let wants = wants(ledger, leaf);
        let n = n_shapes.min(wants.len());
        n_shapes -= n;
        explanation.n_left_out += wants.len() - n;
        for shape in wants.into_iter().take(n) {
            let reasons = reasons(ledger, leaf, shape.as_ref(), now);
            tell(shape, reasons);
        }
    }
    explanation
}

/// The shapes a leaf wants; `None` stands for whatever is there.
fn wants(ledger: &Ledger, leaf: LeafIx) -> Vec<Option<(Arc<Shape>, u32)>> {
    match ledger.leaf(leaf) {
        Some(entry) if entry.states_demand() => {
            let wanted = entry.wanted();
            wanted
                .map(|(shape, open)| Some((Arc::clone(shape), open)))
                .collect()
        }
        Some(_) => vec![None],
        None => Vec::new(),
    }
}

/// What keeps everything from a leaf.
fn standing(ledger: &Ledger, leaf: LeafIx, is_active: bool, is_suppressed: bool) -> Option<Reason> {
    let entry = ledger.leaf(leaf)?;
    if !is_active {
        Some(Reason::NotConnected)
    } else if is_suppressed {
        Some(Reason::Suppressed)
    } else if !entry.wants() && entry.n_offered() > 0 {
        Some(Reason::AllOffered)
    } else if !entry.wants() {
        Some(Reason::NothingWanted)
    } else if ledger.n_agents() == 0 {
        Some(Reason::NoAgents)
    } else {
        None
    }
}

fn reasons(ledger: &Ledger, leaf: LeafIx, shape: Option<&(Arc<Shape>, u32)>, now: Timestamp) -> Vec<Counted> {
    let Some(mut survey) = Survey::new(ledger, leaf, shape, now) else {
        return Vec::new();
    };
    ledger
        .agents()
        .for_each(|(agent, entry)| survey.ask(agent, entry));
    let mut reasons = survey.reasons();
    reasons.sort_by_key(|counted| std::cmp::Reverse(counted.n_agents));
    let gang = shape.and_then(|(shape, _)| gang_bound(ledger, leaf, shape));
    let first = gang
        .map(Counted::of)
        .into_iter()
        .chain(held_for(ledger, leaf, shape, now));
    first.chain(reasons).collect()
}

/// Where what ends is kept for the shape.
fn held_for(
    ledger: &Ledger,
    leaf: LeafIx,
    shape: Option<&(Arc<Shape>, u32)>,
    now: Timestamp,
) -> Option<Counted> {
    let ((shape, _), hold) = (shape?, ledger.hold(leaf)?);
    let is_it = match hold.waiting {
        Waiting::Shape(id) => id == shape.id,
        Waiting::Gang(id) => Some(id) == shape.gang,
    };
    is_it.then(|| Counted {
        n_agents: hold.agents.len() as u64,
        ..Counted::of(Reason::HeldForIt(hold.until.since(now)))
    })
}

/// What of a quota keeps a whole gang back though its tasks, one by one, may fit.
fn gang_bound(ledger: &Ledger, leaf: LeafIx, shape: &Shape) -> Option<Reason> {
    let entry = ledger.leaf(leaf)?;
    let gang = Some(shape.gang?);
    let mut sum = Quantities::default();
    for (shape, n) in entry.wanted().filter(|(shape, _)| shape.gang == gang) {
        sum.add(&shape.resources.times(n));
    }
    let mut bounds = sum.iter().filter_map(|(name, units)| {
        let (room, obstacle) = ledger.room(entry.role, name);
        (room < units).then_some((name, units, obstacle?))
    });
    let (_, units, obstacle) = bounds.next()?;
    survey::quota_reason(
        ledger,
        entry.role,
        &obstacle,
        u64::try_from(units).unwrap_or(u64::MAX),
    )
}

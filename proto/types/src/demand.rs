//! Demand: what a framework would run if it were offered the resources.
//!
//! Stated per role, replaced whole. A role without a statement is offered the remainder of agents, as in Mesos;
//! one that states shapes is offered what fits them and no more.

use std::collections::BTreeSet;
use std::time::Duration;

use thiserror::Error;

use crate::{AgentId, OfferConstraints, Predicate, ResourceName, Resources, Selector};

/// The most shapes of one role.
pub const MAX_SHAPES_PER_ROLE: usize = 1000;
/// The most tasks one gang may have over all of its shapes.
pub const MAX_GANG_TASKS: u32 = 10_000;
/// The most ports one task may need: all there are.
pub const MAX_PORTS_PER_TASK: u32 = 1 << 16;

/// The most constraints over all shapes of one role: each is looked at for every agent.
pub const MAX_CONSTRAINTS_PER_ROLE: usize = 4096;
/// The most different patterns over all shapes of one role: each may take 64 KiB, and some milliseconds to compile.
pub const MAX_PATTERNS_PER_ROLE: usize = 256;
/// The most bytes of one role's statement, as [`StatementRoom`] counts them: half of what a message may have.
pub const MAX_STATEMENT_BYTES: usize = 2 << 20;

/// Names one shape among those of a framework's role; chosen by the framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShapeId(pub u64);

/// Names one gang among those of a framework's role; chosen by the framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GangId(pub u64);

/// Where of the agents that fit a task is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Placement {
    /// The agent whose free resources align best with the shape (Tetris, SIGCOMM 2014): leaves room for others.
    #[default]
    Pack,
    /// The agent with the fewest tasks of the shape, then the one with the most free.
    Spread,
}

/// Where a task may run, as its owner says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlacementRules {
    pub constraints: OfferConstraints,
    /// At most this many like tasks on one agent; not 0.
    pub max_per_agent: Option<u32>,
    /// Absent means the framework's own choice.
    pub placement: Option<Placement>,
}

/// All that a framework wants in one role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    /// The first goes first.
    pub shapes: Vec<Shape>,
    pub backfill: Backfill,
}

impl From<Vec<Shape>> for Demand {
    fn from(shapes: Vec<Shape>) -> Self {
        Self {
            shapes,
            backfill: Backfill::default(),
        }
    }
}

/// What of a statement may be offered before that for which there is no room yet and which is stated before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Backfill {
    /// Whatever fits. What ends is held for a gang or a large task when it has waited long enough.
    #[default]
    Any,
    /// Whatever does not keep the first waiting, as far as time limits tell: where all that runs has one, what ends soonest
    /// is held for the first at once, whatever its size (EASY backfill, Lifka 1995).
    Easy,
    /// Nothing.
    None,
}

/// Tasks of one kind that a framework wants to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    pub id: ShapeId,
    /// Of one task. Plain amounts; reservations that the role may use count as such. Ports are asked for as a
    /// number: see [`Shape::n_ports`].
    pub resources: Resources,
    /// How many ports one task needs, whichever.
    pub n_ports: u32,
    /// Further tasks wanted, beyond those running. Offers under way for the shape count against it.
    pub count: u32,
    /// In addition to those of the role.
    pub constraints: OfferConstraints,
    /// At most this many tasks of the shape on one agent, running ones included ([`crate::TaskInfo::shape`]).
    pub max_per_agent: Option<u32>,
    pub placement: Placement,
    /// All shapes of one gang are offered together, whole, or not at all.
    pub gang: Option<GangId>,
    /// The longest one task runs: one that ends in time may use what is reserved for another.
    pub time_limit: Option<Duration>,
    /// Whose tasks these are. Flows of one statement are served in turn, a task each (fair queueing, Nagle 1987, RFC 970);
    /// within one, shapes as they are stated.
    pub flow: u64,
    /// The only agent that will do. No other one is looked at.
    pub agent: Option<AgentId>,
    /// It is the cpus that tasks of the framework in the role gave up on [`Shape::agent`] as they were suspended. What is held
    /// there for another does not keep them from it, as far as so much is suspended there; beyond that it is a shape as any
    /// other.
    pub resumes: bool,
    /// One on each agent that will do: it comes to the agents there are, and is no reason for more of them.
    pub daemon: bool,
}

impl Shape {
    /// So many tasks of one size, anywhere.
    #[must_use]
    pub fn new(id: ShapeId, resources: Resources, count: u32) -> Self {
        Self {
            id,
            resources,
            n_ports: 0,
            count,
            constraints: OfferConstraints::default(),
            max_per_agent: None,
            placement: Placement::Pack,
            gang: None,
            time_limit: None,
            flow: 0,
            agent: None,
            resumes: false,
            daemon: false,
        }
    }

    /// Checks what no statement may hold. The error names the first thing that is wrong.
    pub fn check(&self) -> Result<(), ShapeError> {
        if self.resources.has_kinds()
            || self.resources.all_ranges().next().is_some()
            || self.resources.all_sets().next().is_some()
        {
            return Err(ShapeError::NotScalars);
        }
        if self.resources.is_empty() && self.n_ports == 0 {
            return Err(ShapeError::Nothing);
        }
        if self.n_ports > MAX_PORTS_PER_TASK {
            return Err(ShapeError::TooManyPorts(self.n_ports));
        }
        if self.resumes {
            let mut scalars = self.resources.scalars();
            let only_cpus = scalars.all(|(name, _)| *name == ResourceName::Cpus);
            if !only_cpus || self.n_ports > 0 || self.gang.is_some() {
                return Err(ShapeError::ResumesMore);
            }
            if self.agent.is_none() {
                return Err(ShapeError::ResumesAnywhere);
            }
        }
        match self.max_per_agent {
            Some(0) => Err(ShapeError::NonePerAgent),
            Some(_) | None => Ok(()),
        }
    }
}

/// A shape that no statement may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ShapeError {
    #[error("must be plain scalars")]
    NotScalars,
    #[error("is empty: a task needs something")]
    Nothing,
    #[error("{0} ports, at most {MAX_PORTS_PER_TASK} are allowed")]
    TooManyPorts(u32),
    #[error("is 0: no agent could run a task")]
    NonePerAgent,
    #[error("is for cpus alone, without ports or a gang: a suspended task has the rest")]
    ResumesMore,
    #[error("needs the agent on which tasks are suspended")]
    ResumesAnywhere,
}

impl ShapeError {
    /// The field that is wrong.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::NotScalars | Self::Nothing => "resources",
            Self::TooManyPorts(_) => "n_ports",
            Self::NonePerAgent => "max_per_agent",
            Self::ResumesMore | Self::ResumesAnywhere => "resumes",
        }
    }
}

/// What one statement has room for. A framework that wants more states the first of it, and the rest when some of
/// that runs.
#[derive(Debug, Clone, Default)]
pub struct StatementRoom {
    n_shapes: usize,
    n_constraints: usize,
    n_bytes: usize,
    patterns: BTreeSet<String>,
}

/// What a shape takes in a message beside its names and constraints, in bytes.
const SHAPE_OVERHEAD_BYTES: usize = 128;
/// What a resource or a constraint takes in a message beside its texts, in bytes.
const ITEM_OVERHEAD_BYTES: usize = 32;

impl StatementRoom {
    /// Takes the room of some shapes, all of them or none; says whether there was enough. A gang of which more than
    /// [`MAX_GANG_TASKS`] tasks are wanted is the caller's to leave out.
    pub fn take(&mut self, shapes: &[Shape]) -> bool {
        let constraints = || {
            shapes
                .iter()
                .flat_map(|shape| shape.constraints.groups.iter().flatten())
        };
        let n_shapes = self.n_shapes + shapes.len();
        let n_constraints = self.n_constraints + constraints().count();
        let n_bytes = self.n_bytes + shapes.iter().map(n_bytes).sum::<usize>();
        let patterns = constraints().filter_map(|constraint| match &constraint.predicate {
            Predicate::Matches(pattern) | Predicate::NotMatches(pattern) => Some(pattern.as_str()),
            Predicate::Exists | Predicate::NotExists | Predicate::Equals(_) | Predicate::NotEquals(_) => None,
        });
        let new: BTreeSet<_> = patterns
            .filter(|pattern| !self.patterns.contains(*pattern))
            .collect();
        let enough = n_shapes <= MAX_SHAPES_PER_ROLE
            && n_constraints <= MAX_CONSTRAINTS_PER_ROLE
            && n_bytes <= MAX_STATEMENT_BYTES
            && self.patterns.len() + new.len() <= MAX_PATTERNS_PER_ROLE;
        if enough {
            (self.n_shapes, self.n_constraints, self.n_bytes) = (n_shapes, n_constraints, n_bytes);
            self.patterns.extend(new.into_iter().map(str::to_owned));
        }
        enough
    }
}

fn n_bytes(shape: &Shape) -> usize {
    let names = shape
        .resources
        .scalars()
        .map(|(name, _)| name.as_str().len() + ITEM_OVERHEAD_BYTES);
    let constraints = shape.constraints.groups.iter().flatten().map(|constraint| {
        let selector = match &constraint.selector {
            Selector::Attribute(name) => name.len(),
            Selector::Hostname | Selector::Region | Selector::Zone => 0,
        };
        let predicate = match &constraint.predicate {
            Predicate::Exists | Predicate::NotExists => 0,
            Predicate::Equals(text) | Predicate::NotEquals(text) => text.len(),
            Predicate::Matches(pattern) | Predicate::NotMatches(pattern) => pattern.as_str().len(),
        };
        selector + predicate + ITEM_OVERHEAD_BYTES
    });
    let agent = shape.agent.as_ref().map_or(0, |agent| agent.as_str().len());
    SHAPE_OVERHEAD_BYTES + agent + names.sum::<usize>() + constraints.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Constraint, Pattern};

    fn shape(id: u64, patterns: usize) -> Shape {
        let constraint = |n| Constraint {
            selector: Selector::Hostname,
            predicate: Predicate::Matches(Pattern::new(&format!("h{n}")).unwrap()),
        };
        Shape {
            constraints: OfferConstraints::all_of((0..patterns).map(constraint).collect()),
            ..Shape::new(ShapeId(id), Resources::of(1000, 1 << 20, 0), 1)
        }
    }

    #[test]
    fn a_statement_takes_shapes_whole_until_one_of_its_limits() {
        let mut room = StatementRoom::default();
        let many: Vec<_> = (0..MAX_SHAPES_PER_ROLE as u64).map(|id| shape(id, 0)).collect();
        assert!(room.take(&many[1..]));
        assert!(!room.take(&many[..2]));
        assert!(room.take(&many[..1]));
        assert!(!room.take(&many[..1]));

        let mut room = StatementRoom::default();
        assert!(!room.take(&[shape(1, MAX_PATTERNS_PER_ROLE + 1)]));
        // The same patterns again are not compiled again, but looked at again.
        let n_times = MAX_CONSTRAINTS_PER_ROLE / MAX_PATTERNS_PER_ROLE;
        assert!((0..n_times).all(|_| room.take(&[shape(2, MAX_PATTERNS_PER_ROLE)])));
        assert!(!room.take(&[shape(3, 1)]));
    }
}

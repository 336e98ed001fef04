//! Demand: what a framework would run if it were offered the resources.
//!
//! Stated per role, replaced whole. A role without a statement is offered the remainder of agents, as in Mesos;
//! one that states shapes is offered what fits them and no more.

use std::time::Duration;

use crate::{OfferConstraints, Resources};

/// The most shapes of one role.
pub const MAX_SHAPES_PER_ROLE: usize = 1000;
/// The most tasks one gang may have over all of its shapes.
pub const MAX_GANG_TASKS: u32 = 10_000;

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
        }
    }
}

//! Who is offered what: the ledger, the allocator trait and the built-in allocators.
//!
//! Pure. The ledger is the truth about totals, claims and filters; an allocator keeps only what it derives.

mod allocator;
pub mod conformance;
mod engine;
mod explain;
mod ledger;
mod order;
mod quantities;
mod round;
mod share;

pub use allocator::{Allocator, Outcome};
pub use engine::{Engine, Order, Refresh};
pub use explain::{
    Ahead, Counted, Explanation, Found, Nearest, Part, Reason, Rehearsal, Unmet, UnmetDemand, explain,
    rehearse, unmet_demand,
};
pub use ledger::{
    AgentEntry, AgentIx, Change, Claim, ClaimIx, ClaimKind, DEFAULT_WEIGHT_MILLIS, Filter, FrameworkEntry,
    Handle, Held, Hold, LeafEntry, LeafIx, Ledger, Obstacle, ROOT, RoleConfig, RoleEntry, RoleIx, Usage,
    Waiting,
};
pub use order::{UnknownAllocator, by_name, names};
pub use quantities::Quantities;
pub use round::{Grant, HOLD_AFTER, Host, Round};
pub use share::Share;

/// The randomness of a round; named in [`Order`].
pub use rand_chacha::ChaCha8Rng;

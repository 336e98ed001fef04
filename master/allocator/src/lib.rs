//! Who is offered what: the ledger, the allocator trait and the built-in allocators.
//!
//! Pure. The ledger is the truth about totals, claims and filters; an allocator keeps only what it derives.

mod allocator;
mod engine;
mod ledger;
mod order;
mod quantities;
mod round;
mod share;

pub use allocator::{Allocator, Outcome};
pub use engine::{Engine, Order, Refresh};
pub use ledger::{
    AgentEntry, AgentIx, Change, Claim, ClaimIx, ClaimKind, DEFAULT_WEIGHT_MILLIS, Filter, FrameworkEntry,
    Handle, LeafEntry, LeafIx, Ledger, Obstacle, ROOT, RoleConfig, RoleEntry, RoleIx, Usage,
};
pub use order::{UnknownAllocator, by_name, names};
pub use quantities::Quantities;
pub use round::{Grant, Host, Round};
pub use share::Share;

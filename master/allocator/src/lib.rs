//! Who is offered what: the ledger, the allocator trait and the built-in allocators.
//!
//! Pure. The ledger is the truth about totals, claims and filters; an allocator keeps only what it derives.

mod allocator;
mod drf;
mod fifo;
mod ledger;
mod round;
mod usage;

pub use allocator::{Allocator, Counted, Outcome, Reason, UnknownAllocator, by_name, names};
pub use ledger::{AgentEntry, Change, Claim, ClaimId, DEFAULT_WEIGHT_MILLIS, Filter, FrameworkEntry, Ledger};
pub use round::{Grant, Host, MIN_CPU_MILLIS, MIN_MEM_BYTES, OfferError, Round, is_allocatable};
pub use usage::{Quantities, Share, Usage};

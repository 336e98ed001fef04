//! Who is offered what: the ledger, the allocator trait and the built-in allocators.
